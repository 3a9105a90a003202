"""Damaged inputs by the hundred, the same ones every time.

Each is a whole file with one fault. ``may_be_whole`` marks single flipped bits, which may hit
something that says nothing about the volume (a description, a date): such a file must either be
refused or give exactly the voxels of the undamaged one.
"""

from __future__ import annotations

import enum
import gzip
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.imaging.damage_dicom import dicom_faults, series_head
from tests.imaging.damage_text import metaimage_faults, nrrd_faults
from tests.imaging.heads import head

from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes


@dataclass(frozen=True)
class Damaged:
    """One damaged input.

    Attributes:
        kind: format and fault, for the table.
        path: file or folder.
        may_be_whole: whether it may be read, with equal voxels.
    """

    kind: str
    path: Path
    may_be_whole: bool = False


class Outcome(enum.Enum):
    """What became of a damaged input."""

    REFUSED = "refused"
    WHOLE = "read, equal voxels"
    CHANGED = "read, other voxels"
    UNEXPLAINED = "refused without file, fault or advice"
    CRASHED = "crashed"


def outcome_of(one: Damaged) -> tuple[Outcome, str]:
    """Reads a damaged input; the outcome, and the message if there is one."""
    try:
        volume = read_volume(one.path)
    except ParotidBrachyError as refusal:
        name, _, rest = str(refusal).partition(": ")
        is_named = name == one.path.name or (one.path / name).exists()
        if is_named and rest.endswith(".") and len(rest) > 30:
            return Outcome.REFUSED, str(refusal)
        return Outcome.UNEXPLAINED, str(refusal)
    except Exception as error:  # noqa: BLE001 (that is what must not happen)
        return Outcome.CRASHED, repr(error)
    truth = series_head() if one.path.is_dir() else head()
    if one.may_be_whole and np.array_equal(volume.voxels, truth.voxels):
        return Outcome.WHOLE, ""
    return Outcome.CHANGED, ""


def write_damaged(folder: Path) -> list[Damaged]:
    """Writes all of them below a folder."""
    found = []
    for number, (kind, suffix, content, may_be_whole) in enumerate(_file_faults()):
        path = folder / f"{number:04d}{suffix}"
        path.write_bytes(content)
        found.append(Damaged(kind, path, may_be_whole))
    for number, (kind, files, may_be_whole) in enumerate(dicom_faults()):
        series = folder / f"series_{number:04d}"
        series.mkdir()
        for name, content in files.items():
            (series / name).write_bytes(content)
        found.append(Damaged(kind, series, may_be_whole))
    return found


def _file_faults() -> Iterator[tuple[str, str, bytes, bool]]:
    yield from _nifti_faults()
    yield from nrrd_faults()
    yield from metaimage_faults()


def whole_nifti() -> bytes:
    """The undamaged ``.nii``: the small head with both forms of the geometry."""
    volume = head()
    # The label writer gives a header whose forms agree; only the numbers are exchanged.
    content = bytearray(
        gzip.decompress(nifti_bytes(np.zeros(volume.voxels.shape, "u1"), volume.grid))
    )
    struct.pack_into("<hh", content, 70, 4, 16)
    return bytes(content[:352]) + volume.voxels.astype("<i2").tobytes()


def _nifti_faults() -> Iterator[tuple[str, str, bytes, bool]]:
    whole = whole_nifti()
    packed = gzip.compress(whole, 6, mtime=0)
    random = np.random.default_rng(1)
    for length in [0, 1, 4, 100, 347, 348, 351, 352, 353, 400, len(whole) // 2, len(whole) - 1]:
        yield "NIfTI: cut short", ".nii", whole[:length], False
    for share in np.linspace(0.0, 0.999, 20):
        yield "NIfTI gzip: cut short", ".nii.gz", packed[: int(share * len(packed))], False
    yield "NIfTI gzip: cut short", ".nii.gz", packed[:-1], False
    yield "NIfTI gzip: cut short", ".nii.gz", packed[:-8], False
    for _ in range(25):
        # The first ten bytes are gzip's own header, of which the time and system say nothing.
        where = int(random.integers(10, len(packed)))
        yield "NIfTI gzip: flipped bit", ".nii.gz", flipped(packed, where, random), False
    for _ in range(90):
        yield (
            "NIfTI: flipped header bit",
            ".nii",
            flipped(whole, _header_byte(random), random),
            True,
        )
    yield "NIfTI: too long", ".nii", whole + bytes(1000), False
    yield "NIfTI gzip: unpacks to 300 MB", ".nii.gz", _bomb(whole), False
    yield "NIfTI gzip: no gzip inside", ".nii.gz", whole, False
    yield "NIfTI: gzip inside", ".nii", packed, False
    for kind, changes in _nifti_lies():
        content = bytearray(whole)
        for offset, layout, values in changes:
            struct.pack_into(f"<{layout}", content, offset, *values)
        yield f"NIfTI: {kind}", ".nii", bytes(content), False
    for kind, voxels in _wrong_voxels():
        content = bytearray(whole[:352])
        code = {"i2": 4, "u1": 2, "f4": 16, "f8": 64, "u2": 512, "i8": 1024}[voxels.dtype.str[1:]]
        struct.pack_into("<hh", content, 70, code, voxels.dtype.itemsize * 8)
        yield f"NIfTI: {kind}", ".nii", bytes(content) + voxels.tobytes(), False


def _header_byte(random: np.random.Generator) -> int:
    # scl_slope and scl_inter (112-119) are left out: a flipped low bit there is another scaling
    # that no reader can tell from the right one; their damage is among the lies.
    while True:
        where = int(random.integers(0, 352))
        if not 112 <= where < 120:
            return where


def flipped(content: bytes, where: int, random: np.random.Generator) -> bytes:
    """The content with one random bit of one byte flipped."""
    damaged = bytearray(content)
    damaged[where] ^= 1 << int(random.integers(0, 8))
    return bytes(damaged)


def _bomb(whole: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    parts = [packer.compress(whole[:352])]
    parts += [packer.compress(bytes(1_000_000)) for _ in range(300)]
    return b"".join([*parts, packer.flush()])


def _nifti_lies() -> Iterator[tuple[str, list[tuple[int, str, tuple[float, ...]]]]]:
    """Fault and changes of the header: offset, layout, values."""
    nan, infinity = float("nan"), float("inf")
    for stated in (
        (3, 32767, 32767, 32767),
        (3, 30000, 512, 512),
        (3, 44, 52, 32767),
        (3, 1, 52, 40),
        (3, 0, 52, 40),
        (3, -44, 52, 40),
        (3, 44, 52, 2),
        (3, 44, 52, 41),
        (3, 44, 52, 39),
        (2, 44, 52),
        (1, 44),
        (0,),
        (8, 44, 52, 40),
        (-3, 44, 52, 40),
        (4, 44, 52, 20, 2),
        (4, 44, 52, 40, 0),
        (5, 44, 52, 40, 1, 3),
        (7, 44, 52, 40, 30000, 30000, 30000, 30000),
    ):
        yield "lying dimensions", [(40, f"{len(stated)}h", stated)]
    for code, bits in ((32, 64), (128, 24), (1536, 128), (2304, 32), (0, 0), (1, 1), (999, 16)):
        yield "wrong type", [(70, "hh", (code, bits))]
    for code, bits in ((4, 8), (16, 16), (64, 16)):
        yield "type and bits differ", [(70, "hh", (code, bits))]
    for code, bits in ((8, 32), (64, 64), (2, 8)):
        yield "type and length differ", [(70, "hh", (code, bits))]
    both = (1, 1)
    for rows in (
        ((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0)),
        ((4, 0, 0, 0), (0, 4, 0, 0), (0, 4, 0, 0)),
        ((4, 0, 0, 0), (0, 4, 0, 0), (0, 0, 0, 0)),
        ((nan, 0, 0, 0), (0, 4, 0, 0), (0, 0, 5, 0)),
        ((4, 0, 0, infinity), (0, 4, 0, 0), (0, 0, 5, 0)),
        ((4, 0, 0, 1e30), (0, 4, 0, 0), (0, 0, 5, 0)),
        ((1e30, 0, 0, 0), (0, 4, 0, 0), (0, 0, 5, 0)),
        ((4, 0, 0, 0), (0, 4, 0, 0), (0, 2, 4.58, 0)),
        ((4, 1, 0, 0), (0, 3.87, 0, 0), (0, 0, 5, 0)),
        ((0.001, 0, 0, 0), (0, 0.001, 0, 0), (0, 0, 0.001, 0)),
        ((40, 0, 0, 0), (0, 40, 0, 0), (0, 0, 50, 0)),
    ):
        values = tuple(float(value) for row in rows for value in row)
        spacing = np.sqrt((np.asarray(rows, dtype=float)[:, :3] ** 2).sum(axis=0))
        sizes = tuple(value if 0 < value < 1e9 else 4.0 for value in spacing)
        yield "impossible affine", [(280, "12f", values), (252, "hh", (0, 1)), (80, "3f", sizes)]
        yield "affine against voxel size", [(280, "12f", values), (252, "hh", (0, 1))]
    mirrored = (4.0, 0, 0, -86, 0, -4.0, 0, 102, 0, 0, 5.0, -97.5)
    yield "sform mirrors qform", [(280, "12f", mirrored), (252, "hh", both)]
    yield "sform moves qform", [(268, "3f", (60.0, 102.0, -97.5)), (252, "hh", both)]
    yield "qform turned", [(256, "3f", (0.3, 0.2, 0.1)), (252, "hh", both)]
    yield "qform no rotation", [(256, "3f", (0.9, 0.9, 0.9)), (252, "hh", (1, 0))]
    yield "qform no number", [(256, "3f", (nan, 0.0, 0.0)), (252, "hh", (1, 0))]
    yield "qform's handedness", [(76, "f", (0.5,)), (252, "hh", (1, 0))]
    yield "no orientation", [(252, "hh", (0, 0))]
    yield "unknown form", [(252, "hh", (77, 1))]
    for spacing in ((0, 4, 5), (-4, 4, 5), (nan, 4, 5), (1e-5, 4, 5), (4, 4, 50), (4, 4, infinity)):
        yield "impossible voxel size", [(80, "3f", spacing), (252, "hh", (1, 0))]
    yield "microscopic volume", [(80, "3f", (0.15, 0.15, 0.15)), (252, "hh", (1, 0))]
    for units in (1, 3):
        yield "no millimetres", [(123, "B", (units,))]
    for slope, intercept in (
        (nan, 0.0),
        (1.0, nan),
        (infinity, 0.0),
        (1.0, infinity),
        (-1.0, 0.0),
        (1e30, 0.0),
        (1e-30, 0.0),
        (1.0, 1024.0),
        (1.0, -1024.0),
        (0.5, 0.0),
        (2.0, 0.0),
    ):
        yield "impossible scaling", [(112, "2f", (slope, intercept))]
    for offset in (0.0, 100.0, -352.0, 352.5, 1e12, nan, infinity, 400.0):
        yield "voxels start elsewhere", [(108, "f", (offset,))]
    yield "no NIfTI", [(344, "4s", (b"abc\0",))]  # type: ignore[misc]
    yield "header of a pair", [(344, "4s", (b"ni1\0",))]  # type: ignore[misc]
    yield "header's length", [(0, "i", (0,))]


def _wrong_voxels() -> Iterator[tuple[str, np.ndarray]]:
    hu = head().voxels
    random = np.random.default_rng(2)
    yield "constant", np.zeros_like(hu)
    yield "constant", np.full_like(hu, -1000)
    yield "no CT numbers (0-255)", np.interp(hu, (-1000, 800), (0, 255)).astype("u1")
    yield "no CT numbers (0-1)", np.interp(hu, (-1000, 800), (0, 1)).astype("f4")
    yield "no CT numbers (a label map)", (hu > 0).astype("u1")
    yield "no CT numbers (z-scores)", ((hu - hu.mean()) / hu.std()).astype("f4")
    yield "unstated offset 1024", (hu + 1024).astype("u2")
    yield "unstated offset 1000", (hu + 1000).astype("i8")
    yield "offset taken twice", (hu - 1024).astype("i2")
    yield "noise", random.integers(-32768, 32767, hu.shape).astype("i2")
    yield "noise", random.normal(0, 1e30, hu.shape).astype("f4")
    for value in (np.nan, np.inf, -np.inf):
        for dtype in ("f4", "f8"):
            broken = hu.astype(dtype)
            broken[20, 26, 22] = value
            yield "not-a-number voxels", broken
    yield "values beyond HU", np.where(hu > 700, 1e9, hu).astype("f8")
