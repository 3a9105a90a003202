"""Checks on what comes over the wire as text: ids, tags, JSON. Every input is hostile."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from parotid_brachy.lib.errors import UsageError

_LONGEST_ID: Final = 255
_TAG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SHOWN: Final = 60


def checked_id(value: str, *, what: str) -> str:
    """An image's or label's id, which is a name and never a path.

    Raises:
        UsageError: it could lead out of the folder of studies, or no file can be called so.
    """
    forbidden = {"/", "\\", "\0"}
    if (
        not value
        or len(value.encode()) > _LONGEST_ID
        or value.startswith(".")
        or forbidden & set(value)
        or not value.isprintable()
    ):
        message = f"{what} {value[:_SHOWN]!r} is no id: ids are names of files, without a path"
        raise UsageError(message)
    return value


def checked_tag(value: str) -> str:
    """A label's tag, which names a folder.

    Raises:
        UsageError: it has other characters than letters, digits, ``_``, ``-`` and dots.
    """
    if not _TAG.fullmatch(value):
        message = f"tag {value[:_SHOWN]!r} is none: use letters, digits, _ and -, up to 64"
        raise UsageError(message)
    return value


def json_object(text: str, *, what: str) -> dict[str, Any]:
    """The object that ``text`` is the JSON of; empty text is an empty object.

    Raises:
        UsageError: it is not JSON, or not an object.
    """
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        message = f"{what} is not JSON: {error}"
        raise UsageError(message) from error
    if not isinstance(value, dict):
        message = f"{what} must be a JSON object, not {type(value).__name__}"
        raise UsageError(message)
    return value
