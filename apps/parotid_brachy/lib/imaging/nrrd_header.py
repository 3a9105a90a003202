"""What a NRRD header claims (NRRD0001-0005, attached or with the data file beside it)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import nrrd
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

_TO_LPS = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "lps": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "ras": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "las": (1.0, -1.0, 1.0),
}
_COMPRESSION = {"raw": Compression.NONE, "gzip": Compression.GZIP, "gz": Compression.GZIP}
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": (
        "longlong",
        "long long",
        "long long int",
        "signed long long",
        "signed long long int",
        "int64",
        "int64_t",
    ),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_DTYPES = {spelling: numpy for numpy, spellings in _TYPES.items() for spelling in spellings}
_SPATIAL_KINDS = ("domain", "space")
_LAYER_KINDS = ("list",)


def read_nrrd_header(path: Path, limits: FileLimits, *, layers: bool = False) -> StoredImage:
    """Parses the header of a ``.nrrd`` or ``.nhdr`` file.

    Args:
        path: the file.
        limits: how long a header may be.
        layers: whether a fourth axis before the spatial ones is allowed, as 3D Slicer writes it
            for segments that overlap.

    Raises:
        InputRefusedError: no NRRD file, a damaged header, or something else than a volume.
        GeometryError: no orientation stated.
    """
    name = path.name
    fields, length = _parsed(path, limits)
    size, spatial = _size(fields, name, layers=layers)
    encoding = str(fields.get("encoding", "")).lower()
    if encoding not in _COMPRESSION:
        message = f"{name}: encoding {quoted(encoding)} is not read. Save it as raw or gzip."
        raise InputRefusedError(message)
    for skip in ("line skip", "lineskip", "byte skip", "byteskip"):
        if fields.get(skip, 0) != 0:
            message = f"{name}: skips bytes before its voxels. Save it as one plain .nrrd file."
            raise InputRefusedError(message)
    detached = fields.get("data file", fields.get("datafile"))
    if path.suffix.lower() == ".nhdr" and detached is None:
        raise InputRefusedError(f"{name}: names no data file. Save it as one .nrrd file.")
    return StoredImage(
        name=name,
        size=size,
        affine_lps=_affine_lps(fields, spatial, name),
        dtype=_dtype(fields, name),
        data=path if detached is None else file_beside(path, str(detached)),
        start=length if detached is None else 0,
        compression=_COMPRESSION[encoding],
        segments={key: str(value) for key, value in fields.items() if key.startswith("Segment")},
    )


def _parsed(path: Path, limits: FileLimits) -> tuple[dict[str, Any], int]:
    """The header's fields and its length, up to and with the empty line."""
    with path.open("rb") as file:
        block = file.read(limits.header_bytes)
    if not block.startswith(b"NRRD"):
        raise InputRefusedError(f"{path.name}: not a NRRD file. Export it again.")
    ends = [
        (where, where + len(mark))
        for mark in (b"\n\n", b"\r\n\r\n")
        if (where := block.find(mark)) >= 0
    ]
    if ends:
        text_end, length = min(ends)
    elif path.suffix.lower() == ".nhdr":
        text_end = length = len(block)
    else:
        message = f"{path.name}: its header has no end (cut short?). Copy or export it again."
        raise InputRefusedError(message)
    try:
        # Numbers beyond every integer become refused sizes, without NumPy's warning.
        with np.errstate(invalid="ignore"):
            fields = dict(nrrd.read_header(io.BytesIO(block[:text_end] + b"\n\n")))
    except (
        nrrd.NRRDError,
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        OverflowError,
        StopIteration,
    ) as error:
        message = f"{path.name}: damaged header ({quoted(error)}). Export it again."
        raise InputRefusedError(message) from error
    return fields, length


def _size(fields: dict[str, Any], name: str, *, layers: bool) -> tuple[tuple[int, ...], list[int]]:
    """Voxels along all axes, and which axes are those of space."""
    if "sizes" not in fields or "dimension" not in fields:
        message = f"{name}: damaged header, no dimension or sizes. Export it again."
        raise InputRefusedError(message)
    size = tuple(int(extent) for extent in fields["sizes"])
    count = int(fields["dimension"])
    kinds = [str(kind).lower() for kind in fields.get("kinds", ["domain"] * len(size))]
    if count != len(size) or len(kinds) != count:
        message = (
            f"{name}: damaged header, {count} dimensions stated, {len(size)} sizes and "
            f"{len(kinds)} kinds. Export it again."
        )
        raise InputRefusedError(message)
    if layers and count == 4 and kinds[0] in _LAYER_KINDS:
        kinds, spatial = kinds[1:], [1, 2, 3]
    else:
        spatial = list(range(count))
    if len(spatial) != 3 or any(kind not in _SPATIAL_KINDS for kind in kinds):
        message = (
            f"{name}: {count} axes of kinds {quoted(', '.join(kinds))}; give one volume of three "
            "dimensions with one number a voxel."
        )
        raise InputRefusedError(message)
    return size, spatial


def _dtype(fields: dict[str, Any], name: str) -> np.dtype[Any]:
    stated = str(fields.get("type", "")).lower()
    if stated not in _DTYPES:
        message = (
            f"{name}: voxels of type {quoted(stated)}. "
            "Save it with one integer or floating-point number a voxel."
        )
        raise InputRefusedError(message)
    dtype = np.dtype(_DTYPES[stated])
    if dtype.itemsize == 1:
        return dtype
    endian = str(fields.get("endian", "")).lower()
    if endian not in ("little", "big"):
        message = f"{name}: damaged header, byte order {quoted(endian)}. Export it again."
        raise InputRefusedError(message)
    return dtype.newbyteorder("<" if endian == "little" else ">")


def _affine_lps(fields: dict[str, Any], spatial: list[int], name: str) -> FloatArray:
    space = str(fields.get("space", "")).lower()
    if space not in _TO_LPS or "space directions" not in fields or "space origin" not in fields:
        message = (
            f"{name}: does not state where it lies (space {quoted(space)}, directions and origin "
            "are needed), so that left and right cannot be told. Export it again from the DICOM "
            "series."
        )
        raise GeometryError(message)
    units = [str(unit).lower() for unit in fields.get("space units", [])]
    if any(unit not in ("mm", "") for unit in units):
        message = f"{name}: its unit is {quoted(', '.join(units))}. Save it in millimetres."
        raise GeometryError(message)
    directions = np.asarray(fields["space directions"], dtype=np.float64)
    origin = np.asarray(fields["space origin"], dtype=np.float64)
    axes = len(spatial) + spatial[0]
    if directions.shape != (axes, 3) or origin.shape != (3,):
        message = (
            f"{name}: damaged header, {directions.shape} space directions and {origin.shape} "
            "origin. Export it again."
        )
        raise GeometryError(message)
    affine = np.eye(4)
    to_lps = np.asarray(_TO_LPS[space])
    affine[:3, :3] = to_lps[:, None] * directions[spatial].T
    affine[:3, 3] = to_lps * origin
    return affine
