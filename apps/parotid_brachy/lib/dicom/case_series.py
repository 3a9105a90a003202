"""The DICOM slices that a case was made from, kept beside the studies for later export."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from parotid_brachy.lib.errors import ConflictError, NotFoundError, UsageError
from parotid_brachy.lib.imaging.atomic import synchronise_folder

_FOLDER: Final = "dicom"
RELATED_FOLDER: Final = "related"
"""Within a case's folder: structure sets, plans and doses of the same study."""
_PLAIN_NAME: Final = re.compile(r"(?![. ])[^/\\\0]+(?<![ .])")


class CaseSeries:
    """The series of all cases of one folder of studies.

    Args:
        store_folder: ``.parotid`` within the folder of studies.
    """

    def __init__(self, store_folder: Path) -> None:
        self.folder = store_folder / _FOLDER

    def folder_of(self, case: str) -> Path:
        """Where a case's slices lie (``*.dcm``), whether there are any or not.

        Raises:
            UsageError: no case can be called so.
        """
        if _PLAIN_NAME.fullmatch(case) is None:
            message = f"{case[:60]!r}: no case can be called so"
            raise UsageError(message)
        return self.folder / case

    def has(self, case: str) -> bool:
        """Whether a case's slices are kept."""
        return self.folder_of(case).is_dir()

    def slices_of(self, case: str) -> list[Path]:
        """The files of a case's slices, by name.

        Raises:
            NotFoundError: none are kept.
        """
        found = sorted(self.folder_of(case).glob("*.dcm"))
        if not found:
            message = f"{case}: no DICOM slices are kept; the case was not imported from DICOM"
            raise NotFoundError(message)
        return found

    def related_of(self, case: str) -> list[Path]:
        """Structure sets, plans and doses that came with a case, by name."""
        return sorted((self.folder_of(case) / RELATED_FOLDER).glob("*.dcm"))

    def keep(self, case: str, folder: Path) -> Path:
        """Takes over a folder of slices, whole or not at all.

        Args:
            case: the case's id.
            folder: on the same file system; it is gone afterwards.

        Returns:
            Where the slices lie now.

        Raises:
            ConflictError: the case has slices already; nothing was changed.
            OSError: the disk is full or not writable.
        """
        target = self.folder_of(case)
        self.folder.mkdir(parents=True, exist_ok=True)
        _synchronise(folder)
        if target.exists():
            message = f"{case}: its DICOM slices are kept already; they are never replaced"
            raise ConflictError(message)
        # A folder is never renamed over another that holds files.
        folder.rename(target)
        synchronise_folder(self.folder)
        return target

    def add_related(self, case: str, file: Path) -> bool:
        """Adds an object that came later to a case that is kept already.

        Returns:
            Whether it was new; one of the same name stays as it is.

        Raises:
            OSError: the disk is full or not writable.
        """
        folder = self.folder_of(case) / RELATED_FOLDER
        folder.mkdir(exist_ok=True)
        try:
            # A link is refused where the name is taken, by whichever process.
            os.link(file, folder / file.name)
        except FileExistsError:
            return False
        synchronise_folder(folder)
        return True


def _synchronise(folder: Path) -> None:
    """Makes all files below a folder durable."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            synchronise_folder(path)
            continue
        with path.open("rb") as file:
            os.fsync(file.fileno())
    synchronise_folder(folder)
