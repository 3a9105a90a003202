"""One slice of a CT series: a DICOM file, parsed and checked for itself (PS3.3, A.3)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
)

from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.ct_checks import ct_numbers
from parotid_brachy.lib.imaging.limits import FileLimits
from parotid_brachy.lib.imaging.stored_image import quoted
from parotid_brachy.lib.imaging.volume import FloatArray

# pydicom's warnings quote values whole: megabytes of a damaged file in the log.
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")

_PREAMBLE_BYTES = 132
_HU_TYPES = ("", "HU", "US")
"""Rescale types that hold HU: left out, stated, or "unspecified"."""
_WANTED = {
    "Modality": ("CT",),
    "PhotometricInterpretation": ("MONOCHROME2",),
    "SamplesPerPixel": ("1",),
    "BitsAllocated": ("16",),
    "PixelRepresentation": ("0", "1"),
    "RescaleType": _HU_TYPES,
}


@dataclass(frozen=True)
class CtSlice:
    """What one slice's header states.

    Attributes:
        path: its file.
        series_uid: the series that it belongs to.
        series_number: the same, for people.
        frame_uid: the coordinate system of its position.
        size_ij: columns and rows.
        spacing_ij_mm: distance of columns and of rows.
        position_lps_mm: centre of its first pixel.
        orientation: unit vectors along a row (i) and along a column (j), in LPS.
        slope: ``HU = slope * stored + intercept``.
        intercept: see ``slope``.
    """

    path: Path
    series_uid: str
    series_number: str
    frame_uid: str
    size_ij: tuple[int, int]
    spacing_ij_mm: tuple[float, float]
    position_lps_mm: tuple[float, float, float]
    orientation: tuple[float, ...]
    slope: float
    intercept: float

    @property
    def normal(self) -> FloatArray:
        """Unit vector at right angles to the slice."""
        axes = np.asarray(self.orientation)
        return np.asarray(np.cross(axes[:3], axes[3:]), dtype=np.float64)


def looks_like_dicom(path: Path) -> bool:
    """Whether a file has DICOM's preamble (PS3.10, section 7.1)."""
    try:
        with path.open("rb") as file:
            return file.read(_PREAMBLE_BYTES)[128:] == b"DICM"
    except OSError:
        return False


def read_dataset(path: Path, limits: FileLimits, *, pixels: bool) -> FileDataset:
    """A DICOM file's elements, all of them converted once, so that damage shows here.

    Read from memory, so that no length that the file states is believed.

    Raises:
        InputRefusedError: too large, damaged, or deflated (which may unpack to any size).
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= limits.slice_file_bytes else b""
    except OSError as error:
        raise InputRefusedError(f"{path.name}: cannot be read ({error}).") from error
    if not content:
        message = (
            f"{path.name}: {size / 1024**2:.0f} MiB, not one CT slice (at most "
            f"{limits.slice_file_bytes / 1024**2:.0f} MiB). Give one file a slice."
        )
        raise InputRefusedError(message)
    try:
        syntax = read_file_meta_info(path).get("TransferSyntaxUID")
        if syntax != DeflatedExplicitVRLittleEndian:
            dataset = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=not pixels)
            for element in dataset:
                _ = element.value
            return dataset
    # pydicom lets nearly any error through where a file is damaged.
    except Exception as error:
        message = f"{path.name}: damaged DICOM file ({_short(error)}). Export it again."
        raise InputRefusedError(message) from error
    message = f"{path.name}: deflated DICOM is not read. Export it uncompressed."
    raise InputRefusedError(message)


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {quoted(error)}"


def why_no_slice(header: FileDataset, path: Path) -> str:
    """Why a DICOM file is no slice of a CT, or nothing.

    Raises:
        InputRefusedError: a multi-frame CT.
    """
    sop_class = str(header.get("SOPClassUID", ""))
    frames = str(header.get("NumberOfFrames", "") or "1")
    if sop_class == EnhancedCTImageStorage or (sop_class == CTImageStorage and frames != "1"):
        message = (
            f"{path.name}: a multi-frame CT, which is not read. Export the series as single "
            "slices (CT Image Storage)."
        )
        raise InputRefusedError(message)
    if sop_class != CTImageStorage:
        return (
            f"no CT image but {quoted(UID(sop_class).name) if sop_class else 'of no stated kind'}"
        )
    return "a localizer" if is_localizer(header) else ""


def is_localizer(header: FileDataset) -> bool:
    """Whether an image shows the planned slices, not anatomy slice by slice."""
    return "LOCALIZER" in [str(word).upper() for word in _listed(header.get("ImageType"))]


def _listed(value: Any) -> list[Any]:
    if value is None or isinstance(value, str):
        return [value] if value else []
    return list(value) if isinstance(value, Iterable) else [value]


def _stated(header: FileDataset, keyword: str) -> str:
    value = header.get(keyword)
    return "missing" if value is None or value == "" else quoted(value)


def _numbers(header: FileDataset, keyword: str, count: int, path: Path) -> tuple[float, ...]:
    """A tag's numbers.

    Raises:
        InputRefusedError: missing, too few or not finite.
    """
    try:
        values = tuple(float(value) for value in _listed(header.get(keyword)))
    except (TypeError, ValueError):
        values = ()
    if len(values) != count or not np.all(np.isfinite(values)) or max(map(abs, values)) > 1e9:
        message = (
            f"{path.name}: {keyword} is {_stated(header, keyword)}, it needs {count} "
            "number(s). Export the series again."
        )
        raise InputRefusedError(message)
    return values


def ct_slice(header: FileDataset, path: Path) -> CtSlice:
    """One slice's header.

    Raises:
        InputRefusedError: a tag is missing or not what a CT slice has; names it.
    """
    for keyword, wanted in _WANTED.items():
        value = header.get(keyword)
        stated = "" if value is None else str(value)
        if stated not in wanted:
            message = (
                f"{path.name}: {keyword} is {_stated(header, keyword)}, a CT in Hounsfield units "
                f"has {' or '.join(word for word in wanted if word)}. Export the original series."
            )
            raise InputRefusedError(message)
    rows = int(_numbers(header, "Rows", 1, path)[0])
    columns = int(_numbers(header, "Columns", 1, path)[0])
    down, across = _numbers(header, "PixelSpacing", 2, path)
    position = _numbers(header, "ImagePositionPatient", 3, path)
    orientation = np.asarray(_numbers(header, "ImageOrientationPatient", 6, path))
    lengths = np.sqrt([(orientation[:3] ** 2).sum(), (orientation[3:] ** 2).sum()])
    if np.any(np.abs(lengths - 1.0) > 1e-2) or min(down, across) <= 0.0:
        message = (
            f"{path.name}: ImageOrientationPatient {orientation.tolist()} or PixelSpacing "
            f"{[down, across]} is no geometry. Export the series again."
        )
        raise GeometryError(message)
    orientation[:3] /= lengths[0]
    orientation[3:] /= lengths[1]
    slope = _numbers(header, "RescaleSlope", 1, path)[0]
    if slope <= 0.0:
        message = f"{path.name}: RescaleSlope is {slope:g}. Export the original series."
        raise InputRefusedError(message)
    series_uid = str(header.get("SeriesInstanceUID", ""))
    label = str(header.get("SeriesNumber", "") or "?")
    return CtSlice(
        path=path,
        series_uid=series_uid,
        series_number=label,
        frame_uid=str(header.get("FrameOfReferenceUID", "")),
        size_ij=(columns, rows),
        # PixelSpacing: first between rows (along j), then between columns (along i).
        spacing_ij_mm=(across, down),
        position_lps_mm=(position[0], position[1], position[2]),
        orientation=tuple(float(value) for value in orientation),
        slope=slope,
        intercept=_numbers(header, "RescaleIntercept", 1, path)[0],
    )


def read_pixels(one: CtSlice, limits: FileLimits) -> NDArray[Any]:
    """CT numbers of one slice, shape (rows, columns).

    Raises:
        InputRefusedError: packed in a way that cannot be unpacked here, or damaged.
    """
    dataset = read_dataset(one.path, limits, pixels=True)
    columns, rows = one.size_ij
    name = one.path.name
    if (dataset.get("Rows"), dataset.get("Columns")) != (rows, columns):
        raise InputRefusedError(f"{name}: changed while it was read. Try again.")
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    is_packed = syntax in AllTransferSyntaxes and syntax.is_compressed
    stored, expected = len(dataset.get("PixelData", b"")), 2 * rows * columns
    if not is_packed and stored != expected:
        fault = "cut short" if stored < expected else "longer than stated"
        message = (
            f"{name}: its pixels are {fault}, {stored} bytes for {columns} x {rows} pixels of "
            "two. Export the series again."
        )
        raise InputRefusedError(message)
    try:
        pixels = np.asarray(dataset.pixel_array)
    # Decoders let nearly any error through where a file is damaged.
    except Exception as error:
        message = (
            f"{name}: its pixels ({syntax.name}) cannot be unpacked ({_short(error)}). "
            "Export the series uncompressed (explicit VR little endian)."
        )
        raise InputRefusedError(message) from error
    if pixels.shape != (rows, columns):
        message = f"{name}: pixels of shape {pixels.shape}. Export the series again."
        raise InputRefusedError(message)
    values = ct_numbers(pixels[None], slope=one.slope, intercept=one.intercept, name=name)
    return np.asarray(values[0])
