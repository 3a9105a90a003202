"""The files that a run leaves for each case, and how to know them again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parotid_brachy.lib.imaging.atomic import write_atomically

FORMAT = "parotid-brachy case report 1"
"""First field of every report: whoever finds the file knows what wrote it."""
_MOST_BYTES = 10 * 1024**2


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Writes a case's report as JSON, whole or not at all.

    Args:
        path: ends with ``.json``.
        report: plain values only; numbers must be finite.

    Raises:
        ValueError: a value that JSON cannot hold.
        OSError: the folder cannot be written to.
    """
    content = json.dumps({"format": FORMAT, **report}, indent=2, allow_nan=False)
    write_atomically(path, (content + "\n").encode())


def is_report(path: Path) -> bool:
    """Whether a file is a report that ``write_report`` wrote."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return False
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT
