"""The secret that pseudonyms follow from, in a file that stays in the hospital."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from parotid_brachy.lib.errors import InputRefusedError, UsageError
from parotid_brachy.lib.imaging.atomic import synchronise_folder, write_atomically

_SECRET_BYTES: Final = 32
_MARK: Final = "parotid-brachy-pseudonym-key-1"
_LARGEST_BYTES: Final = 1024
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class PseudonymKey:
    """32 random bytes. Whoever has them can check guesses at a patient.

    Attributes:
        secret: the bytes; never shown.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuses a secret of another length."""
        if len(self.secret) != _SECRET_BYTES:
            raise UsageError(f"a pseudonym key has {_SECRET_BYTES} bytes, not {len(self.secret)}")

    @property
    def fingerprint(self) -> str:
        """Tells keys apart without giving them away."""
        return hashlib.sha256(b"fingerprint\0" + self.secret).hexdigest()[:16]

    @classmethod
    def load_or_create(cls, path: Path) -> PseudonymKey:
        """The key of a file, which is made with a new one where there is none.

        Two processes that start at once get the same key.

        Raises:
            InputRefusedError: the file is damaged, or others may read it.
            OSError: the folder cannot be written.
        """
        if not os.path.lexists(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _create(path)
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> PseudonymKey:
        """The key of a file.

        Raises:
            InputRefusedError: missing, damaged, a link, or others may read it.
        """
        content = _private_content(path)
        words = content.decode("ascii", errors="replace").split()
        with contextlib.suppress(ValueError):
            mark, secret, check = words
            secret_bytes = bytes.fromhex(secret)
            if mark == _MARK and len(secret_bytes) == _SECRET_BYTES and check == _check(secret):
                return cls(secret_bytes)
        message = (
            f"{path.name}: damaged pseudonym key. Restore it from a copy: with a new key the same "
            "patients get other pseudonyms."
        )
        raise InputRefusedError(message)


def default_key_path() -> Path:
    """Where the key is kept unless somebody says otherwise: with the account, not the studies."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "parotid-brachy" / "pseudonym.key"


def require_outside(path: Path, studies: Path) -> None:
    """Refuses a key within the folder that it protects, which is what gets copied and shared.

    Raises:
        UsageError: it lies there.
    """
    if path.resolve().is_relative_to(studies.resolve()):
        message = (
            f"{path.name}: the pseudonym key must not lie in the studies folder. Keep it where "
            f"only the hospital reads it, such as {default_key_path().name} in the account's "
            "configuration folder."
        )
        raise UsageError(message)


def require_private(status: os.stat_result, path: Path) -> None:
    """Refuses a file that is not one, or that others than its owner may touch.

    Raises:
        InputRefusedError: says what to do.
    """
    if not stat.S_ISREG(status.st_mode):
        raise InputRefusedError(f"{path.name}: no plain file. Give the file itself, not a link.")
    if os.name == "posix" and status.st_mode & _OTHERS:
        message = (
            f"{path.name}: others may read it (mode {stat.S_IMODE(status.st_mode):04o}). "
            f"Run chmod 600 on it, and find out who has."
        )
        raise InputRefusedError(message)


def _check(secret: str) -> str:
    return hashlib.sha256(f"{_MARK} {secret}".encode()).hexdigest()[:16]


def _create(path: Path) -> None:
    secret = secrets.token_hex(_SECRET_BYTES)
    content = f"{_MARK} {secret} {_check(secret)}\n"
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    write_atomically(unfinished, content.encode("ascii"), mode=0o600)
    try:
        # A link, unlike a rename, leaves a key alone that somebody else has just made.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(unfinished)
    finally:
        unfinished.unlink()
    synchronise_folder(path.parent)


def _private_content(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        raise InputRefusedError(f"{path.name}: cannot be read ({error.strerror}).") from error
    try:
        require_private(os.fstat(descriptor), path)
        return os.read(descriptor, _LARGEST_BYTES + 1)
    finally:
        os.close(descriptor)
