"""What a file's header claims, and the one bounded way to its voxels.

The format modules parse headers only; whatever they claim is checked against the limits and
against the file's real size before anything is allocated. No native reader ever sees the file,
so that a hostile one cannot crash the process or fill its memory.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.limits import FileLimits
from parotid_brachy.lib.imaging.volume import FloatArray

_CHUNK_BYTES = 1024**2
_MOST_QUOTED = 70
_MOST_DEFLATION = 1032
"""Deflate cannot pack more bytes into one than this (zlib's technical details)."""


class Compression(enum.Enum):
    """How the bytes of the voxels are packed; the value is zlib's window argument."""

    NONE = 0
    GZIP = 16 + zlib.MAX_WBITS
    ZLIB = zlib.MAX_WBITS


@dataclass(frozen=True)
class StoredImage:
    """A header's claims.

    Attributes:
        name: the file's name, for messages.
        size: voxels along the stored axes, fastest first; three, or four where the first counts
            the layers of a segmentation.
        affine_lps: 4 x 4, index (i, j, k, 1) to LPS millimetres.
        dtype: of the stored numbers, with byte order.
        data: the file that holds them.
        start: first byte of the (packed) numbers in that file.
        skip: bytes before the first number after unpacking.
        compression: how they are packed.
        slope: stored number to value, ``value = slope * stored + intercept``.
        intercept: see ``slope``.
        segments: fields that describe the segments of a 3D Slicer segmentation.
    """

    name: str
    size: tuple[int, ...]
    affine_lps: FloatArray
    dtype: np.dtype[Any]
    data: Path
    start: int
    skip: int = 0
    compression: Compression = Compression.NONE
    slope: float = 1.0
    intercept: float = 0.0
    segments: Mapping[str, str] = field(default_factory=dict)

    @property
    def size_ijk(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        return (self.size[-3], self.size[-2], self.size[-1])

    @property
    def voxel_bytes(self) -> int:
        """Bytes that the stored numbers take unpacked."""
        count = 1
        for extent in self.size:
            count *= extent
        return count * self.dtype.itemsize


def quoted(text: object) -> str:
    """A piece of a hostile file for a message: short, and without control characters."""
    shown = str(text)
    return repr(shown if len(shown) <= _MOST_QUOTED else shown[:_MOST_QUOTED] + "...")


def regular_file(path: Path) -> Path:
    """The path, if it is a file that can be read.

    Raises:
        InputRefusedError: there is nothing, or no regular file.
    """
    try:
        is_file = path.is_file()
        exists = is_file or path.exists()
    except (OSError, ValueError) as error:
        raise InputRefusedError(f"{path.name}: cannot be opened ({error}).") from error
    if not exists:
        raise InputRefusedError(f"{path.name}: no such file. Check the path.")
    if not is_file:
        raise InputRefusedError(f"{path.name}: not a file. Give a CT volume's file.")
    return path


def file_beside(header: Path, name: str) -> Path:
    """The data file that a detached header names, which must lie in the same folder.

    Raises:
        InputRefusedError: the name leads elsewhere, or the file is missing.
    """
    if not name or Path(name).name != name or "\\" in name or "\0" in name or "%" in name:
        message = (
            f"{header.name}: its data file {quoted(name)} is not a plain name beside it. "
            "Put header and data into one folder, or save them as one file."
        )
        raise InputRefusedError(message)
    data = header.parent / name
    if data.is_symlink():
        message = f"{header.name}: its data file '{name}' is a link. Put the file itself there."
        raise InputRefusedError(message)
    if not data.is_file():
        message = f"{header.name}: its data file '{name}' is not beside it. Copy it there."
        raise InputRefusedError(message)
    return data


def require_size(stored: StoredImage, limits: FileLimits) -> None:
    """Refuses sizes that no CT has, before anything is allocated.

    Raises:
        InputRefusedError: an axis has no voxels, too few for a volume, or too many in all.
    """
    sizes = " x ".join(str(extent) for extent in stored.size)
    if any(extent < 1 for extent in stored.size):
        message = f"{stored.name}: its header states {sizes} voxels. Save the volume again."
        raise InputRefusedError(message)
    most = max(stored.voxel_bytes, stored.voxel_bytes // stored.dtype.itemsize * 2)
    if most > limits.voxel_bytes:
        message = (
            f"{stored.name}: its header states {sizes} voxels, {most / 1024**3:.3g} GiB; at most "
            f"{limits.voxel_bytes / 1024**3:.3g} GiB are read. Crop or resample the volume."
        )
        raise InputRefusedError(message)


def read_stored(stored: StoredImage) -> NDArray[Any]:
    """The stored numbers, indexed ``[k, j, i]`` (``[k, j, i, layer]`` with layers).

    ``require_size`` comes first. Takes as much memory as the header states, once the file turned
    out to be long enough for that, and a megabyte.

    Raises:
        InputRefusedError: the file is cut short, longer than stated, or damaged.
    """
    expected = stored.voxel_bytes
    try:
        with stored.data.open("rb") as file:
            available = file.seek(0, 2) - stored.start
            file.seek(min(stored.start, stored.start + available))
            if stored.compression is Compression.NONE:
                if available != expected:
                    raise _wrong_length(stored, available)
                buffer = bytearray(expected)
                if file.readinto(buffer) != expected:
                    raise _wrong_length(stored, available)
            else:
                if available * _MOST_DEFLATION + _CHUNK_BYTES < expected:
                    raise _wrong_length(stored, available)
                buffer = _unpacked(file, stored)
    except OSError as error:
        raise InputRefusedError(f"{stored.name}: cannot be read ({error}).") from error
    return np.frombuffer(buffer, dtype=stored.dtype).reshape(stored.size[::-1])


def _wrong_length(stored: StoredImage, available: int) -> InputRefusedError:
    sizes = " x ".join(str(extent) for extent in stored.size)
    fault = "cut short" if available < stored.voxel_bytes else "longer than its header states"
    return InputRefusedError(
        f"{stored.name}: {fault}. The header states {sizes} voxels in {stored.voxel_bytes} bytes, "
        f"the file holds {max(available, 0)}. Copy or export it again."
    )


def _unpacked(file: BinaryIO, stored: StoredImage) -> bytearray:
    """Unpacks exactly as many bytes as the header states, and to the checksum at the end."""
    expected = stored.voxel_bytes
    result = bytearray(expected)
    filled, to_skip = 0, stored.skip
    try:
        for chunk in _unpacked_chunks(file, stored.compression):
            dropped = min(to_skip, len(chunk))
            to_skip -= dropped
            stop = filled + len(chunk) - dropped
            if stop > expected:
                raise _wrong_length(stored, stop)
            result[filled:stop] = chunk[dropped:]
            filled = stop
    except zlib.error as error:
        message = f"{stored.name}: its packed voxels are damaged ({error}). Copy it again."
        raise InputRefusedError(message) from error
    except EOFError as error:
        message = f"{stored.name}: cut short, its packed voxels have no end. Copy it again."
        raise InputRefusedError(message) from error
    if filled != expected:
        raise _wrong_length(stored, filled)
    return result


def _unpacked_chunks(file: BinaryIO, compression: Compression) -> Iterator[bytes]:
    """Unpacked bytes, a megabyte at a time; gzip files of several members too (RFC 1952)."""
    pending = file.read(_CHUNK_BYTES)
    while pending:
        unpacker = zlib.decompressobj(compression.value)
        while not unpacker.eof:
            packed = pending or file.read(_CHUNK_BYTES)
            if not packed:
                raise EOFError
            yield unpacker.decompress(packed, _CHUNK_BYTES)
            pending = unpacker.unconsumed_tail
        pending = unpacker.unused_data or file.read(_CHUNK_BYTES)


def unpacked_start(path: Path, length: int) -> bytes:
    """The first bytes of a gzip file, unpacked, at most ``length``.

    Raises:
        InputRefusedError: the file is no gzip file or damaged.
    """
    unpacker = zlib.decompressobj(Compression.GZIP.value)
    result = b""
    try:
        with path.open("rb") as file:
            while len(result) < length and not unpacker.eof:
                packed = unpacker.unconsumed_tail or file.read(4096)
                if not packed:
                    break
                result += unpacker.decompress(packed, length - len(result))
    except zlib.error as error:
        message = f"{path.name}: not a readable gzip file ({error}). Copy or export it again."
        raise InputRefusedError(message) from error
    except OSError as error:
        raise InputRefusedError(f"{path.name}: cannot be read ({error}).") from error
    return result
