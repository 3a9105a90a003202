"""Where DICOM files come from: a folder, a single file, an archive, and what is registered."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from parotid_brachy.lib.dicom.importing.child_process import ChildJob, run_child
from parotid_brachy.lib.dicom.importing.limits import ImportLimits
from parotid_brachy.lib.errors import InputRefusedError, UsageError

ARCHIVE_SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz")


class Source(Protocol):
    """Files that an import looks at.

    Attributes:
        name: for messages.
    """

    name: str

    def files(self, private: Path) -> Iterator[Path]:
        """Regular files, each one once.

        Args:
            private: an empty folder of the import's own, for what has to be fetched or unpacked;
                the import removes it.

        Raises:
            InputRefusedError: the source cannot be read, or holds more than the limits allow.
        """
        ...


SourceMaker = Callable[[str, ImportLimits], Source]


class FolderSource:
    """All files of a folder and of the folders in it; links and hidden files are left out."""

    def __init__(self, folder: Path, limits: ImportLimits) -> None:
        self.name = folder.name or str(folder)
        self._folder = folder
        self._limits = limits

    def files(self, private: Path) -> Iterator[Path]:
        """See :class:`Source`."""
        del private
        count = 0
        for folder, folders, names in os.walk(self._folder, onerror=self._refuse):
            # os.walk does not enter linked folders; hidden ones are no one's slices.
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                if name.startswith(".") or not stat.S_ISREG(path.lstat().st_mode):
                    continue
                count += 1
                if count > self._limits.files:
                    message = (
                        f"{self.name}: more than {self._limits.files} files. "
                        "Give the folders of fewer studies."
                    )
                    raise InputRefusedError(message)
                yield path

    def _refuse(self, error: OSError) -> None:
        message = f"{self.name}: cannot be read ({error.strerror}). Check its permissions."
        raise InputRefusedError(message) from error


class FileSource:
    """One DICOM file."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path

    def files(self, private: Path) -> Iterator[Path]:
        """See :class:`Source`."""
        del private
        yield self._path


class ArchiveSource:
    """A .zip or .tar archive, unpacked by a child process into the private folder."""

    def __init__(self, path: Path, limits: ImportLimits) -> None:
        self.name = path.name
        self._path = path
        self._limits = limits

    def files(self, private: Path) -> Iterator[Path]:
        """See :class:`Source`."""
        unpacked = private / "unpacked"
        unpacked.mkdir()
        job = ChildJob(
            "unpack",
            {"archive": str(self._path.resolve()), "folder": str(unpacked)},
            what=self.name,
            seconds=self._limits.survey_s,
            memory_bytes=self._limits.survey_memory_bytes,
        )
        run_child(job, private, self._limits)
        yield from FolderSource(unpacked, self._limits).files(private)


def open_source(
    stated: str, limits: ImportLimits, *, addresses: Mapping[str, SourceMaker] | None = None
) -> Source:
    """The source that a word of the command line means.

    Args:
        stated: a path, or an address such as ``https://...``.
        limits: of the import.
        addresses: what makes a source of an address, by its scheme (``https``).

    Raises:
        UsageError: there is no such thing, or nothing reads such addresses.
    """
    scheme, separator, _ = stated.partition("://")
    if separator:
        maker = (addresses or {}).get(scheme.lower())
        if maker is None:
            message = f"{stated[:100]}: addresses of this kind cannot be imported from"
            raise UsageError(message)
        return maker(stated, limits)
    path = Path(stated)
    if path.is_dir():
        return FolderSource(path.resolve() if path.name in ("", ".", "..") else path, limits)
    if not path.is_file():
        message = f"{stated}: no such file or folder"
        raise UsageError(message)
    if path.name.lower().endswith(ARCHIVE_SUFFIXES):
        return ArchiveSource(path, limits)
    return FileSource(path)
