"""Label maps that must not be kept, each wrong in one way only."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
from collections.abc import Iterator
from typing import Any, Final

import nibabel
import nrrd
import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes, nrrd_bytes
from parotid_brachy.lib.imaging.volume import Grid

_BOMB_BYTES: Final = 300 * 1024**2
_NIFTI_HEADER: Final = 352


def good_labels(grid: Grid) -> NDArray[np.uint8]:
    """A map of all structures that a server keeps."""
    labels = np.zeros(grid.shape_kji, np.uint8)
    for structure in STRUCTURES:
        at = 3 * structure.value
        labels[at : at + 3, at : at + 3, at : at + 3] = structure.value
    return labels


def bad_labels(grid: Grid) -> Iterator[tuple[str, str, bytes]]:
    """What is wrong, the file's name, and the file.

    Args:
        grid: of the image that they are sent for.
    """
    yield from _bad_values(grid)
    yield from _bad_grids(grid)
    yield from _bad_affines(grid)
    yield from _bad_shapes(grid)
    yield from _damaged(grid)
    yield from _bombs(grid)
    yield from _bad_segments(grid)


def _nifti(voxels: NDArray[Any], affine_ras: NDArray[Any]) -> bytes:
    image: Any = nibabel.Nifti1Image(voxels, affine_ras)  # type: ignore[no-untyped-call]
    return gzip.compress(image.to_bytes(), 1, mtime=0)


def _affine_ras(grid: Grid) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = grid.matrix, grid.origin_lps_mm
    result: NDArray[np.float64] = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    return result


def _bad_values(grid: Grid) -> Iterator[tuple[str, str, bytes]]:
    good, affine = good_labels(grid).transpose(), _affine_ras(grid)
    kinds: dict[str, tuple[Any, float]] = {
        "value 8": (np.uint8, 8),
        "value 255": (np.uint8, 255),
        "value -1": (np.int16, -1),
        "value 65535": (np.uint16, 65535),
        "value 2^31 - 1": (np.int32, 2**31 - 1),
        "value 1.5": (np.float32, 1.5),
        "value 0.01": (np.float64, 0.01),
        "value NaN": (np.float32, np.nan),
        "value infinity": (np.float32, np.inf),
        "value 1e30": (np.float64, 1e30),
    }
    for what, (dtype, value) in kinds.items():
        voxels = good.astype(dtype)
        voxels[1, 1, 1] = value
        yield what, "label.nii.gz", _nifti(voxels, affine)
    for value in (8, 255):
        labels = good_labels(grid)
        labels[1, 1, 1] = value
        yield f"value {value}, NRRD", "label.nrrd", nrrd_bytes(labels, grid)
        yield f"value {value}, OHIF", "label.bin", labels.tobytes()
        content = nrrd_bytes(labels, grid, segments=STRUCTURES)
        yield f"value {value} without a segment", "label.seg.nrrd", content


def _bad_grids(grid: Grid) -> Iterator[tuple[str, str, bytes]]:
    encoders = (("label.nii.gz", nifti_bytes), ("label.nrrd", nrrd_bytes))
    for axis, letter in enumerate("ijk"):
        for by in (1, -1):
            size = list(grid.size_ijk)
            size[axis] += by
            other = _grid(grid, size=size)
            for name, encode in encoders:
                yield f"{letter} {by:+d} voxel", name, encode(good_labels(other), other)
        origin = list(grid.origin_lps_mm)
        origin[axis] += 1.0
        for name, encode in encoders:
            moved = _grid(grid, origin=origin)
            yield f"origin 1 mm off along {letter}", name, encode(good_labels(grid), moved)
        direction = np.array(grid.direction).reshape(3, 3)
        direction[:, axis] *= -1
        for name, encode in encoders:
            flipped = _grid(grid, direction=direction.flatten())
            yield f"direction of {letter} flipped", name, encode(good_labels(grid), flipped)
        spacing = list(grid.spacing_mm)
        spacing[axis] *= 1.1
        stretched = _grid(grid, spacing=spacing)
        yield (
            f"spacing of {letter} 10 % off",
            "label.nrrd",
            nrrd_bytes(good_labels(grid), stretched),
        )
    half = _grid(
        grid, origin=[o + s / 2 for o, s in zip(grid.origin_lps_mm, grid.spacing_mm, strict=True)]
    )
    content = nrrd_bytes(good_labels(grid), half, segments=STRUCTURES)
    yield "segments half a voxel off", "label.seg.nrrd", content
    away = _grid(grid, origin=[o + 1e6 for o in grid.origin_lps_mm])
    content = nrrd_bytes(good_labels(grid), away, segments=STRUCTURES)
    yield "segments a kilometre away", "label.seg.nrrd", content
    voxels = int(np.prod(grid.size_ijk))
    for length in (voxels - 1, voxels + 1, 2 * voxels, 0):
        yield f"{length} bytes for {voxels} voxels", "label.bin", bytes(length)


def _grid(grid: Grid, **changed: Any) -> Grid:
    return Grid(
        tuple(changed.get("size", grid.size_ijk)),
        tuple(changed.get("spacing", grid.spacing_mm)),
        tuple(changed.get("origin", grid.origin_lps_mm)),
        tuple(changed.get("direction", grid.direction)),
    )


def _bad_affines(grid: Grid) -> Iterator[tuple[str, str, bytes]]:
    good = nifti_bytes(good_labels(grid), grid)
    plain = gzip.decompress(good)
    srow = 280  # NIfTI-1: srow_x, srow_y, srow_z are 12 floats from here on
    for what, value in (("NaN", np.nan), ("infinite", np.inf), ("zero", 0.0), ("huge", 1e30)):
        content = bytearray(plain)
        struct.pack_into("<12f", content, srow, *([value] * 12))
        struct.pack_into("<h", content, 252, 0)  # no qform to fall back on
        yield f"{what} affine", "label.nii.gz", gzip.compress(bytes(content), 1)
    content = bytearray(plain)
    struct.pack_into("<12f", content, srow, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0)
    struct.pack_into("<h", content, 252, 0)
    yield "singular affine", "label.nii.gz", gzip.compress(bytes(content), 1)
    text = nrrd_bytes(good_labels(grid), grid)
    line = next(row for row in text.split(b"\n") if row.startswith(b"space directions"))
    for what, vector in (("NaN", b"(nan,nan,nan)"), ("zero", b"(0,0,0)"), ("no", b"none")):
        new = b"space directions: " + b" ".join([vector] * 3)
        yield f"{what} space directions", "label.nrrd", text.replace(line, new)


def _bad_shapes(grid: Grid) -> Iterator[tuple[str, str, bytes]]:
    labels, affine = good_labels(grid).transpose(), _affine_ras(grid)
    yield "four dimensions", "label.nii.gz", _nifti(np.stack([labels, labels], axis=3), affine)
    yield "two dimensions", "label.nii.gz", _nifti(labels[..., 0], affine)
    yield "colours", "label.nii.gz", _nifti(np.stack([labels] * 3, axis=-1)[..., None, :], affine)
    yield "no voxels", "label.nii.gz", _nifti(labels[:0], affine)


def _damaged(grid: Grid) -> Iterator[tuple[str, str, bytes]]:
    files = {
        "label.nii.gz": nifti_bytes(good_labels(grid), grid),
        "label.nrrd": nrrd_bytes(good_labels(grid), grid),
        "label.seg.nrrd": nrrd_bytes(good_labels(grid), grid, segments=STRUCTURES),
    }
    for name, content in files.items():
        yield "empty", name, b""
        yield "first byte only", name, content[:1]
        yield "cut in the header", name, content[:40]
        yield "cut in the middle", name, content[: len(content) // 2]
        yield "last byte missing", name, content[:-1]
        yield "junk", name, bytes(range(256)) * 40
        yield "zeros", name, bytes(4096)
    nifti = gzip.decompress(files["label.nii.gz"])
    yield "cut after the header", "label.nii", nifti[:_NIFTI_HEADER]
    yield "no voxels at all", "label.nii", nifti[: _NIFTI_HEADER - 4]
    yield "a pickle", "label.nii.gz", gzip.compress(pickle.dumps({"a": 1}))
    yield "an array", "label.nii.gz", _npy()
    yield "a program", "label.py", b"import os\n"
    yield "a pickle by its name", "label.pkl", pickle.dumps({"a": 1})
    yield "no ending", "label", files["label.nii.gz"]
    yield "a double ending", "label.nii.gz.exe", files["label.nii.gz"]
    yield "an archive's ending", "label.zip", b"PK\x05\x06" + bytes(18)
    yield "NRRD called NIfTI", "label.nii.gz", files["label.nrrd"]
    yield "NIfTI called NRRD", "label.nrrd", files["label.nii.gz"]


def _npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(8))
    return buffer.getvalue()


def _bombs(grid: Grid) -> Iterator[tuple[str, str, bytes]]:
    header = bytearray(gzip.decompress(nifti_bytes(good_labels(grid), grid))[:_NIFTI_HEADER])
    zeros = gzip.compress(bytes(header) + bytes(_BOMB_BYTES), 1)
    yield "gzip bomb behind a true header", "label.nii.gz", zeros
    struct.pack_into("<8h", header, 40, 3, 32767, 32767, 32767, 1, 1, 1, 1)
    yield "a header of 32767^3 voxels", "label.nii.gz", gzip.compress(bytes(header) + bytes(1000))
    struct.pack_into("<8h", header, 40, 7, 32767, 32767, 32767, 32767, 32767, 32767, 32767)
    yield "a header of 32767^7 voxels", "label.nii.gz", gzip.compress(bytes(header) + bytes(1000))
    struct.pack_into("<8h", header, 40, 3, -1, -48, 48, 1, 1, 1, 1)
    yield "a header of -1 voxels", "label.nii.gz", gzip.compress(bytes(header) + bytes(1000))
    yield "gzip within gzip", "label.nii.gz", gzip.compress(zeros, 1)
    text = nrrd_bytes(good_labels(grid), grid)
    head, _, data = text.partition(b"\n\n")
    yield "NRRD bomb", "label.nrrd", head + b"\n\n" + gzip.compress(bytes(_BOMB_BYTES), 1)
    line = next(row for row in head.split(b"\n") if row.startswith(b"sizes"))
    for sizes in (b"99999 99999 99999", b"-1 48 48", b"0 0 0", b"1e9 1 1", b"9" * 4000):
        new = head.replace(line, b"sizes: " + sizes) + b"\n\n" + data
        yield f"NRRD sizes {sizes[:20].decode()}", "label.nrrd", new
    for path in (b"/etc/passwd", b"../../secret", b"LIST", b"%d.raw 1 9 1"):
        new = head + b"\ndata file: " + path + b"\n\n"
        yield f"NRRD data file {path.decode()}", "label.nrrd", new
    lines = b"".join(b"key%d:=x\n" % number for number in range(200_000))
    yield "a NRRD header without end", "label.nrrd", head + b"\n" + lines
    mha = b"ObjectType = Image\nNDims = 3\nDimSize = 48 48 48\nElementType = MET_UCHAR\n"
    yield "MetaImage data file", "label.mha", mha + b"ElementDataFile = /etc/passwd\n"
    yield "MetaImage too short", "label.mha", mha + b"ElementDataFile = LOCAL\n" + bytes(10)


def _bad_segments(grid: Grid) -> Iterator[tuple[str, str, bytes]]:
    labels = good_labels(grid)
    content = nrrd_bytes(labels, grid, segments=STRUCTURES)
    first = STRUCTURES[0].name.encode()
    yield "unknown segment", "a.seg.nrrd", content.replace(b":=" + first, b":=heart")
    yield "segment with a path", "a.seg.nrrd", content.replace(b":=" + first, b":=../../x")
    second = STRUCTURES[1].name.encode()
    yield "one name twice", "a.seg.nrrd", content.replace(b":=" + first, b":=" + second)
    yield "layer 7 of 1", "a.seg.nrrd", content.replace(b"Segment0_Layer:=0", b"Segment0_Layer:=7")
    yield (
        "label value x",
        "a.seg.nrrd",
        content.replace(b"Segment0_LabelValue:=1", b"Segment0_LabelValue:=x"),
    )
    header = {"space": "left-posterior-superior", "encoding": "gzip"}
    header["space directions"] = grid.matrix.T
    header["space origin"] = np.asarray(grid.origin_lps_mm)
    many = {f"Segment{n}_Name": f"segment {n}" for n in range(5000)}
    buffer = io.BytesIO()
    nrrd.write(buffer, labels, {**header, **many}, index_order="C")
    yield "5000 segments", "a.seg.nrrd", buffer.getvalue()
