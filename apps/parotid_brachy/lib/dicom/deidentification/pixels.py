"""Pixels: writing burned into them, and what hides round and between them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from parotid_brachy.lib.dicom.deidentification.elements import converted
from parotid_brachy.lib.dicom.deidentification.findings import Findings, Outcome
from parotid_brachy.lib.dicom.deidentification.policy import (
    BurnedIn,
    DeidentificationPolicy,
    WalkLimits,
)
from parotid_brachy.lib.errors import InputRefusedError

_LIMITS: Final = WalkLimits()
_SUSPECT_MODALITIES: Final = frozenset({"ES", "GM", "OT", "SC", "SM", "US", "XC", "DOC"})
_SUSPECT_IMAGE_TYPES: Final = frozenset(
    {"SCREEN SAVE", "SCREENSHOT", "SCREEN", "CAPTURE", "REPORT"}
)
_SUSPECT_CLASSES: Final = ("Secondary Capture", "Ultrasound", "Encapsulated", "Video")
_ITEM: Final = b"\xfe\xff\x00\xe0"
_JPEG_START, _JPEG_2000_START = b"\xff\xd8\xff", b"\xff\x4f\xff"
_JPEG_COMMENT, _JPEG_SCAN, _JPEG_END = 0xFE, 0xDA, 0xD9
_JPEG_APPLICATION: Final = frozenset(range(0xE1, 0xF0)) - {0xEE, 0xE8}
"""APP1-APP15 hold EXIF and the like; APP14 says how colours, APP8 how JPEG-LS is coded."""
_J2K_COMMENT, _J2K_TILE = 0x64, 0x90
_LEAST_OVERLAY_GROUP, _LAST_OVERLAY_GROUP = 0x6000, 0x601E


def why_burned_in(dataset: Dataset) -> str:
    """Why an object's pixels may show who the patient is; nothing if no tag says so.

    Tags only: pixels are not read. Sources: Burned In Annotation (PS3.3, section C.7.6.1.1.5),
    conversion type and kind of object.
    """
    if _word(dataset, "BurnedInAnnotation") == "YES":
        return "BurnedInAnnotation is YES"
    uid = UID(_word(dataset, "SOPClassUID"))
    if any(word in uid.name for word in _SUSPECT_CLASSES):
        return f"it is a {uid.name}"
    if _word(dataset, "ConversionType"):
        return "it was converted from another medium (ConversionType)"
    if _word(dataset, "Modality") in _SUSPECT_MODALITIES:
        return f"its modality is {_word(dataset, 'Modality')}"
    if _SUSPECT_IMAGE_TYPES & set(_words(dataset, "ImageType")):
        return "its image type is that of a screen capture"
    return ""


def check_burned_in(dataset: Dataset, policy: DeidentificationPolicy, findings: Findings) -> None:
    """Refuses or flags an object whose pixels may show who the patient is.

    Raises:
        InputRefusedError: the policy has it refused.
    """
    reason = why_burned_in(dataset)
    if not reason:
        return
    if policy.burned_in is BurnedIn.REFUSE:
        message = (
            f"its pixels may show the patient's name: {reason}. Look at the image; if it shows "
            "none, allow burned-in annotation for this import."
        )
        raise InputRefusedError(message)
    findings.note(Outcome.FLAGGED, "PixelData", f"pixels may show who it is: {reason}")


def clean_pixels(source: Dataset, result: Dataset, limits: WalkLimits, findings: Findings) -> None:
    """Cuts off what follows the pixels, overlays within them, and comments of codecs.

    Args:
        source: the object as it came.
        result: its de-identified form, whose pixels are changed.
        limits: of one element.
        findings: gets what was done.
    """
    if "PixelData" not in result:
        return
    element = result["PixelData"]
    if element.value is None:
        return
    if element.is_undefined_length:
        cleaned = without_comments(element.value)
        if cleaned != element.value:
            findings.note(Outcome.REPLACED, "PixelData", "comments of the codec")
        element.value = cleaned
        return
    content = _cut(result, element.value)
    if len(content) != len(element.value):
        findings.note(Outcome.REMOVED, "PixelData", "bytes after the last pixel")
    planes = _embedded_planes(source, result, limits)
    if planes:
        content = _without_planes(content, result, planes)
        findings.note(Outcome.REMOVED, "PixelData", "overlay in unused bits")
    element.value = content


def without_comments(content: bytes) -> bytes:
    """Encapsulated pixels (PS3.5, section A.4) whose codec's comments are overwritten with zeros.

    JPEG, JPEG-LS (ISO 10918-1, section B.2.4.5) and JPEG 2000 (ISO 15444-1, section A.9.2).
    """
    result = bytearray(content)
    place = 0
    while content[place : place + 4] == _ITEM:
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        first, place = place + 8, place + 8 + length
        # At the start of an item only: further in, the same bytes may be pixels.
        is_2000 = content.startswith(_JPEG_2000_START, first)
        if is_2000 or content.startswith(_JPEG_START, first):
            _blank_header(result, first + 2, min(place, len(content)), is_2000=is_2000)
    return bytes(result)


def _blank_header(content: bytearray, place: int, stop: int, *, is_2000: bool) -> None:
    """Blanks the comments between here and the pixels."""
    last = {_J2K_TILE} if is_2000 else {_JPEG_SCAN, _JPEG_END}
    while place + 4 <= stop and content[place] == 0xFF and content[place + 1] not in last:
        mark = content[place + 1]
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        is_comment = (
            mark == _J2K_COMMENT if is_2000 else mark == _JPEG_COMMENT or mark in _JPEG_APPLICATION
        )
        if is_comment:
            first = place + (6 if is_2000 else 4)
            end = min(place + 2 + length, stop)
            content[first:end] = bytes(max(end - first, 0))
        place += 2 + max(length, 2)


def _cut(result: Dataset, content: bytes) -> bytes:
    names = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    rows, columns, samples, bits = (_number(result, name) for name in names)
    frames = _number(result, "NumberOfFrames") or 1
    expected = (rows * columns * samples * bits * frames + 7) // 8
    if expected <= 0 or len(content) <= expected:
        return content
    return content[:expected] + bytes(expected % 2)


def _embedded_planes(source: Dataset, result: Dataset, limits: WalkLimits) -> int:
    """Bits of a stored value that are an overlay (retired; PS3.5-2004, section 8.1.2)."""
    stored, high = _number(result, "BitsStored"), _number(result, "HighBit")
    used = ((1 << stored) - 1) << max(high - stored + 1, 0) if 0 < stored <= 64 else 0
    planes = 0
    for group in range(_LEAST_OVERLAY_GROUP, _LAST_OVERLAY_GROUP + 1, 2):
        if (group, 0x0102) not in source or (group, 0x3000) in source:
            continue
        position = converted(source.get_item((group, 0x0102)), None, limits)
        if position is not None and isinstance(position.value, int) and 0 < position.value < 64:
            planes |= 1 << position.value
    return planes & ~used


def _without_planes(content: bytes, result: Dataset, planes: int) -> bytes:
    bits = _number(result, "BitsAllocated")
    if bits not in (8, 16, 32):
        return content
    kind = np.dtype(f"<u{bits // 8}")
    whole = len(content) // kind.itemsize * kind.itemsize
    values = np.frombuffer(content[:whole], kind) & kind.type(~planes & (2**bits - 1))
    cleared: bytes = values.astype(kind).tobytes()
    return cleared + content[whole:]


def _number(dataset: Dataset, keyword: str) -> int:
    value = dataset.get(keyword)
    try:
        return int(value) if value is not None else 0
    except (TypeError, ValueError):
        return 0


def _words(dataset: Dataset, keyword: str) -> list[str]:
    if keyword not in dataset:
        return []
    element = converted(dataset.get_item(keyword), None, _LIMITS)
    value: Any = None if element is None else element.value
    listed = value if isinstance(value, list) or hasattr(value, "append") else [value]
    return [str(word).strip().upper() for word in listed if word is not None]


def _word(dataset: Dataset, keyword: str) -> str:
    return next(iter(_words(dataset, keyword)), "")
