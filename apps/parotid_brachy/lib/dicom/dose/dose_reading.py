"""A dose of a planning system (RTDOSE), as Gy on an axis-aligned lattice."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RTDoseStorage,
)

from parotid_brachy.lib.dosimetry.dose_grid import MOST_VOXELS, DoseGrid
from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.dicom_slice import read_dataset
from parotid_brachy.lib.imaging.limits import FileLimits
from parotid_brachy.lib.imaging.stored_image import quoted, regular_file
from parotid_brachy.lib.imaging.volume import FloatArray, Grid, to_image

_LIMITS: Final = FileLimits(slice_file_bytes=1024**3)
_PLAIN: Final = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_UNEVEN_MM: Final = 0.01
_ASKEW: Final = 1e-4
_STATED: Final = (
    ("DoseUnits", "GY", "a dose in Gy is needed; export it absolute, not relative"),
    ("DoseType", "PHYSICAL", "the physical dose is needed, not an effective one or an error"),
)


def read_dose(path: Path) -> DoseGrid:
    """The dose of an RTDOSE, turned so that its axes are the patient's (LPS).

    Args:
        path: of the file.

    Raises:
        InputRefusedError: no dose in Gy, compressed, or damaged.
        GeometryError: an oblique grid, uneven planes, or a single one.
    """
    name = path.name
    dataset = read_dataset(regular_file(path), _LIMITS, pixels=True)
    if dataset.get("SOPClassUID") != RTDoseStorage:
        raise InputRefusedError(f"{name}: no RT dose. Give the RTDOSE of the plan.")
    for keyword, needed, what in _STATED:
        if dataset.get(keyword) != needed:
            message = f"{name}: {keyword} is {quoted(dataset.get(keyword))}; {what}."
            raise InputRefusedError(message)
    if dataset.file_meta.get("TransferSyntaxUID") not in _PLAIN:
        raise InputRefusedError(f"{name}: a compressed dose. Export it uncompressed.")
    try:
        grid = _grid(name, dataset)
        gy = _gy(name, dataset, grid)
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        message = f"{name}: damaged RT dose ({quoted(error)}). Export it again."
        raise InputRefusedError(message) from error
    return _along_patient(gy, grid)


def _grid(name: str, dataset: FileDataset) -> Grid:
    across, down = np.asarray(dataset.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    normal = np.cross(across, down)
    columns = np.stack([across, down, normal], axis=1)
    if not np.allclose(np.abs(columns), np.rint(np.abs(columns)), atol=_ASKEW) or (
        abs(abs(float(np.linalg.det(columns))) - 1.0) > _ASKEW
    ):
        stated = [round(float(value), 4) for value in (*across, *down)]
        message = f"{name}: a dose grid askew to the patient ({stated}). Export it along the axes."
        raise GeometryError(message)
    origin = np.asarray(dataset.ImagePositionPatient, dtype=np.float64)
    offsets = _offsets(name, dataset, origin, normal)
    steps = np.diff(offsets)
    if (
        not np.all(np.isfinite(steps))
        or abs(steps[0]) < _UNEVEN_MM
        or (np.abs(steps - steps[0]).max() > _UNEVEN_MM)
    ):
        raise GeometryError(f"{name}: its planes are not evenly spaced. Export it evenly.")
    # The mean step: rounded offsets would add up over the planes.
    step = float(offsets[-1] - offsets[0]) / (offsets.size - 1)
    rows_mm, columns_mm = (float(value) for value in dataset.PixelSpacing)
    spacing = (columns_mm, rows_mm, abs(step))
    if not np.all(np.isfinite([*spacing, *origin])) or min(spacing) <= 0.0:
        raise GeometryError(f"{name}: spacing {spacing} mm, origin {origin.tolist()} mm LPS.")
    columns[:, 2] *= np.sign(step)
    direction = tuple(float(value) for value in np.rint(columns).ravel())
    size = (int(dataset.Columns), int(dataset.Rows), offsets.size)
    return Grid(size, spacing, (float(origin[0]), float(origin[1]), float(origin[2])), direction)


def _offsets(name: str, dataset: FileDataset, origin: FloatArray, normal: FloatArray) -> FloatArray:
    """Of the planes along the normal, the first of them 0 (PS3.3 C.8.8.3.2).

    Either relative to the first plane, or absolute: coordinates along the patient's axis.
    """
    offsets = np.atleast_1d(np.asarray(dataset.get("GridFrameOffsetVector", []), dtype=np.float64))
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    if frames < 2 or offsets.size != frames:
        message = f"{name}: {frames} planes with {offsets.size} offsets; two or more are needed."
        raise GeometryError(message)
    if offsets[0] == 0.0:
        return offsets
    axis = int(np.argmax(np.abs(normal)))
    if abs(offsets[0] - origin[axis]) > _UNEVEN_MM:
        message = (
            f"{name}: its planes begin at {offsets[0]:g} mm, but its position says "
            f"{origin[axis]:g} mm. Export it again."
        )
        raise GeometryError(message)
    absolute: FloatArray = (offsets - offsets[0]) * np.sign(normal[axis])
    return absolute


def _gy(name: str, dataset: FileDataset, grid: Grid) -> NDArray[np.float32]:
    bits = int(dataset.BitsAllocated)
    if bits not in (16, 32) or int(dataset.get("SamplesPerPixel", 1)) != 1:
        raise InputRefusedError(f"{name}: {bits} bits a voxel; 16 or 32 are needed.")
    if not 0 < int(np.prod(grid.size_ijk, dtype=object)) <= MOST_VOXELS:
        raise InputRefusedError(f"{name}: a grid of {grid.size_ijk} voxels.")
    order = ">" if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<"
    kind = "i" if int(dataset.get("PixelRepresentation", 0)) else "u"
    pixels: Any = dataset.get("PixelData")
    count = int(np.prod(grid.size_ijk))
    if pixels is None or len(pixels) < count * bits // 8:
        raise InputRefusedError(f"{name}: its dose is cut short. Export it again.")
    stored = np.frombuffer(pixels, dtype=f"{order}{kind}{bits // 8}", count=count)
    scaling = float(dataset.DoseGridScaling)
    if not np.isfinite(scaling) or scaling <= 0.0:
        raise InputRefusedError(f"{name}: a dose grid scaling of {scaling}.")
    gy = (stored.astype(np.float64) * scaling).reshape(grid.shape_kji)
    return np.asarray(gy, dtype=np.float32)


def _along_patient(gy: NDArray[np.float32], grid: Grid) -> DoseGrid:
    turned = sitk.DICOMOrient(to_image(gy, grid), "LPS")
    return DoseGrid(sitk.GetArrayFromImage(turned), Grid.of(turned))
