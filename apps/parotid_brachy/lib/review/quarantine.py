"""Label maps that were refused, kept aside for a while so that no reader's work is lost.

What lies here was never checked: it is stored under names of our own making, never opened, and
never served.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.imaging.atomic import write_atomically

logger = logging.getLogger(__name__)

_CONTENT, _SIDECAR = ".refused", ".json"
_NAME: Final = re.compile(r"(\d{8}T\d{12})Z-[0-9a-f]{12}")
_STAMP: Final = "%Y%m%dT%H%M%S%f"
_LONGEST_TEXT: Final = 2000
_LARGEST_SIDECAR: Final = 64 * 1024


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class QuarantinePolicy:
    """How much is kept aside, and how long.

    Attributes:
        keep: after this, it is deleted.
        most_bytes: of everything kept aside together; the oldest go first.
    """

    keep: timedelta = timedelta(days=30)
    most_bytes: int = 4 * 1024**3


@dataclass(frozen=True)
class Refused:
    """What is known of one refused label map.

    Attributes:
        id: names it here.
        at: when it was refused, in UTC, as ISO 8601 has it.
        reader: who sent it.
        case: for which case.
        name: what the client called the file.
        reason: why it was refused.
        sha256: of the bytes.
        size_bytes: how many they are.
    """

    id: str
    at: str
    reader: str
    case: str
    name: str
    reason: str
    sha256: str
    size_bytes: int


class Quarantine:
    """A folder of refused label maps. Safe for threads and for several processes.

    Nothing here raises on a full or broken disk: whoever sent the map gets the reason why it was
    refused either way, and the log says what could not be kept.

    Args:
        folder: made when the first map comes.
        policy: how much is kept, and how long.
        now: the clock, in UTC.
    """

    def __init__(
        self,
        folder: Path,
        policy: QuarantinePolicy = QuarantinePolicy(),
        *,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._folder = folder
        self._policy = policy
        self._now = now

    def keep(
        self, content: bytes | Path, *, reader: str, case: str, name: str, reason: str
    ) -> str | None:
        """Keeps a refused map aside, and deletes what has been here for too long.

        Args:
            content: the bytes, or the file that holds them.
            reader: who sent it.
            case: for which case.
            name: what the client called the file.
            reason: why it was refused.

        Returns:
            Its id here; None if it could not be kept, which the log explains.
        """
        try:
            kept = content.read_bytes() if isinstance(content, Path) else content
            return self._keep(kept, reader=reader, case=case, name=name, reason=reason)
        except OSError as error:
            logger.error(  # noqa: TRY400 - the fault is the disk's
                "%s: a refused label map of %s could not be kept aside (%s)", case, reader, error
            )
            return None

    def refused(self) -> list[Refused]:
        """What is here, the oldest first; damaged notes are left out."""
        try:
            names = sorted(path.stem for path in self._paths() if path.suffix == _SIDECAR)
        except OSError:
            return []
        return [found for name in names if (found := self._note(name)) is not None]

    def path_of(self, refused: Refused) -> Path:
        """Where a refused map's bytes lie."""
        return self._folder / f"{refused.id}{_CONTENT}"

    def purge(self) -> int:
        """Deletes what has been here for too long; returns how many maps."""
        try:
            oldest = self._now() - self._policy.keep
            expired = [name for name in self._by_age() if _refused_at(name) < oldest]
            for name in expired:
                self._delete(name)
        except OSError:
            logger.exception("the quarantine could not be cleared")
            return 0
        return len(expired)

    def _keep(
        self, content: bytes, *, reader: str, case: str, name: str, reason: str
    ) -> str | None:
        if len(content) > self._policy.most_bytes:
            logger.warning(
                "%s: a refused label map of %s has %d bytes, more than the whole quarantine's %d; "
                "it was not kept",
                *(case, reader, len(content), self._policy.most_bytes),
            )
            return None
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.purge()
        self._make_room(len(content))
        at = self._now()
        id_ = f"{at.strftime(_STAMP)}Z-{secrets.token_hex(6)}"
        note = Refused(
            id=id_,
            at=at.isoformat(),
            reader=reader[:_LONGEST_TEXT],
            case=case[:_LONGEST_TEXT],
            name=name[:_LONGEST_TEXT],
            reason=reason[:_LONGEST_TEXT],
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
        )
        try:
            write_atomically(self._folder / f"{id_}{_CONTENT}", content)
            # JSON in ASCII, because a client's words may be no valid Unicode.
            write_atomically(
                self._folder / f"{id_}{_SIDECAR}", json.dumps(asdict(note), indent=2).encode()
            )
        except OSError:
            self._delete(id_)
            raise
        return id_

    def _make_room(self, needed: int) -> None:
        """Deletes the oldest until there is room."""
        sizes = {name: self._size_of(name) for name in self._by_age()}
        excess = sum(sizes.values()) + needed - self._policy.most_bytes
        for name, size in sizes.items():
            if excess <= 0:
                return
            logger.warning("the quarantine is full: %s was deleted before its time", name)
            self._delete(name)
            excess -= size

    def _by_age(self) -> list[str]:
        return sorted({path.stem for path in self._paths()})

    def _paths(self) -> Iterator[Path]:
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            if path.suffix in (_CONTENT, _SIDECAR) and _NAME.fullmatch(path.stem):
                yield path

    def _size_of(self, name: str) -> int:
        try:
            return (self._folder / f"{name}{_CONTENT}").stat().st_size
        except FileNotFoundError:  # another process was faster
            return 0

    def _delete(self, name: str) -> None:
        # The note goes last, so that no bytes lie here of which nothing is known.
        for suffix in (_CONTENT, _SIDECAR):
            (self._folder / f"{name}{suffix}").unlink(missing_ok=True)

    def _note(self, name: str) -> Refused | None:
        path = self._folder / f"{name}{_SIDECAR}"
        try:
            if path.stat().st_size > _LARGEST_SIDECAR:
                return None
            values: Any = json.loads(path.read_text())
            note = Refused(**values)
        except (OSError, ValueError, TypeError):
            return None
        return note if note.id == name else None


def _refused_at(name: str) -> datetime:
    match = _NAME.fullmatch(name)
    assert match is not None
    return datetime.strptime(match[1], _STAMP).replace(tzinfo=timezone.utc)
