"""Looks at the segmentation that dcmqi wrote: does it hold the label map, voxel by voxel?"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from parotid_brachy.lib.anatomy import LATERALITY, Structure
from parotid_brachy.lib.dicom.contour_content import ContourContent
from parotid_brachy.lib.dicom.segmentation.dcmqi import ConversionError
from parotid_brachy.lib.dicom.segmentation.frames import frames_of, geometry_of, require_binary
from parotid_brachy.lib.dicom.source_series import SourceSeries
from parotid_brachy.lib.imaging.stored_image import quoted

_OFF_GRID = 0.05
"""Share of a voxel by which a frame may lie off its slice."""


def require_faithful(
    encoded: bytes,
    labels: NDArray[np.uint8],
    structures: Sequence[Structure],
    series: SourceSeries,
    content: ContourContent,
) -> None:
    """Refuses a written segmentation that is not the label map's.

    Args:
        encoded: the DICOM file.
        labels: what it should hold, on the series' grid.
        structures: those that the map holds.
        series: the CT that was contoured.
        content: what it should say.

    Raises:
        ConversionError: damaged, or another's; says what differs.
    """
    what = f"{content.case}: dcmqi wrote a wrong object, which was not kept"
    try:
        dataset = pydicom.dcmread(io.BytesIO(encoded))
        require_binary(dataset, "the written object")
        faults = [
            *_faults_of_header(dataset, structures, series, content),
            *_faults_of_frames(dataset, labels, structures, series),
        ]
    # pydicom lets nearly any error through where a file is cut short.
    except Exception as error:
        message = f"{what}: it cannot be read ({type(error).__name__}: {quoted(error)})"
        raise ConversionError(message) from error
    if faults:
        message = f"{what}: {'; '.join(faults)[:500]}"
        raise ConversionError(message)


def _faults_of_header(
    dataset: Dataset,
    structures: Sequence[Structure],
    series: SourceSeries,
    content: ContourContent,
) -> list[str]:
    stated = [
        (
            segment.SegmentLabel,
            segment.SegmentAlgorithmType,
            segment.SegmentedPropertyTypeCodeSequence[0].CodeValue,
            segment.SegmentedPropertyTypeCodeSequence[0]
            .SegmentedPropertyTypeModifierCodeSequence[0]
            .CodeValue,
        )
        for segment in dataset.SegmentSequence
    ]
    side = LATERALITY[content.side].value
    expected = [(one.name, content.origin.value, one.coded.value, side) for one in structures]
    referenced = {
        str(one.ReferencedSOPInstanceUID)
        for one in dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    checks = {
        f"segments {stated}, not {expected}": stated == expected,
        "another frame of reference": dataset.FrameOfReferenceUID == series.frame_uid,
        "another study": dataset.StudyInstanceUID == series.header.StudyInstanceUID,
        "another patient": dataset.get("PatientID") == series.header.get("PatientID"),
        "references to images of another series": referenced <= set(series.instance_uids),
    }
    return [fault for fault, is_right in checks.items() if not is_right]


def _faults_of_frames(
    dataset: Dataset,
    labels: NDArray[np.uint8],
    structures: Sequence[Structure],
    series: SourceSeries,
) -> list[str]:
    geometry = geometry_of(dataset)
    columns, rows, _ = series.grid.size_ijk
    if geometry.size_ij != (columns, rows):
        return [f"frames of {geometry.size_ij} (columns, rows), not {(columns, rows)}"]
    indices = series.grid.to_index(geometry.positions_lps_mm)
    expected = np.column_stack([np.zeros((len(indices), 2)), np.rint(indices[:, 2])])
    off = float(np.abs(indices - expected).max())
    if off > _OFF_GRID:
        return [f"a frame lies {off:.2f} voxels off the slices"]
    by_number = {
        int(segment.SegmentNumber): one
        for segment, one in zip(dataset.SegmentSequence, structures, strict=True)
    }
    wrong = 0
    seen: set[tuple[int, int]] = set()
    held = np.zeros_like(labels)
    for number, position, frame in zip(
        geometry.segments, expected[:, 2].astype(int).tolist(), frames_of(dataset), strict=True
    ):
        wrong += (number, position) in seen
        seen.add((number, position))
        wrong += int(np.count_nonzero(held[position][frame]))
        held[position][frame] = by_number[number].value
    wrong += int(np.count_nonzero(held != labels))
    return [f"{wrong} voxels differ from the label map"] if wrong else []
