"""Files that clients send: written under names of ours; only the ending is the client's."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fastapi import UploadFile

from parotid_brachy.lib.errors import UsageError

_SHOWN: Final = 60


def upload_ending(file_name: str | None, endings: Sequence[str]) -> str:
    """The ending of an upload's name; nothing else of the name is used.

    Raises:
        UsageError: it is none of those that are taken here.
    """
    name = (file_name or "").lower()
    ending = next((ending for ending in endings if name.endswith(ending)), None)
    if ending is None:
        message = f"upload {name[-_SHOWN:]!r}: send one of {', '.join(endings)}"
        raise UsageError(message)
    return ending


def write_upload(upload: UploadFile, path: Path) -> Path:
    """Writes an upload; returns where."""
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as out:
        shutil.copyfileobj(upload.file, out)
    return path
