"""Five hundred damaged DICOM series, the same ones every time: one fault each.

Each has UIDs of its own, so that many can lie in one source.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless
from tests.imaging.damage_dicom import Files, dicom_faults, encoded, series_head, slice_dataset
from tests.imaging.damage_dicom import whole_series as _whole_series

COUNT: Final = 500
_FIRST: Final = 100
_OUR_ROOT: Final = b".10.999."
_START: Final = 132
_VRS: Final = (b"UI", b"DS", b"IS", b"US", b"SQ", b"OW", b"UN", b"LO", b"FD", b"AT", b"XX", b"\0\0")
_LONG: Final = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN")
_UNTOLD: Final = ("RescaleIntercept", "RescaleSlope", "PixelData")
_ITEM, _END_ITEM, _END = (
    struct.pack("<HHI", 0xFFFE, e, n) for e, n in ((0xE000, 0xFFFFFFFF), (0xE00D, 0), (0xE0DD, 0))
)
_SEQUENCE: Final = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)


@dataclass(frozen=True)
class DamagedSeries:
    """One of them.

    Attributes:
        number: 100 and up; part of its UIDs.
        kind: the fault.
        folder: of its files.
    """

    number: int
    kind: str
    folder: Path


def write_damaged_series(folder: Path, *, every: int = 1) -> list[DamagedSeries]:
    """Writes all of them, or each Nth, into folders of their own."""
    found = []
    for number, (kind, files) in enumerate(_all_faults()):
        if number >= COUNT:
            break
        if number % every:
            continue
        root = f".10.{_FIRST + number}.".encode()
        place = folder / f"{_FIRST + number}"
        place.mkdir()
        for name, content in files.items():
            (place / name).write_bytes(content.replace(_OUR_ROOT, root))
        found.append(DamagedSeries(_FIRST + number, kind, place))
    return found


def number_of(series_uid: str) -> int | None:
    """Which one a series UID belongs to, as far as the damage lets it be told."""
    found = re.match(r"1\.2\.826\.0\.1\.3680043\.10\.(\d{3})\.", series_uid)
    return int(found[1]) if found else None


def _all_faults() -> Iterator[tuple[str, Files]]:
    random = np.random.default_rng(11)
    whole = _whole_series()
    yield from _bombs(whole)
    yield from _sequences(whole)
    for kind, files, _ in dicom_faults():
        if files:
            yield kind.removeprefix("DICOM: "), files
    names = list(whole)
    spans = {name: _elements(content) for name, content in whole.items()}
    while True:
        name = names[int(random.integers(0, len(names)))]
        content = whole[name]
        tag, start, header, length = spans[name][int(random.integers(0, len(spans[name])))]
        del tag
        yield "wrong VR", whole | {name: _with_vr(content, start, random)}
        yield "lying length", whole | {name: _with_length(content, start, header, random)}
        yield "cut short", whole | {name: content[: int(random.integers(0, len(content)))]}
        yield (
            "element left out",
            whole | {name: content[:start] + content[start + header + length :]},
        )
        yield "flipped bits", whole | {name: _flipped(content, random)}
        yield "bytes overwritten", whole | {name: _overwritten(content, random)}


def _elements(content: bytes) -> list[tuple[int, int, int, int]]:
    """Tag, start, bytes of the header and bytes of the value of each element, pixels excepted."""
    found, place = [], _START
    while place < len(content):
        group, element, vr = struct.unpack_from("<HH2s", content, place)
        if (group, element) == (0x7FE0, 0x0010):
            break
        if vr in _LONG:
            header, length = 12, struct.unpack_from("<I", content, place + 8)[0]
        else:
            header, length = 8, struct.unpack_from("<H", content, place + 6)[0]
        # A scale that is left out or cut is refused; one of other digits nobody can tell.
        if pydicom.datadict.keyword_for_tag((group << 16) + element) not in _UNTOLD:
            found.append(((group << 16) + element, place, header, length))
        place += header + length
    return found


def _with_vr(content: bytes, start: int, random: np.random.Generator) -> bytes:
    vr = _VRS[int(random.integers(0, len(_VRS)))]
    return content[: start + 4] + vr + content[start + 6 :]


def _with_length(content: bytes, start: int, header: int, random: np.random.Generator) -> bytes:
    size = 4 if header == 12 else 2
    lies = (0, 1, 3, 0xFFFF, 0xFFFE, 0x7FFF, int(random.integers(0, 0xFFFF)))
    lie = lies[int(random.integers(0, len(lies)))]
    value = lie.to_bytes(size, "little") if size == 2 or lie < 9 else b"\xff\xff\xff\x7f"
    where = start + header - size
    return content[:where] + value + content[where + size :]


def _flipped(content: bytes, random: np.random.Generator) -> bytes:
    """Three flipped bits, none of them in what nobody can tell from the right value."""
    damaged = bytearray(content)
    told = _told_bytes(content)
    for where in random.choice(told, 3):
        damaged[int(where)] ^= 1 << int(random.integers(0, 8))
    return bytes(damaged)


def _overwritten(content: bytes, random: np.random.Generator) -> bytes:
    spans = _elements(content)
    _, start, header, length = spans[int(random.integers(0, len(spans)))]
    noise = random.bytes(header + length)
    return content[:start] + noise + content[start + header + length :]


def _told_bytes(content: bytes) -> list[int]:
    return [
        byte
        for _, start, header, length in _elements(content)
        for byte in range(start, start + header + length)
    ]


def _sequences(whole: Files) -> Iterator[tuple[str, Files]]:
    """Nested and endless sequences, put before the pixels or at the head of one slice."""
    name = "slice005.dcm"
    content = whole[name]
    pixels = content.index(struct.pack("<HH2s", 0x7FE0, 0x0010, b"OW"))
    for depth in (5, 20, 100, 300, 900, 1100, 5000, 50_000):
        nested = (_SEQUENCE + _ITEM) * depth + (_END_ITEM + _END) * depth
        yield "nested sequences", whole | {name: content[:pixels] + nested + content[pixels:]}
        yield "nested, never closed", whole | {name: content[:pixels] + (_SEQUENCE + _ITEM) * depth}
    for count in (1, 1000, 50_000, 250_000):
        items = (_ITEM + _END_ITEM) * count
        yield "endless sequence", whole | {name: content[:pixels] + _SEQUENCE + items}
        private = struct.pack("<HH2sHI", 0x0009, 0x1010, b"UN", 0, 0xFFFFFFFF)
        yield "endless private", whole | {name: content[:pixels] + private + items}
    tiny = b"".join(
        struct.pack("<HH2sH", 0x0009, 0x1000 + n % 0xEFFF, b"LO", 0) for n in range(200_000)
    )
    yield "200,000 elements", whole | {name: content[:pixels] + tiny + content[pixels:]}


def _bombs(whole: Files) -> Iterator[tuple[str, Files]]:
    """Files that unpack to far more than they are."""
    import zlib

    name = "slice005.dcm"
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = [packer.compress(bytes(10_000_000)) for _ in range(300)]
    zeros = b"".join([*parts, packer.flush()])
    deflated = slice_dataset(series_head(), 5)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    meta = encoded(deflated)
    head = meta[: meta.index(b"1.2.840.10008.1.2.1.99") + 22]
    for length in (len(zeros), len(zeros) // 2, 1000):
        yield "deflate bomb", whole | {name: head + zeros[:length]}
    for rows, columns in (
        (65535, 65535),
        (40_000, 40_000),
        (40, 36),
        (30_000, 36),
        (16_000, 16_000),
    ):
        for syntax, frame in (
            (JPEG2000Lossless, _jpeg2000(rows, columns)),
            (RLELossless, _run_lengths(40)),
            (RLELossless, _run_lengths(200_000)),
            (RLELossless, struct.pack("<16I", 15, *range(64, 64 + 15 * 2, 2)) + b"\x81\0" * 50_000),
        ):
            kind = "JPEG 2000 bomb" if syntax == JPEG2000Lossless else "RLE bomb"
            one = slice_dataset(series_head(), 5)
            one.file_meta.TransferSyntaxUID = syntax
            one.Rows, one.Columns = rows, columns
            one.PixelData = pydicom.encaps.encapsulate([frame])
            one["PixelData"].is_undefined_length = True
            yield kind, whole | {name: encoded(one)}
    for size in (65535, 20_000, 10_000):
        files = {}
        for k in range(14):
            one = slice_dataset(series_head(), k)
            one.file_meta.TransferSyntaxUID = RLELossless
            one.Rows = one.Columns = size
            one.PixelSpacing = [0.03, 0.03] if size > 20_000 else [0.1, 0.1]
            one.PixelData = pydicom.encaps.encapsulate([_run_lengths(400_000)])
            one["PixelData"].is_undefined_length = True
            files[f"slice{k:03d}.dcm"] = encoded(one)
        yield "RLE bomb, every slice", files


def _run_lengths(runs: int) -> bytes:
    """An RLE frame of two segments (PS3.5, annex G); each run unpacks two bytes to 128."""
    segment = b"\x81\0" * runs
    return struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2


def _jpeg2000(rows: int, columns: int) -> bytes:
    """A code stream whose header states a size, with hardly any data (ISO/IEC 15444-1, annex A)."""
    size = struct.pack(
        ">HHHIIIIIIIIHBBB", 0xFF51, 41, 0, columns, rows, 0, 0, columns, rows, 0, 0, 1, 15, 1, 1
    )
    style = struct.pack(">HHBBHBBBBBB", 0xFF52, 12, 0, 0, 1, 0, 5, 4, 4, 0, 1)
    quantities = struct.pack(">HHB16B", 0xFF5C, 19, 0x40, *[0x80] * 16)
    tile = struct.pack(">HHHIBBH", 0xFF90, 10, 0, 0, 0, 1, 0xFF93)
    return b"\xff\x4f" + size + style + quantities + tile + bytes(100) + b"\xff\xd9"
