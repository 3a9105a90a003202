"""Checks on what comes over the wire as text: ids, tags, JSON. Every input is hostile."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.review.case_ids import is_case_id
from parotid_brachy.lib.review.records import DRAFT_TAG, INITIAL_TAG
from parotid_brachy.lib.review.tag_names import correction_number

_SESSION_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHOWN: Final = 60
# Options of the framework's tasks with which a client would choose a file of the server's.
# ("bundle_path" would be searched for Python modules).
_SERVERS_OWN: Final = frozenset(
    {"app_dir", "bundle_path", "data_dir", "dataset", "file", "image", "label", "label_dir"}
    | {"model_dir"}
    | {"output_dir", "path", "pretrained_path", "studies", "train_ds", "val_ds"}
)
_DEVICES: Final = re.compile(r"[A-Za-z0-9,/-]{0,400}")
"""What CUDA_VISIBLE_DEVICES can be."""
_LONGEST_OPTIONS: Final = 100_000
"""Characters that a task's process can be given; Linux takes 128 KiB for one argument."""


def checked_id(value: str, *, what: str) -> str:
    """An image's or label's id, which is a name and never a path.

    Raises:
        UsageError: it could lead out of the folder of studies, or no file can be called so.
    """
    if not is_case_id(value):
        message = (
            f"{what} {value[:_SHOWN]!r} is no id: ids are names of files, of letters, digits, "
            "spaces and _ . , ( ) + -, without a path"
        )
        raise UsageError(message)
    return value


def checked_tag(value: str) -> str:
    """A label's tag.

    Raises:
        UsageError: it is none of those that stock clients know.
    """
    if value not in (DRAFT_TAG, INITIAL_TAG) and correction_number(value) is None:
        message = f"tag {value[:_SHOWN]!r} is none: there are original, final, version_1, ..."
        raise UsageError(message)
    return value


def checked_session_id(value: str) -> str:
    """A session's id, as the server has given it.

    Raises:
        UsageError: it is no such id.
    """
    if not _SESSION_ID.fullmatch(value):
        message = f"session {value[:_SHOWN]!r} is no session's id"
        raise UsageError(message)
    return value


def check_options(options: Mapping[str, Any]) -> None:
    """Refuses options of a task that name files of the server's.

    Args:
        options: as a client sends them; those of single tasks may be nested in them.

    Raises:
        UsageError: naming the option.
    """
    for key, value in options.items():
        if key in _SERVERS_OWN and value is not None and value != "":
            message = f"option {key}: the server's files are not the client's to choose"
            raise UsageError(message)
        if key == "label_tag":
            # An enumeration of the framework's is a text too, and stays one.
            checked_tag(value if isinstance(value, str) else str(value))
        elif key == "name":
            checked_id(str(value), what="option name")
        elif key == "model" and not isinstance(value, str | None):
            message = f"option model: {str(value)[:_SHOWN]!r} names none"
            raise UsageError(message)
        elif key == "gpus" and value is not None:
            _check_devices(value)
        elif isinstance(value, Mapping):
            check_options(value)


def check_task_options(options: Mapping[str, Any]) -> None:
    """Refuses options with which a task's own process could not be started, or not safely.

    Args:
        options: as a client sends them; the framework gives them to the process as one argument.

    Raises:
        UsageError: naming the option, or because there are too many.
    """
    check_options(options)
    if len(json.dumps(options)) > _LONGEST_OPTIONS:
        message = f"a task's options have up to {_LONGEST_OPTIONS} characters as JSON"
        raise UsageError(message)


def _check_devices(value: object) -> None:
    # The framework puts it into its process's environment as it is.
    if not isinstance(value, str) or not _DEVICES.fullmatch(value):
        message = f"option gpus: {str(value)[:_SHOWN]!r} names none; give 'all', or '0,1'"
        raise UsageError(message)


def json_object(text: str, *, what: str) -> dict[str, Any]:
    """The object that ``text`` is the JSON of; empty text is an empty object.

    Raises:
        UsageError: it is not JSON or not an object, means two things (a key twice), or has numbers
            or characters that cannot be kept.
    """
    try:
        value = _parsed(text) if text else {}
    except (ValueError, RecursionError) as error:
        message = f"{what} is not JSON: {error}"
        raise UsageError(message) from error
    if not isinstance(value, dict):
        message = f"{what} must be a JSON object, not {type(value).__name__}"
        raise UsageError(message)
    return value


def _parsed(text: str) -> Any:
    value = json.loads(
        text,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        object_pairs_hook=_object_of,
    )
    _require_characters(value)
    return value


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a key stands twice in one object"
        raise ValueError(message)
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse_constant(text[:_SHOWN])
    return number


def _require_characters(value: object) -> None:
    """Refuses NUL and halves of characters, which databases and files cannot keep."""
    if isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
        message = "it has NUL or half a character"
        raise ValueError(message)
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    for part in parts if isinstance(parts, list) else ():
        _require_characters(part)


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is no number"
    raise ValueError(message)
