"""What a NIfTI header claims (NIfTI-1.1 and NIfTI-2, one file), checked against itself.

NIfTI states the geometry up to three times: sform, qform and voxel sizes. Programs differ in
which they believe, so that a file in which they differ shows different anatomy in the viewer and
here; such a file is refused.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.stored_image import Compression, StoredImage, unpacked_start
from parotid_brachy.lib.imaging.volume import FloatArray

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_NIFTI1_BYTES, _NIFTI2_BYTES = 348, 540
_MAGIC = {_NIFTI1_BYTES: (b"n+1",), _NIFTI2_BYTES: (b"n+2\0\r\n\x1a\n", b"n+2")}
_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
"""NIfTI's data type codes that hold one real number a voxel."""
_MILLIMETRES = (0, 2)
_KNOWN_FORMS = range(6)


def read_nifti_header(path: Path) -> StoredImage:
    """Parses the header of a ``.nii`` or ``.nii.gz`` file.

    Raises:
        InputRefusedError: no NIfTI file, a damaged header, or no single real number a voxel.
        GeometryError: no orientation stated, or two that contradict each other.
    """
    name = path.name
    packed = name.lower().endswith(".gz")
    if packed:
        block = unpacked_start(path, _NIFTI2_BYTES)
    else:
        with path.open("rb") as file:
            block = file.read(_NIFTI2_BYTES)
    header, length = _parsed(block, name)
    size = _size(header, name)
    offset = float(header["vox_offset"])
    if not math.isfinite(offset) or offset != int(offset) or not length + 4 <= offset <= 2**30:
        message = f"{name}: damaged header, voxels said to start at byte {offset:g}. Save it again."
        raise InputRefusedError(message)
    dtype = _dtype(header, name)
    slope, intercept = _scaling(header, name)
    return StoredImage(
        name=name,
        size=size,
        affine_lps=_RAS_TO_LPS @ _affine_ras(header, size, name),
        dtype=dtype,
        data=path,
        start=0 if packed else int(offset),
        skip=int(offset) if packed else 0,
        compression=Compression.GZIP if packed else Compression.NONE,
        slope=slope,
        intercept=intercept,
    )


def _parsed(block: bytes, name: str) -> tuple[Any, int]:
    """The header's fields and its length."""
    kinds: tuple[tuple[Any, int], ...] = (
        (nibabel.Nifti1Header, _NIFTI1_BYTES),
        (nibabel.Nifti2Header, _NIFTI2_BYTES),
    )
    for kind, length in kinds:
        stated = {int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big")}
        if length not in stated or len(block) < length:
            continue
        try:
            header = kind(block[:length], check=False)
        except (WrapStructError, HeaderDataError, ValueError) as error:
            raise InputRefusedError(f"{name}: damaged header ({error}). Save it again.") from error
        if int(header["sizeof_hdr"]) == length and bytes(header["magic"].item()) in _MAGIC[length]:
            return header, length
    message = (
        f"{name}: no readable NIfTI header ({len(block)} bytes looked at). "
        "Give a .nii or .nii.gz file (not a pair of .hdr and .img), or copy it again."
    )
    raise InputRefusedError(message)


def _size(header: Any, name: str) -> tuple[int, int, int]:
    dimensions = [int(value) for value in header["dim"]]
    count = dimensions[0]
    if not 1 <= count <= 7:
        message = f"{name}: damaged header, {count} dimensions stated. Save it again."
        raise InputRefusedError(message)
    axes = dimensions[1 : count + 1]
    if count < 3 or any(extent != 1 for extent in axes[3:]):
        stated = " x ".join(str(extent) for extent in axes)
        message = f"{name}: {count} dimensions ({stated}); give one CT volume of three dimensions."
        raise InputRefusedError(message)
    return (axes[0], axes[1], axes[2])


def _dtype(header: Any, name: str) -> np.dtype[Any]:
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code not in _TYPES:
        message = (
            f"{name}: voxels of NIfTI data type {code} (colour, complex or unknown). "
            "Save it with one integer or floating-point number a voxel."
        )
        raise InputRefusedError(message)
    dtype = np.dtype(_TYPES[code]).newbyteorder(header.endianness)
    if dtype.itemsize * 8 != bits:
        message = (
            f"{name}: damaged header, {bits} bits a voxel stated for data type {code} "
            f"({dtype.itemsize * 8} bits). Save it again."
        )
        raise InputRefusedError(message)
    return dtype


def _scaling(header: Any, name: str) -> tuple[float, float]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0.0:
        # NIfTI-1.1: a slope of zero means that the numbers are not scaled.
        return 1.0, 0.0
    if math.isnan(slope) and math.isnan(intercept):
        # nibabel writes both as NaN for "not scaled" in headers of its own.
        return 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope < 0.0:
        message = (
            f"{name}: damaged header, values scaled by {slope:g} and moved by {intercept:g}. "
            "Save it again in Hounsfield units."
        )
        raise InputRefusedError(message)
    return slope, intercept


def _affine_ras(header: Any, size: tuple[int, int, int], name: str) -> FloatArray:
    """The one geometry that all statements of the header agree on."""
    if int(header["xyzt_units"]) & 0x07 not in _MILLIMETRES:
        message = f"{name}: its header does not state millimetres. Save it in millimetres."
        raise GeometryError(message)
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    if sform_code not in _KNOWN_FORMS or qform_code not in _KNOWN_FORMS:
        message = (
            f"{name}: damaged header, sform code {sform_code}, qform code {qform_code}. "
            "Save it again."
        )
        raise GeometryError(message)
    spacing = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    if not np.all(np.isfinite(spacing)) or np.any(spacing <= 0.0) or np.any(spacing > 1e6):
        message = f"{name}: damaged header, voxel sizes {spacing.tolist()} mm. Save it again."
        raise GeometryError(message)
    if sform_code == 0 and qform_code == 0:
        message = (
            f"{name}: states no orientation (sform and qform codes are 0), so that left and right "
            "cannot be told. Export it again from the DICOM series."
        )
        raise GeometryError(message)
    qform = _qform(header, name) if qform_code else None
    if sform_code == 0:
        assert qform is not None
        return qform
    sform = np.asarray(header.get_sform(), dtype=np.float64)
    if not np.all(np.isfinite(sform)) or np.abs(sform).max() > 1e6:
        raise GeometryError(f"{name}: its affine (sform) is not finite. Save it again.")
    _require_agreement(sform, qform, spacing, size, name)
    return sform


def _qform(header: Any, name: str) -> FloatArray:
    factor = float(header["pixdim"][0])
    if factor not in (-1.0, 0.0, 1.0):
        message = f"{name}: damaged header, qform's handedness is {factor:g}. Save it again."
        raise GeometryError(message)
    copy = header.copy()
    copy["pixdim"][0] = factor or 1.0
    try:
        qform = np.asarray(copy.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        message = f"{name}: damaged header, qform is no rotation ({error}). Save it again."
        raise GeometryError(message) from error
    if not np.all(np.isfinite(qform)) or np.abs(qform).max() > 1e6:
        raise GeometryError(f"{name}: its affine (qform) is not finite. Save it again.")
    return qform


def _require_agreement(
    sform: FloatArray,
    qform: FloatArray | None,
    spacing: FloatArray,
    size: tuple[int, int, int],
    name: str,
) -> None:
    edges = np.sqrt((sform[:3, :3] ** 2).sum(axis=0))
    if np.any(np.abs(edges - spacing) > 0.01 * spacing):
        message = (
            f"{name}: contradicts itself, voxels of {np.round(spacing, 4).tolist()} mm but an "
            f"affine of {np.round(edges, 4).tolist()} mm. Export it again."
        )
        raise GeometryError(message)
    if qform is None:
        return
    last = np.asarray(size, dtype=np.float64) - 1.0
    corners = np.asarray(
        [
            [i * last[0], j * last[1], k * last[2], 1.0]
            for i in (0, 1)
            for j in (0, 1)
            for k in (0, 1)
        ]
    )
    gap = float(np.abs(corners @ (sform - qform).T).max())
    if gap > 0.5 * float(spacing.min()):
        message = (
            f"{name}: contradicts itself, sform and qform place it up to {gap:.1f} mm apart. "
            "Export it again with one of them."
        )
        raise GeometryError(message)
