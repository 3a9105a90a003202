"""A phantom as a DICOM series: CT Image Storage (PS3.3, section A.3), one file per slice."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from parotid_brachy.lib.imaging.volume import Volume

_DATE: Final = "20240102"
_TIME: Final = "090000"
_MANUFACTURER: Final = "parotid-brachy"
_IMPLEMENTATION_UID: Final = UID("2.25.126479381256348722461298374658127364")
_RESCALE_INTERCEPT: Final = -1024


def write_series(volume: Volume, folder: Path, *, seed: int) -> Path:
    """Writes a volume as a series into ``folder``, whole or not at all; UIDs follow from the seed.

    Args:
        volume: int16 HU, -1024 and up.
        folder: is replaced where it exists.
        seed: of the phantom; it names patient, study, series and instances.

    Returns:
        The folder.
    """
    unfinished = folder.with_name(f".{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    # Two phantoms of one seed with and without surgery are two studies.
    content = hashlib.sha256(np.ascontiguousarray(volume.voxels).tobytes()).hexdigest()
    for k in range(volume.grid.size_ijk[2]):
        dataset = _slice(volume, k, seed=seed, content=content)
        dataset.save_as(unfinished / f"{k + 1:04d}.dcm", write_like_original=False)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.replace(folder)
    return folder


def uid(*parts: object) -> UID:
    """A UID derived from words (PS3.5, section B.2), the same every time."""
    text = "\x1f".join(str(part) for part in ("parotid-brachy phantom", *parts))
    return UID(f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}")


def _slice(volume: Volume, k: int, *, seed: int, content: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = uid(content, "instance", k)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    _add_patient_and_study(dataset, volume.case, seed=seed, content=content)
    _add_series(dataset, content)
    _add_plane(dataset, volume, k)
    _add_pixels(dataset, volume, k)
    return dataset


def _add_patient_and_study(dataset: Dataset, case: str, *, seed: int, content: str) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = f"PHANTOM^{seed:04d}"
    dataset.PatientID = case
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = uid(content, "study")
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = _DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = _TIME
    dataset.ReferringPhysicianName = ""
    dataset.StudyID = "1"
    dataset.AccessionNumber = ""
    dataset.StudyDescription = "Synthetic head CT"


def _add_series(dataset: Dataset, content: str) -> None:
    dataset.Modality = "CT"
    dataset.SeriesInstanceUID = uid(content, "series")
    dataset.FrameOfReferenceUID = uid(content, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = "Phantom"
    dataset.BodyPartExamined = "HEAD"
    dataset.PatientPosition = "HFS"
    dataset.Manufacturer = _MANUFACTURER
    dataset.ManufacturerModelName = "Phantom"
    dataset.KVP = "120"
    dataset.AcquisitionNumber = 1


def _add_plane(dataset: Dataset, volume: Volume, k: int) -> None:
    grid = volume.grid
    columns, rows, _ = grid.size_ijk
    axes = np.asarray(grid.direction).reshape(3, 3)
    position = grid.to_lps_mm(np.array([0.0, 0.0, float(k)]))
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = k + 1
    dataset.ImagePositionPatient = [_decimal(value) for value in position]
    dataset.ImageOrientationPatient = [_decimal(value) for value in (*axes[:, 0], *axes[:, 1])]
    dataset.PixelSpacing = [_decimal(grid.spacing_mm[1]), _decimal(grid.spacing_mm[0])]
    dataset.SliceThickness = _decimal(grid.spacing_mm[2])
    dataset.SliceLocation = _decimal(float(position[2]))
    dataset.Rows, dataset.Columns = rows, columns


def _add_pixels(dataset: Dataset, volume: Volume, k: int) -> None:
    stored = volume.voxels[k].astype(np.int32) - _RESCALE_INTERCEPT
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept = str(_RESCALE_INTERCEPT)
    dataset.RescaleSlope = "1"
    dataset.RescaleType = "HU"
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    dataset.BurnedInAnnotation = "NO"
    dataset.PixelData = stored.astype("<u2").tobytes()


def _decimal(value: float) -> str:
    """A Decimal String: at most 16 characters (PS3.5, section 6.2)."""
    return f"{value:.10g}"[:16]
