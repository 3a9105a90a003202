"""DICOM objects for the import's tests: a small CT series, faults in it, and what lies beside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import RTDoseStorage, RTPlanStorage, RTStructureSetStorage
from tests.imaging.damage_dicom import encoded, series_head, slice_dataset, whole_series

UID = "1.2.826.0.1.3680043.10.999"
SLICES = 14

CLASSES = {"RTSTRUCT": RTStructureSetStorage, "RTPLAN": RTPlanStorage, "RTDOSE": RTDoseStorage}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Writes files into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def another_series(number: int = 5, **changes: Any) -> dict[str, bytes]:
    """A second series, of other UIDs, named ``b...``."""

    def change(one: FileDataset, k: int) -> None:
        one.SeriesInstanceUID = f"{UID}.{number}"
        one.SOPInstanceUID = f"{UID}.{number}.{k + 1}"
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        one.SeriesNumber = number
        for keyword, value in changes.items():
            setattr(one, keyword, value)

    return {f"b_{name}": content for name, content in whole_series(change).items()}


def localizer() -> bytes:
    """A localizer of a series of its own."""
    one = slice_dataset(series_head(), 3)
    one.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    one.SeriesInstanceUID = f"{UID}.77"
    return encoded(one)


def related(modality: str, change: Callable[[FileDataset], None] | None = None) -> bytes:
    """A structure set, plan or dose of the series' study, with no more than an import looks at."""
    one = slice_dataset(series_head(), 0)
    for keyword in ("PixelData", "ImageType", "ImagePositionPatient", "ImageOrientationPatient"):
        delattr(one, keyword)
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = CLASSES[modality]
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"{UID}.88.{len(modality)}"
    one.SeriesInstanceUID = f"{UID}.89"
    one.Modality = modality
    if modality == "RTSTRUCT":
        series, study, frame = Dataset(), Dataset(), Dataset()
        series.SeriesInstanceUID = f"{UID}.2"
        study.RTReferencedSeriesSequence = Sequence([series])
        frame.FrameOfReferenceUID = f"{UID}.4"
        frame.RTReferencedStudySequence = Sequence([study])
        one.ReferencedFrameOfReferenceSequence = Sequence([frame])
    if change is not None:
        change(one)
    return encoded(one)


def tilted(one: FileDataset, k: int) -> None:
    """Moves each slice sideways, as a tilted gantry does."""
    x, y, z = one.ImagePositionPatient
    one.ImagePositionPatient = [x, float(y) + 1.5 * k, z]


def turned(one: FileDataset, k: int) -> None:
    """Gives the last four slices another orientation."""
    if k >= SLICES - 4:
        one.ImageOrientationPatient = [1, 0, 0, 0, float(np.cos(0.2)), float(np.sin(0.2))]


def uneven(one: FileDataset, k: int) -> None:
    """Moves the upper slices apart."""
    x, y, z = one.ImagePositionPatient
    one.ImagePositionPatient = [x, y, float(z) + (4.0 * (k - 8) if k > 8 else 0.0)]
