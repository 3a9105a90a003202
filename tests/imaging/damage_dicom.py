"""Damaged DICOM series."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from tests.imaging.heads import grid_of, head

from parotid_brachy.lib.imaging.volume import Volume

Files = dict[str, bytes]
_UID = "1.2.826.0.1.3680043.10.999"
_UNTOLD_VALUES = ("RescaleIntercept", "RescaleSlope", "PixelData")
"""A flipped bit in these is another image that no reader can tell from the right one."""


def series_head() -> Volume:
    """The small head with few slices, for a series."""
    return head(grid_of((36, 40, 14), (5.0, 5.0, 9.0)))


def slice_dataset(volume: Volume, k: int) -> FileDataset:
    """One slice of a volume on a grid with axes i to the left, j to the back, k upwards."""
    grid = volume.grid
    axes = np.asarray(grid.direction).reshape(3, 3)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"{_UID}.3.{k + 1}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = f"{_UID}.9"
    one = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    one.is_little_endian, one.is_implicit_VR = True, False
    one.SOPClassUID = CTImageStorage
    one.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    one.Modality = "CT"
    one.PatientID = "phantom"
    one.StudyInstanceUID = f"{_UID}.1"
    one.SeriesInstanceUID = f"{_UID}.2"
    one.FrameOfReferenceUID = f"{_UID}.4"
    one.SeriesNumber = 2
    # Numbered against the order in space, as some scanners do.
    one.InstanceNumber = grid.size_ijk[2] - k
    one.ImagePositionPatient = [float(v) for v in grid.to_lps_mm(np.asarray([0.0, 0.0, k]))]
    one.ImageOrientationPatient = [float(v) for v in (*axes[:, 0], *axes[:, 1])]
    one.PixelSpacing = [grid.spacing_mm[1], grid.spacing_mm[0]]
    one.SliceThickness = grid.spacing_mm[2]
    one.SamplesPerPixel = 1
    one.PhotometricInterpretation = "MONOCHROME2"
    one.Rows, one.Columns = grid.size_ijk[1], grid.size_ijk[0]
    one.BitsAllocated, one.BitsStored, one.HighBit = 16, 12, 11
    one.PixelRepresentation = 0
    one.RescaleIntercept, one.RescaleSlope, one.RescaleType = -1024, 1, "HU"
    one.PixelData = (volume.voxels[k].astype(np.int32) + 1024).astype("<u2").tobytes()
    one["PixelData"].VR = "OW"
    return one


def encoded(one: FileDataset) -> bytes:
    """The bytes of a DICOM file."""
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, one, write_like_original=False)
    return buffer.getvalue()


def whole_series(change: Callable[[FileDataset, int], Any] | None = None) -> Files:
    """The files of the undamaged series, or with every slice changed."""
    volume = series_head()
    files = {}
    for k in range(volume.grid.size_ijk[2]):
        one = slice_dataset(volume, k)
        if change is not None:
            change(one, k)
        files[f"slice{k:03d}.dcm"] = encoded(one)
    return files


def dicom_faults() -> Iterator[tuple[str, Files, bool]]:
    """All damaged series: kind, files, and whether they may be whole."""
    random = np.random.default_rng(5)
    whole = whole_series()
    names = list(whole)
    for where, length in enumerate((0, 1, 100, 131, 132, 150, 300, 500, 700, 1000, -1000, -2)):
        name = names[where]
        yield "DICOM: slice cut short", whole | {name: whole[name][:length]}, False
    yield from _flipped_slices(whole, random)
    yield "DICOM: slice missing", {name: whole[name] for name in names if name != names[6]}, False
    yield "DICOM: two slices missing", {n: whole[n] for n in names if n not in names[4:6]}, False
    yield "DICOM: slice twice", whole | {"copy.dcm": whole[names[3]]}, False
    yield "DICOM: three slices", {name: whole[name] for name in names[:3]}, False
    yield "DICOM: one slice", {names[0]: whole[names[0]]}, False
    yield "DICOM: empty folder", {}, False
    yield "DICOM: no DICOM file", {"notes.txt": b"nothing here", "picture.png": b"\x89PNG"}, False
    yield "DICOM: noise in place of a slice", whole | {names[2]: random.bytes(5000)}, False
    other = whole_series(lambda one, _: setattr(one, "SeriesInstanceUID", f"{_UID}.7"))
    yield "DICOM: two series", whole | {f"b_{n}": c for n, c in other.items()}, False
    for keyword, value in _EVERY_SLICE:
        yield f"DICOM: {keyword}", whole_series(_setter(keyword, value)), False
    for keyword, value in _ONE_SLICE:
        yield f"DICOM: {keyword} in one slice", whole_series(_setter(keyword, value, only=5)), False
    yield "DICOM: tilted gantry", whole_series(_tilted), False
    yield "DICOM: multi-frame", whole_series(_multi_frame), False
    yield "DICOM: packed voxels damaged", whole_series(_packed(JPEG2000Lossless)), False
    yield "DICOM: packed voxels damaged", whole_series(_packed(RLELossless)), False
    yield "DICOM: unknown transfer syntax", whole_series(_syntax("1.2.3.4")), False
    yield "DICOM: deflated", whole_series(_syntax(DeflatedExplicitVRLittleEndian)), False


def _flipped_slices(whole: Files, random: np.random.Generator) -> Iterator[tuple[str, Files, bool]]:
    names = list(whole)
    for _ in range(60):
        name = names[int(random.integers(0, len(names)))]
        content = bytearray(whole[name])
        told = [byte for byte in range(128, len(content)) if not _untold(whole[name], byte)]
        content[told[int(random.integers(0, len(told)))]] ^= 1 << int(random.integers(0, 8))
        yield "DICOM: flipped header bit", whole | {name: bytes(content)}, True


_spans: dict[bytes, list[tuple[int, int]]] = {}


def _untold(content: bytes, byte: int) -> bool:
    """Whether a byte belongs to a value whose damage nobody can see."""
    if content not in _spans:
        one = pydicom.dcmread(io.BytesIO(content))
        found = []
        for keyword in _UNTOLD_VALUES:
            element = one.get_item(pydicom.datadict.tag_for_keyword(keyword))
            found.append((element.value_tell, element.value_tell + element.length))
        _spans[content] = found
    return any(start <= byte < stop for start, stop in _spans[content])


_EVERY_SLICE: tuple[tuple[str, Any], ...] = (
    *(
        (keyword, None)
        for keyword in (
            "SOPClassUID",
            "Modality",
            "ImagePositionPatient",
            "ImageOrientationPatient",
            "PixelSpacing",
            "Rows",
            "Columns",
            "BitsAllocated",
            "PixelRepresentation",
            "PhotometricInterpretation",
            "SamplesPerPixel",
            "RescaleSlope",
            "RescaleIntercept",
            "PixelData",
        )
    ),
    ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4"),
    ("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]),
    ("Modality", "MR"),
    ("ImagePositionPatient", [0, 0, 0]),
    ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
    ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]),
    ("ImageOrientationPatient", [1, 0, 0, 0, 0.7, 0]),
    ("PixelSpacing", [0, 5]),
    ("PixelSpacing", [-5, 5]),
    ("PixelSpacing", [500, 500]),
    ("PixelSpacing", [0.001, 0.001]),
    ("PhotometricInterpretation", "MONOCHROME1"),
    ("PhotometricInterpretation", "RGB"),
    ("SamplesPerPixel", 3),
    ("BitsAllocated", 8),
    ("BitsAllocated", 32),
    ("Rows", 65535),
    ("Columns", 65535),
    ("Rows", 0),
    ("RescaleSlope", 0),
    ("RescaleSlope", -1),
    ("RescaleSlope", 1000),
    ("RescaleIntercept", 0),
    ("RescaleIntercept", -2048),
    ("RescaleType", "OD"),
)
_ONE_SLICE: tuple[tuple[str, Any], ...] = (
    ("ImageOrientationPatient", [0.98, 0.199, 0, -0.199, 0.98, 0]),
    ("ImagePositionPatient", [-87.5, -97.5, 500.0]),
    ("ImagePositionPatient", [-60.0, -97.5, -13.5]),
    ("ImagePositionPatient", None),
    ("PixelSpacing", [5.2, 5.2]),
    ("Rows", 39),
    ("FrameOfReferenceUID", f"{_UID}.44"),
    ("SeriesInstanceUID", f"{_UID}.22"),
    ("RescaleIntercept", None),
    ("PixelData", b"\0\0"),
    ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4"),
    ("PhotometricInterpretation", "MONOCHROME1"),
)


def _setter(
    keyword: str, value: Any, *, only: int | None = None
) -> Callable[[FileDataset, int], None]:
    def change(one: FileDataset, k: int) -> None:
        if only is not None and k != only:
            return
        if value is None:
            delattr(one, keyword)
        else:
            setattr(one, keyword, value)

    return change


def _tilted(one: FileDataset, k: int) -> None:
    x, y, z = one.ImagePositionPatient
    one.ImagePositionPatient = [x, float(y) + 1.5 * k, z]
    one.GantryDetectorTilt = 9.5


def _multi_frame(one: FileDataset, k: int) -> None:
    one.SOPClassUID = EnhancedCTImageStorage
    one.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    one.NumberOfFrames = 1


def _syntax(uid: str) -> Callable[[FileDataset, int], None]:
    def change(one: FileDataset, k: int) -> None:
        one.file_meta.TransferSyntaxUID = uid

    return change


def _packed(uid: str) -> Callable[[FileDataset, int], None]:
    def change(one: FileDataset, k: int) -> None:
        one.file_meta.TransferSyntaxUID = uid
        one.PixelData = pydicom.encaps.encapsulate([b"\x02\0\0\0" + bytes(range(256)) * 4])
        one["PixelData"].is_undefined_length = True

    return change
