"""Label maps that were contoured in ITK-SNAP, with their label description file.

The file (``Segmentation > Save Label Descriptions``) has a line for each label: its value, colour,
opacity, visibility and its name in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.anatomy import STRUCTURES, Structure, structure_called
from parotid_brachy.lib.errors import InputRefusedError, UsageError
from parotid_brachy.lib.imaging.stored_image import quoted
from parotid_brachy.lib.review.case_ids import is_case_id
from parotid_brachy.lib.review.found import Found
from parotid_brachy.lib.review.naming import OF_A_PALETTE
from parotid_brachy.lib.review.received_map import ending_of
from parotid_brachy.lib.review.records import INITIAL_TAG
from parotid_brachy.lib.review.roles import checked_reader_name

_LONGEST_FILE: Final = 1024**2
_MOST_LABELS: Final = 1000
_LARGEST_VALUE: Final = 255
_LINE: Final = re.compile(
    r"\s*(?P<value>\d{1,6})(\s+\d{1,3}){3}\s+\d*\.?\d+\s+[01]\s+[01]\s+\"(?P<name>[^\"]*)\"\s*",
    re.ASCII,
)


@dataclass(frozen=True)
class Label:
    """One line of a label description file."""

    value: int
    name: str


def read_label_descriptions(path: Path) -> list[Label]:
    """The labels of a label description file, without the clear label 0.

    Raises:
        InputRefusedError: it cannot be read, or a line is none of such a file.
    """
    try:
        content = path.read_bytes() if path.stat().st_size <= _LONGEST_FILE else None
    except OSError as error:
        message = f"{path.name}: cannot be read ({error.strerror}). Check the path."
        raise InputRefusedError(message) from error
    if content is None:
        message = f"{path.name}: longer than {_LONGEST_FILE} bytes; no label description file."
        raise InputRefusedError(message)
    labels: list[Label] = []
    # Names may have been typed on any system; every byte is something in Latin-1.
    for number, line in enumerate(_decoded(content).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or len(labels) >= _MOST_LABELS:
            message = (
                f"{path.name}: line {number} is {quoted(line)}, no label of ITK-SNAP's (value, "
                'colour, opacity, visibility, "name"). Save the label descriptions again.'
            )
            raise InputRefusedError(message)
        labels.append(Label(int(match["value"]), match["name"]))
    values = [label.value for label in labels]
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        message = f"{path.name}: values {twice[:8]} come twice. Save the label descriptions again."
        raise InputRefusedError(message)
    return [label for label in labels if label.value]


def renamed(labels: Sequence[Label], renames: Mapping[str, Structure], *, name: str) -> list[Label]:
    """The labels, with the names of a team's own put right.

    Args:
        labels: of the file.
        renames: which structure a name of the file's stands for.
        name: the file, for messages.

    Raises:
        UsageError: the file has no such name.
    """
    known = [label.name for label in labels]
    missing = [one for one in renames if one not in known]
    if missing:
        message = f"{name}: has no label {missing[0]!r} to rename; it has {_told(known)}"
        raise UsageError(message)
    return [
        Label(label.value, renames[label.name].name if label.name in renames else label.name)
        for label in labels
    ]


def parsed_renames(words: Sequence[str]) -> dict[str, Structure]:
    """``NAME=structure`` of each word.

    Raises:
        UsageError: a word is none, or names no structure.
    """
    renames: dict[str, Structure] = {}
    for word in words:
        name, sign, target = word.rpartition("=")
        structure = structure_called(target)
        if not sign or not name or structure is None:
            known = ", ".join(one.name for one in STRUCTURES)
            message = f"{word!r}: give NAME=structure, with one of {known}"
            raise UsageError(message)
        renames[name] = structure
    return renames


def found_in_itksnap(labels: Sequence[Label], maps: Sequence[Path], *, reader: str) -> list[Found]:
    """Maps of ITK-SNAP's as initial contours of the cases that they are called by.

    The label description is a palette: of what it lists, only what has voxels was contoured.

    Args:
        labels: of the label description file, renamed.
        maps: each called by its case.
        reader: who contoured them.

    Raises:
        UsageError: a map is missing or called by no case, or two are one case's.
    """
    author = checked_reader_name(reader)
    # Larger values cannot be in a map that is taken in; listing them would only be in the way.
    names: list[dict[str, Any]] = [
        {"name": label.name, "idx": label.value}
        for label in labels
        if label.value <= _LARGEST_VALUE
    ]
    found: dict[str, Found] = {}
    for path in maps:
        case = _case_of(path)
        if case in found:
            message = f"{found[case].path} and {path} are both of case {case!r}; give one of them"
            raise UsageError(message)
        found[case] = Found(
            case=case,
            tag=INITIAL_TAG,
            author=author,
            created=datetime.fromtimestamp(path.stat().st_mtime, timezone.utc),
            path=path,
            source=path.name,
            label_info=names,
            reading=OF_A_PALETTE,
            info={"client_id": author, "contoured_in": "ITK-SNAP"},
        )
    return list(found.values())


def _case_of(path: Path) -> str:
    if not path.is_file():
        message = f"{path}: no such file"
        raise UsageError(message)
    try:
        case = path.name[: -len(ending_of(path.name))]
    except InputRefusedError as error:
        raise UsageError(str(error)) from error
    if not is_case_id(case):
        message = f"{path}: no case can be called so; name the map by its case"
        raise UsageError(message)
    return case


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _told(names: Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names[:20]) or "none"
