"""What a MetaImage header claims (``.mha``, or ``.mhd`` with the data file beside it)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.limits import FileLimits
from parotid_brachy.lib.imaging.stored_image import (
    Compression,
    StoredImage,
    file_beside,
    quoted,
)
from parotid_brachy.lib.imaging.volume import FloatArray

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
"""MET_LONG is left out: its length depends on the machine that wrote it."""
_TRUTH = {"true": True, "false": False, "1": True, "0": False}
_LAST_FIELD = "ElementDataFile"
_ORDER_FIELDS = ("ElementByteOrderMSB", "BinaryDataByteOrderMSB")
_ORIGIN_FIELDS = ("Offset", "Position", "Origin")
_MATRIX_FIELDS = ("TransformMatrix", "Rotation", "Orientation")


def read_metaimage_header(path: Path, limits: FileLimits) -> StoredImage:
    """Parses the header of a ``.mha`` or ``.mhd`` file.

    Raises:
        InputRefusedError: no MetaImage, a damaged header, or something else than a volume.
        GeometryError: no orientation stated.
    """
    name = path.name
    fields, length = _parsed(path, limits)
    if fields.get("ObjectType", "Image") != "Image":
        message = f"{name}: holds a {quoted(fields['ObjectType'])}, no image. Give a CT volume."
        raise InputRefusedError(message)
    if not _truth(fields, "BinaryData", name, default=True):
        raise InputRefusedError(f"{name}: voxels written as text. Save it as binary.")
    if fields.get("HeaderSize", "0") != "0":
        raise InputRefusedError(f"{name}: states a second header. Save it as one plain .mha file.")
    if fields.get("ElementNumberOfChannels", "1") != "1":
        message = f"{name}: several numbers a voxel (colour or vector). Give a CT of one."
        raise InputRefusedError(message)
    if _numbers(fields, "NDims", 1, name)[0] != 3:
        message = f"{name}: {quoted(fields['NDims'])} dimensions; give one CT volume of three."
        raise InputRefusedError(message)
    stated = _numbers(fields, "DimSize", 3, name)
    size = tuple(int(extent) for extent in stated)
    if size != tuple(stated):
        message = f"{name}: damaged header, DimSize is {quoted(fields['DimSize'])}. Save it again."
        raise InputRefusedError(message)
    data_file = fields[_LAST_FIELD]
    attached = data_file.upper() == "LOCAL"
    return StoredImage(
        name=name,
        size=size,
        affine_lps=_affine_lps(fields, name),
        dtype=_dtype(fields, name),
        data=path if attached else file_beside(path, data_file),
        start=length if attached else 0,
        compression=Compression.ZLIB
        if _truth(fields, "CompressedData", name, default=False)
        else Compression.NONE,
        slope=_numbers(fields, "ElementToIntensityFunctionSlope", 1, name, default=[1.0])[0],
        intercept=_numbers(fields, "ElementToIntensityFunctionOffset", 1, name, default=[0.0])[0],
    )


def _parsed(path: Path, limits: FileLimits) -> tuple[dict[str, str], int]:
    """The header's fields and its length, up to and with the line that names the data."""
    fields: dict[str, str] = {}
    length = 0
    with path.open("rb") as file:
        while length < limits.header_bytes:
            line = file.readline(limits.header_bytes - length)
            length += len(line)
            key, sign, value = line.decode("latin-1").partition("=")
            key, value = key.strip(), value.strip()
            if not line or not sign or not key.isascii() or not key.isidentifier():
                break
            if key in fields:
                message = f"{path.name}: damaged header, '{key}' twice. Save it again."
                raise InputRefusedError(message)
            fields[key] = value
            if key == _LAST_FIELD:
                return fields, length
    message = f"{path.name}: no readable MetaImage header (no {_LAST_FIELD}). Save it again."
    raise InputRefusedError(message)


def _truth(fields: dict[str, str], key: str, name: str, *, default: bool) -> bool:
    value = fields.get(key)
    if value is None:
        return default
    if value.lower() not in _TRUTH:
        message = f"{name}: damaged header, {key} is {quoted(value)}. Save it again."
        raise InputRefusedError(message)
    return _TRUTH[value.lower()]


def _numbers(
    fields: dict[str, str], key: str, count: int, name: str, *, default: list[float] | None = None
) -> list[float]:
    if key not in fields and default is not None:
        return default
    try:
        values = [float(word) for word in fields.get(key, "").split()]
    except ValueError:
        values = []
    if len(values) != count or not np.all(np.isfinite(values)) or max(map(abs, values)) > 1e15:
        message = (
            f"{name}: damaged header, {key} is {quoted(fields.get(key, ''))}, {count} numbers are "
            "needed. Save it again."
        )
        raise InputRefusedError(message)
    return values


def _dtype(fields: dict[str, str], name: str) -> np.dtype[Any]:
    stated = fields.get("ElementType", "")
    if stated not in _TYPES:
        message = (
            f"{name}: voxels of type {quoted(stated)}. "
            "Save it with one integer or floating-point number a voxel."
        )
        raise InputRefusedError(message)
    dtype = np.dtype(_TYPES[stated])
    orders = {_truth(fields, key, name, default=False) for key in _ORDER_FIELDS if key in fields}
    if dtype.itemsize > 1 and len(orders) != 1:
        message = f"{name}: damaged header, no clear byte order. Save it again."
        raise InputRefusedError(message)
    return dtype.newbyteorder(">" if True in orders else "<")


def _affine_lps(fields: dict[str, str], name: str) -> FloatArray:
    """MetaImage's coordinates are ITK's: LPS millimetres; each row of its matrix is an axis."""
    origins = [key for key in _ORIGIN_FIELDS if key in fields]
    matrices = [key for key in _MATRIX_FIELDS if key in fields]
    if len(origins) != 1 or len(matrices) != 1 or "ElementSpacing" not in fields:
        message = (
            f"{name}: does not state where it lies (one Offset, one TransformMatrix and "
            "ElementSpacing are needed), so that left and right cannot be told. "
            "Export it again from the DICOM series."
        )
        raise GeometryError(message)
    spacing = np.asarray(_numbers(fields, "ElementSpacing", 3, name))
    if np.any(spacing <= 0.0):
        message = f"{name}: damaged header, voxel sizes {spacing.tolist()} mm. Save it again."
        raise GeometryError(message)
    rows = np.asarray(_numbers(fields, matrices[0], 9, name)).reshape(3, 3)
    lengths = np.sqrt((rows**2).sum(axis=1))
    if np.any(np.abs(lengths - 1.0) > 1e-3):
        message = (
            f"{name}: damaged header, the axes in {matrices[0]} have lengths "
            f"{np.round(lengths, 4).tolist()}, not 1. Save it again."
        )
        raise GeometryError(message)
    affine = np.eye(4)
    affine[:3, :3] = rows.T * spacing
    affine[:3, 3] = _numbers(fields, origins[0], 3, name)
    return affine
