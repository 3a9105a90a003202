"""The voxels of a label map that a client sent, read within bounds.

Whatever a header claims is held against the image before anything is unpacked, and unpacking stops
where the header said that it ends.
"""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.errors import (
    GeometryError,
    InputRefusedError,
    ParotidBrachyError,
    StoreFullError,
    TooLargeError,
)
from parotid_brachy.lib.imaging.ct_checks import grid_of_affine
from parotid_brachy.lib.imaging.files import read_header, whole_numbers
from parotid_brachy.lib.imaging.limits import CT_LIMITS, FileLimits
from parotid_brachy.lib.imaging.stored_image import StoredImage, read_stored, require_size
from parotid_brachy.lib.imaging.volume import Grid

RAW_ENDING: Final = ".bin"
ENDINGS: Final = (".seg.nrrd", ".nii.gz", ".nrrd", ".nii", ".mha", RAW_ENDING)
"""Names of files that are taken in, longer endings first."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_SHOWN_BYTES: Final = 100


@dataclass(frozen=True)
class IntakeLimits:
    """Bounds of what is taken in.

    Attributes:
        received_bytes: longest file as sent.
        bytes_per_voxel: most bytes that it may unpack to, for each voxel of the image: numbers of
            8 bytes, or a layer of its own for every structure and some more, fit.
        least_bytes: what it may always unpack to.
        file: bounds of headers and voxels that hold for all files.
    """

    received_bytes: int = 512 * 1024**2
    bytes_per_voxel: int = 32
    least_bytes: int = 16 * 1024**2
    file: FileLimits = CT_LIMITS


@dataclass(frozen=True)
class ReceivedMap:
    """What was read of a client's file.

    Attributes:
        name: the file as messages show it.
        voxels: values 0-255 as stored, ``[k, j, i]`` (``[k, j, i, layer]`` with layers); on the
            image's grid, unless the file names segments.
        header: None for OHIF's raw bytes, which have none.
    """

    name: str
    voxels: NDArray[np.uint8]
    header: StoredImage | None

    @property
    def names_segments(self) -> bool:
        """Whether the file itself says what its values mean."""
        return self.header is not None and bool(self.header.segments)


def ending_of(name: str) -> str:
    """The ending by which a received file is read.

    Raises:
        InputRefusedError: it has none of ``ENDINGS``.
    """
    lower = name.lower()
    for ending in ENDINGS:
        if lower.endswith(ending):
            return ending
    message = f"{shown_name(name)}: no label map's file. Send one of {', '.join(ENDINGS)}."
    raise InputRefusedError(message)


def shown_name(name: str) -> str:
    """A client's file name as messages show it: harmless, short, without a path."""
    kept = re.sub(r"[^\w .,()+-]", "_", re.split(r"[/\\]", name)[-1]).lstrip(".")
    return kept.encode()[:_SHOWN_BYTES].decode(errors="ignore") or "label"


def read_received(
    received: bytes | Path, *, name: str, grid: Grid, limits: IntakeLimits
) -> ReceivedMap:
    """Reads what a client sent.

    Args:
        received: the file's bytes, or where it lies.
        name: what the client called it; its ending tells the format.
        grid: the image's grid.
        limits: bounds of what is taken.

    Raises:
        InputRefusedError: it cannot be read, or holds other than whole numbers of 0 to 255.
        GeometryError: it does not lie on the image's grid.
        TooLargeError: it is, or unpacks to, more than is taken.
        StoreFullError: there is no room to unpack it.
    """
    ending = ending_of(name)
    shown = f"{shown_name(name[: -len(ending)])}{ending}"
    length = _length(received, shown)
    if length > limits.received_bytes:
        message = (
            f"{shown}: {length} bytes; at most {limits.received_bytes} are taken. "
            "Save the label map compressed (.nii.gz, .seg.nrrd)."
        )
        raise TooLargeError(message)
    if not length:
        raise InputRefusedError(f"{shown}: empty, no bytes arrived. Save it again.")
    if ending == RAW_ENDING:
        return ReceivedMap(shown, _raw_voxels(received, length, shown, grid), None)
    with _private_file(received, shown) as path:
        stored = _checked_header(path, grid, limits)
        return ReceivedMap(shown, whole_numbers(read_stored(stored), stored), stored)


def _checked_header(path: Path, grid: Grid, limits: IntakeLimits) -> StoredImage:
    """The header, if nothing that it states stands against reading the voxels.

    Raises:
        InputRefusedError, GeometryError, TooLargeError: something does.
    """
    stored = read_header(path, limits.file, layers=True)
    if stored.data != path:
        message = f"{stored.name}: its voxels are in another file. Save it as one file."
        raise InputRefusedError(message)
    most = limits.bytes_per_voxel * int(np.prod(grid.size_ijk, dtype=np.int64))
    most = min(max(most, limits.least_bytes), limits.file.voxel_bytes)
    if stored.voxel_bytes > most:
        sizes = " x ".join(str(extent) for extent in stored.size)
        message = (
            f"{stored.name}: its header states {sizes} voxels of {stored.dtype.itemsize} bytes, "
            f"{stored.voxel_bytes / 1024**2:.4g} MiB; at most {most / 1024**2:.4g} MiB are "
            f"unpacked for an image of {grid.describe()}. Save a label map of the image."
        )
        raise TooLargeError(message)
    require_size(stored, limits.file)
    if not stored.segments:
        if len(stored.size) != 3:
            message = f"{stored.name}: several layers but no segments named. Save one label map."
            raise InputRefusedError(message)
        shear = limits.file.shear
        own = grid_of_affine(stored.affine_lps, stored.size_ijk, name=stored.name, shear=shear)
        grid.require_same(own, what=stored.name)
    return stored


def _length(received: bytes | Path, shown: str) -> int:
    if not isinstance(received, Path):
        return len(received)
    try:
        return received.stat().st_size
    except OSError as error:
        raise _not_readable(error, shown) from error


def _raw_voxels(received: bytes | Path, length: int, shown: str, grid: Grid) -> NDArray[np.uint8]:
    """OHIF's ``label.bin``: one byte a voxel, i fastest, which is ``[k, j, i]`` in NumPy's order.

    Raises:
        GeometryError: not exactly one byte for each voxel of the image.
    """
    expected = int(np.prod(grid.size_ijk, dtype=np.int64))
    if length != expected:
        message = (
            f"{shown}: {length} bytes for an image of {expected} voxels ({grid.describe()}). "
            "Send one byte (uint8) for each voxel, uncompressed."
        )
        raise GeometryError(message)
    try:
        content = received.read_bytes() if isinstance(received, Path) else received
    except OSError as error:
        raise _not_readable(error, shown) from error
    return np.frombuffer(content, dtype=np.uint8).reshape(grid.shape_kji)


@contextmanager
def _private_file(received: bytes | Path, shown: str) -> Iterator[Path]:
    """What arrived, under its shown name and alone in a folder.

    A header may name a data file beside its own; here nothing is beside it.

    Raises:
        StoreFullError: there is no room for it.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="intake-")
    except OSError as error:
        raise _not_readable(error, shown) from error
    with folder:
        path = Path(folder.name) / shown
        try:
            if isinstance(received, Path):
                shutil.copyfile(received, path)
            else:
                path.write_bytes(received)
        except OSError as error:
            raise _not_readable(error, shown) from error
        yield path


def _not_readable(error: OSError, shown: str) -> ParotidBrachyError:
    if error.errno in _FULL:
        message = f"{shown}: no room to unpack it ({error.strerror}). Nothing was kept."
        return StoreFullError(message)
    return InputRefusedError(f"{shown}: cannot be read ({error.strerror}). Save it again.")
