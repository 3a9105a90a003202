"""Damaged files with text headers: NRRD and MetaImage."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import numpy as np
from tests.imaging.heads import head

Fault = tuple[str, str, bytes, bool]


def _flipped(content: bytes, where: int, random: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    damaged[where] ^= 1 << int(random.integers(0, 8))
    return bytes(damaged)


def whole_nrrd(encoding: str = "raw", **changes: str | None) -> bytes:
    """The small head as NRRD; ``changes`` replace fields, or leave them out with None."""
    header, voxels = nrrd_parts(encoding, **changes)
    return header + voxels


def nrrd_parts(encoding: str = "raw", **changes: str | None) -> tuple[bytes, bytes]:
    """Header and voxels."""
    volume = head()
    vectors = " ".join(f"({','.join(f'{v:.17g}' for v in row)})" for row in volume.grid.matrix.T)
    origin = ",".join(f"{value:.17g}" for value in volume.grid.origin_lps_mm)
    fields: dict[str, str | None] = {
        "type": "int16",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": " ".join(str(size) for size in volume.grid.size_ijk),
        "space directions": vectors,
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": encoding,
        "space origin": f"({origin})",
    }
    fields |= {key.replace("_", " "): value for key, value in changes.items()}
    lines = [f"{key}: {value}" for key, value in fields.items() if value is not None]
    header = "\n".join(["NRRD0004", *lines, "", ""]).encode()
    voxels = volume.voxels.astype("<i2").tobytes()
    return header, gzip.compress(voxels, 6, mtime=0) if encoding == "gzip" else voxels


def nrrd_faults() -> Iterator[Fault]:
    """All damaged NRRD files."""
    random = np.random.default_rng(3)
    header, voxels = nrrd_parts()
    packed = nrrd_parts("gzip")
    for length in (0, 3, 8, 40, len(header) - 1, len(header), len(header) + 1):
        yield "NRRD: cut short", ".nrrd", (header + voxels)[:length], False
    yield "NRRD: cut short", ".nrrd", (header + voxels)[:-1], False
    for share in np.linspace(0.0, 0.99, 10):
        yield (
            "NRRD gzip: cut short",
            ".nrrd",
            packed[0] + packed[1][: int(share * len(packed[1]))],
            False,
        )
    for _ in range(15):
        damaged = _flipped(packed[1], int(random.integers(10, len(packed[1]))), random)
        yield "NRRD gzip: flipped bit", ".nrrd", packed[0] + damaged, False
    for _ in range(50):
        damaged = _flipped(header, int(random.integers(0, len(header))), random)
        yield "NRRD: flipped header bit", ".nrrd", damaged + voxels, True
    yield "NRRD: too long", ".nrrd", header + voxels + bytes(1000), False
    yield "NRRD gzip: unpacks to 100 MB", ".nrrd", packed[0] + gzip.compress(bytes(10**8), 1), False
    yield "NRRD: endless header", ".nrrd", b"NRRD0004\n" + b"# comment\n" * 300_000, False
    yield "NRRD: endless line", ".nrrd", b"NRRD0004\ntype: " + b"s" * 3_000_000, False
    yield (
        "NRRD: field twice",
        ".nrrd",
        header.replace(b"\n\n", b"\ntype: int16\n\n") + voxels,
        False,
    )
    yield (
        "NRRD: line without a field",
        ".nrrd",
        header.replace(b"\n\n", b"\nhello\n\n") + voxels,
        False,
    )
    yield "NRRD: unknown version", ".nrrd", header.replace(b"0004", b"0009") + voxels, False
    for kind, changes in _nrrd_lies():
        yield f"NRRD: {kind}", ".nrrd", whole_nrrd(**changes), False
    for kind, changes in _detached_lies():
        yield f"NRRD: {kind}", ".nhdr", nrrd_parts(**changes)[0], False


def _nrrd_lies() -> Iterator[tuple[str, dict[str, str | None]]]:
    for field in ("type", "dimension", "sizes", "encoding", "endian"):
        yield "field missing", {field: None}
    for sizes in (
        "44 52",
        "44 52 2",
        "44 52 41",
        "44 52 39",
        "0 52 40",
        "-44 52 40",
        "44 52 40 1",
        "100000 100000 100000",
        "99999999999999999999 52 40",
        "4e1 52 40",
        "",
    ):
        yield "lying sizes", {"sizes": sizes}
    for dimension in ("2", "4", "0", "-3", "many", "99999999999"):
        yield "lying dimension", {"dimension": dimension}
    for stated in ("block", "float16", "complex", "int32", "double", "", "uint99"):
        yield "wrong type", {"type": stated}
    for encoding in ("bzip2", "hex", "ascii", "text", "zstd", ""):
        # The voxels stay raw; what the header says about them is the lie.
        yield "wrong encoding", {"encoding": encoding}
    for kinds in (
        "vector domain domain",
        "domain domain",
        "RGB-color domain domain",
        "list list list",
    ):
        yield "no volume", {"kinds": kinds}
    for space in (None, "scanner-xyz", "", "3D-right-handed", "left-posterior-superior-time"):
        yield "no orientation", {"space": space}
    yield "no orientation", {"space_directions": None}
    yield "no orientation", {"space_origin": None}
    for directions in (
        "(4,0,0) (0,4,0) (0,0,0)",
        "(4,0,0) (4,0,0) (0,0,5)",
        "(nan,0,0) (0,4,0) (0,0,5)",
        "(inf,0,0) (0,4,0) (0,0,5)",
        "(4,0,0) (0,4,0) (0,2,5)",
        "(4,0,0) (0,4,0)",
        "(4,0) (0,4) (0,0)",
        "none (4,0,0) (0,4,0)",
        "(1e300,0,0) (0,4,0) (0,0,5)",
        "(0.001,0,0) (0,0.001,0) (0,0,0.001)",
        "(40,0,0) (0,4,0) (0,0,5)",
        "4 4 5",
    ):
        yield "impossible directions", {"space_directions": directions}
    for origin in ("(nan,0,0)", "(1e30,0,0)", "(0,0)", "none", "0,0,0", ""):
        yield "impossible origin", {"space_origin": origin}
    yield "no millimetres", {"space_units": '"m" "m" "m"'}
    yield "byte order", {"endian": "middle"}
    yield "skipped bytes", {"byte_skip": "-1"}
    yield "skipped bytes", {"byte_skip": "99999999999"}
    yield "skipped lines", {"line_skip": "3"}


def _detached_lies() -> Iterator[tuple[str, dict[str, str | None]]]:
    yield "no data file named", {}
    for name in (
        "../0000.nii",
        "/etc/passwd",
        "missing.raw",
        "LIST",
        "slice%03d.raw 1 40 1",
        "..\\0000.nii",
        ".",
        "",
        "0000.nii",
    ):
        yield "data file elsewhere, missing or short", {"data_file": name}


def whole_metaimage(**changes: str | None) -> bytes:
    """The small head as MetaImage; ``changes`` replace fields, or leave them out with None."""
    header, voxels = metaimage_parts(**changes)
    return header + voxels


def metaimage_parts(**changes: str | None) -> tuple[bytes, bytes]:
    """Header and voxels; these packed if ``CompressedData`` says so."""
    volume = head()
    axes = np.asarray(volume.grid.direction).reshape(3, 3).T.ravel()
    fields: dict[str, str | None] = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": " ".join(f"{value:g}" for value in axes),
        "Offset": " ".join(f"{value:.17g}" for value in volume.grid.origin_lps_mm),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": " ".join(f"{value:g}" for value in volume.grid.spacing_mm),
        "DimSize": " ".join(str(size) for size in volume.grid.size_ijk),
        "ElementType": "MET_SHORT",
    }
    fields |= changes
    fields.setdefault("ElementDataFile", "LOCAL")
    last = fields.pop("ElementDataFile")
    lines = [f"{key} = {value}" for key, value in fields.items() if value is not None]
    if last is not None:
        lines.append(f"ElementDataFile = {last}")
    voxels = volume.voxels.astype("<i2").tobytes()
    packed = zlib.compress(voxels) if fields.get("CompressedData") == "True" else voxels
    return ("\n".join(lines) + "\n").encode(), packed


def metaimage_faults() -> Iterator[Fault]:
    """All damaged MetaImage files."""
    random = np.random.default_rng(4)
    header, voxels = metaimage_parts()
    packed = metaimage_parts(CompressedData="True")
    for length in (0, 5, 60, len(header) - 1, len(header), len(header) + 1):
        yield "MetaImage: cut short", ".mha", (header + voxels)[:length], False
    yield "MetaImage: cut short", ".mha", (header + voxels)[:-1], False
    for share in np.linspace(0.0, 0.99, 8):
        yield (
            "MetaImage zlib: cut short",
            ".mha",
            packed[0] + packed[1][: int(share * len(packed[1]))],
            False,
        )
    for _ in range(10):
        damaged = _flipped(packed[1], int(random.integers(2, len(packed[1]))), random)
        yield "MetaImage zlib: flipped bit", ".mha", packed[0] + damaged, False
    for _ in range(40):
        damaged = _flipped(header, int(random.integers(0, len(header))), random)
        yield "MetaImage: flipped header bit", ".mha", damaged + voxels, True
    bomb = packed[0] + zlib.compress(bytes(10**8), 1)
    yield "MetaImage zlib: unpacks to 100 MB", ".mha", bomb, False
    yield "MetaImage: endless header", ".mha", b"Comment = x\n" + b"x" * 3_000_000, False
    for kind, changes in _metaimage_lies():
        yield f"MetaImage: {kind}", ".mha", whole_metaimage(**changes), False


def _metaimage_lies() -> Iterator[tuple[str, dict[str, str | None]]]:
    for field in ("NDims", "DimSize", "ElementType", "ElementSpacing", "Offset", "TransformMatrix"):
        yield "field missing", {field: None}
    yield "field missing", {"BinaryDataByteOrderMSB": None}
    yield "field missing", {"ElementDataFile": None}
    for sizes in (
        "44 52",
        "44 52 2",
        "44 52 41",
        "0 52 40",
        "-44 52 40",
        "44.5 52 40",
        "1e6 1e6 1e6",
        "a b c",
    ):
        yield "lying sizes", {"DimSize": sizes}
    for count in ("2", "4", "0", "x"):
        yield "lying dimension", {"NDims": count}
    for stated in ("MET_LONG", "MET_CHAR_ARRAY", "MET_OTHER", "MET_DOUBLE", "MET_SHORT_ARRAY", ""):
        yield "wrong type", {"ElementType": stated}
    yield "several numbers a voxel", {"ElementNumberOfChannels": "3"}
    for matrix in (
        "0 0 0 0 0 0 0 0 0",
        "1 0 0 1 0 0 0 0 1",
        "1 0 0 0 1 0 0 0.5 0.866025",
        "nan 0 0 0 1 0 0 0 1",
        "1 0 0 0 1 0",
        "2 0 0 0 1 0 0 0 1",
    ):
        yield "impossible directions", {"TransformMatrix": matrix}
    for spacing in ("0 4 5", "-4 4 5", "nan 4 5", "4 4 500", "4 4", "0.001 0.001 0.001"):
        yield "impossible voxel size", {"ElementSpacing": spacing}
    for origin in ("inf 0 0", "1e30 0 0", "0 0"):
        yield "impossible origin", {"Offset": origin}
    for name in ("../0000.nii", "/etc/passwd", "LIST", "missing.raw"):
        yield "data file elsewhere or missing", {"ElementDataFile": name}
    yield "text voxels", {"BinaryData": "False"}
    yield "no truth value", {"CompressedData": "Maybe"}
    yield "second header", {"HeaderSize": "-1"}
    yield "no image", {"ObjectType": "Tube"}
