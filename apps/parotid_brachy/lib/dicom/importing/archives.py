"""Archives unpacked within bounds; runs in the import's child process only.

Every member is checked before a byte of it is written, and counted while it is: what an archive
says of its own sizes is not believed.
"""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Protocol

from parotid_brachy.lib.dicom.importing.limits import ImportLimits
from parotid_brachy.lib.errors import InputRefusedError, TooLargeError
from parotid_brachy.lib.imaging.stored_image import quoted

_CHUNK_BYTES: Final = 1 << 20
_DEEPEST: Final = 32
_LONGEST_NAME_BYTES: Final = 200
_GZIP: Final = b"\x1f\x8b"
_TAR_END_BYTES: Final = 1024
"""An archive ends with two blocks of zeros (POSIX.1-2008, pax, "ustar Interchange Format")."""
_TAR_OVERHEAD_BYTES: Final = 128 * 1024**2
"""What headers and padding may take beside the files; tarfile reads long headers into memory."""
_DAMAGED: Final = (
    gzip.BadGzipFile,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


@dataclass(frozen=True)
class _Member:
    """A regular file of an archive that may be unpacked."""

    name: str
    stated_bytes: int
    source: zipfile.ZipInfo | tarfile.TarInfo


def unpack(archive: Path, folder: Path, limits: ImportLimits) -> int:
    """Unpacks the files of an archive.

    Hidden files are left out. Nothing keeps its permissions, owner or time.

    Args:
        archive: ``.zip``, ``.tar``, ``.tar.gz`` or ``.tgz``.
        folder: empty, the import's own.
        limits: bounds for count, bytes and ratio.

    Returns:
        How many files.

    Raises:
        InputRefusedError: damaged, encrypted, or with a member that leads out of the folder, is a
            link or a device.
        TooLargeError: too many files, or more bytes than the limits allow.
    """
    allowed = min(limits.unpacked_bytes, limits.free_bytes + limits.ratio * archive.stat().st_size)
    count = written = seen = 0
    try:
        with _opened(archive, allowed + _TAR_OVERHEAD_BYTES) as (members, opened):
            for member in members:
                seen += 1
                if seen > limits.files:
                    raise _too_many(archive, limits.files)
                parts = _safe_parts(member.name, archive.name)
                if written + member.stated_bytes > allowed:
                    raise _bomb(archive, member.name, allowed)
                if any(part.startswith(".") for part in parts):
                    written += member.stated_bytes  # a .tar unpacks it all the same
                    continue
                target = folder.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened(member) as packed:
                    written += _copied(packed, target, allowed - written, archive, member.name)
                count += 1
    except (TooLargeError, InputRefusedError):
        raise
    except FileExistsError as error:
        message = f"{archive.name}: {quoted(member.name)} is in it twice. Pack it again."
        raise InputRefusedError(message) from error
    except _DAMAGED as error:
        message = (
            f"{archive.name}: damaged archive ({type(error).__name__}: {quoted(error)}). "
            "Pack it again."
        )
        raise InputRefusedError(message) from error
    if count == 0:
        raise InputRefusedError(f"{archive.name}: an archive without files. Pack it again.")
    return count


_Opener = Callable[[_Member], AbstractContextManager[IO[bytes]]]


@contextmanager
def _opened(archive: Path, most: int) -> Iterator[tuple[Iterator[_Member], _Opener]]:
    """The members of an archive that are files, each checked, and how one is read."""
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            yield (_zip_members(packed, archive.name), lambda one: _of_zip(packed, one))
        return
    with archive.open("rb") as file:
        is_packed = file.read(len(_GZIP)) == _GZIP
    with gzip.open(archive, "rb") if is_packed else archive.open("rb") as content:
        watched = _Watched(content, archive, most)
        # As a stream: nothing is looked for beyond what has been unpacked and counted.
        stated: Any = watched
        with tarfile.open(fileobj=stated, mode="r|") as stream:
            yield (_tar_members(stream, watched, archive.name), lambda one: _of_tar(stream, one))


class _Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        ...


class _Watched:
    """A tar stream whose end is looked at: tarfile takes one that is cut short for a whole one."""

    def __init__(self, content: _Readable, archive: Path, most: int) -> None:
        self._content = content
        self._archive = archive
        self._most = self._left = most
        self._tail = b""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        chunk = self._content.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise _bomb(self._archive, "the end", self._most)
        self._tail = (self._tail + chunk[-_TAR_END_BYTES:])[-_TAR_END_BYTES:]
        return chunk

    def require_end(self) -> None:
        """Reads what is left, and makes sure that it ends as an archive does.

        Raises:
            EOFError, ReadError: it was cut short.
        """
        while self.read(_CHUNK_BYTES):
            pass
        if self._tail != bytes(_TAR_END_BYTES):
            raise tarfile.ReadError("it was cut short")


def _of_zip(packed: zipfile.ZipFile, member: _Member) -> IO[bytes]:
    assert isinstance(member.source, zipfile.ZipInfo)
    return packed.open(member.source)


def _of_tar(stream: tarfile.TarFile, member: _Member) -> IO[bytes]:
    assert isinstance(member.source, tarfile.TarInfo)
    found = stream.extractfile(member.source)
    if found is None:
        raise tarfile.ReadError("no file")
    return found


def _zip_members(packed: zipfile.ZipFile, name: str) -> Iterator[_Member]:
    for info in packed.infolist():
        if info.is_dir():
            _safe_parts(info.filename, name)
            continue
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _no_file(name, info.filename)
        if info.flag_bits & 1:
            message = f"{name}: {quoted(info.filename)} is encrypted. Pack it without a password."
            raise InputRefusedError(message)
        yield _Member(info.filename, info.file_size, info)


def _tar_members(stream: tarfile.TarFile, watched: _Watched, name: str) -> Iterator[_Member]:
    for info in stream:
        # The list of members that tarfile keeps would grow with the archive.
        stream.members = []  # type: ignore[attr-defined]
        if info.isdir():
            _safe_parts(info.name, name)
            continue
        if not info.isreg() or info.issparse():
            raise _no_file(name, info.name)
        yield _Member(info.name, info.size, info)
    watched.require_end()


def _safe_parts(member: str, archive: str) -> tuple[str, ...]:
    """The folders and the file of a member's name.

    Raises:
        InputRefusedError: it leads out of the folder, or no file can be called so.
    """
    path = PurePosixPath(member)
    is_safe = (
        not path.is_absolute()
        and ".." not in path.parts
        and not any(sign in member for sign in ("\\", ":", "\0"))
        and len(path.parts) <= _DEEPEST
        and all(len(part.encode(errors="replace")) <= _LONGEST_NAME_BYTES for part in path.parts)
    )
    if not is_safe:
        message = (
            f"{archive}: the member {quoted(member)} would not lie within the folder that it is "
            "unpacked to, or has a name that no file can have. Pack the folder of slices anew."
        )
        raise InputRefusedError(message)
    return path.parts


def _copied(packed: IO[bytes], target: Path, allowed: int, archive: Path, member: str) -> int:
    """Writes a member's bytes to a new file; how many they were.

    Raises:
        TooLargeError: more than allowed.
    """
    written = 0
    with target.open("xb") as file:
        while chunk := packed.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > allowed:
                raise _bomb(archive, member, allowed)
            file.write(chunk)
    return written


def _no_file(archive: str, member: str) -> InputRefusedError:
    return InputRefusedError(
        f"{archive}: the member {quoted(member)} is a link, a device or another special file. "
        "Pack plain files only."
    )


def _too_many(archive: Path, most: int) -> TooLargeError:
    return TooLargeError(
        f"{archive.name}: more than {most} members. Give an archive of fewer studies."
    )


def _bomb(archive: Path, member: str, allowed: int) -> TooLargeError:
    return TooLargeError(
        f"{archive.name}: unpacks to more than {allowed / 1024**2:.0f} MiB (at "
        f"{quoted(member)}), too much for its {archive.stat().st_size / 1024**2:.3g} MiB. "
        "Unpack it yourself if you trust it, and give the folder."
    )
