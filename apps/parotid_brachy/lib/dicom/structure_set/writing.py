"""A label map as an RT Structure Set (PS3.3, section A.19)."""

from __future__ import annotations

import io

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from parotid_brachy.lib.anatomy import Structure
from parotid_brachy.lib.dicom.contour_content import ContourContent
from parotid_brachy.lib.dicom.new_files import encoded, new_file
from parotid_brachy.lib.dicom.source_series import SourceSeries
from parotid_brachy.lib.dicom.structure_names import planning_name
from parotid_brachy.lib.dicom.structure_set.modules import (
    add_approval,
    add_contours,
    add_equipment,
    add_observations,
    add_patient_and_study,
    add_series,
    add_structure_set,
)
from parotid_brachy.lib.dicom.structure_set.planes import to_lps_mm
from parotid_brachy.lib.dicom.structure_set.reading import contours_of
from parotid_brachy.lib.dicom.structure_set.tracing import trace_mask
from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.imaging.volume import FloatArray, Grid

SlicePolygons = list[tuple[int, FloatArray]]
"""A structure's polygons: slice (k), and points in LPS millimetres of shape (n, 3)."""


def structure_set_bytes(
    labels: NDArray[np.uint8], grid: Grid, series: SourceSeries, content: ContourContent
) -> bytes:
    """A DICOM file with one region of interest for each structure that the map holds.

    What was written is read again: the map follows from it voxel by voxel.

    Args:
        labels: values of ``anatomy``, shape ``grid.shape_kji``.
        grid: of the map; must be the series'.
        series: the CT that was contoured.
        content: who made the contours, how, and of which side.

    Raises:
        GeometryError: the map is not on the series' grid, or its contours do not give it back.
        InputRefusedError: it holds no structure, or values of none.
    """
    structures = series.require_map(labels, grid)
    polygons = {one: _polygons(labels, one, series) for one in structures}
    written = encoded(_dataset(polygons, series, content))
    _require_faithful(written, labels, series, content)
    return written


def _polygons(
    labels: NDArray[np.uint8], structure: Structure, series: SourceSeries
) -> SlicePolygons:
    found: SlicePolygons = []
    for k, one in enumerate(series.slices):
        mask = labels[k] == structure.value
        if mask.any():
            found += [(k, to_lps_mm(polygon, one)) for polygon in trace_mask(mask)]
    return found


def _dataset(
    polygons: dict[Structure, SlicePolygons], series: SourceSeries, content: ContourContent
) -> FileDataset:
    # Implicit: the explicit form has no room for the points of a long contour (64 KiB).
    dataset = new_file(RTStructureSetStorage, ImplicitVRLittleEndian)
    names = {one: planning_name(one, content.side) for one in polygons}
    add_patient_and_study(dataset, series.header)
    add_series(dataset, content)
    add_equipment(dataset, content)
    add_structure_set(dataset, names, series, content)
    add_contours(dataset, polygons, series)
    add_observations(dataset, names, content)
    add_approval(dataset, content)
    return dataset


def _require_faithful(
    written_bytes: bytes, labels: NDArray[np.uint8], series: SourceSeries, content: ContourContent
) -> None:
    """Reads what was written, as anybody would.

    Raises:
        GeometryError: another map came out.
    """
    written = pydicom.dcmread(io.BytesIO(written_bytes))
    read = contours_of(written, series, name=content.case, side=content.side)
    differing = int(np.count_nonzero(read.labels != labels))
    if differing or read.overlaps:
        message = (
            f"{content.case}: the contours written for {series.name} differ from the label map in "
            f"{differing} voxels; nothing was exported. Please report this."
        )
        raise GeometryError(message)
