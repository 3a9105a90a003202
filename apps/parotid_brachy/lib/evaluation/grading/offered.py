"""The grading studies that a server offers: folders by name, beside its store."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from parotid_brachy.lib.errors import NotFoundError, StoreError, UsageError
from parotid_brachy.lib.evaluation.grading.study import Study, read_study
from parotid_brachy.lib.review.case_ids import is_case_id

_FOLDER: Final = "grading"
_OWNER_ONLY: Final = 0o700

logger = logging.getLogger(__name__)


class OfferedStudies:
    """Grading studies by name.

    Args:
        store: ``.parotid`` of the server's folder of studies; they lie in ``grading`` within it.
    """

    def __init__(self, store: Path) -> None:
        self._folder = store / _FOLDER

    def new_folder(self, name: str) -> Path:
        """Where a new study of a name is to be made.

        Raises:
            UsageError: nothing can be called so, or the folder of all studies cannot be made.
        """
        folder = self._folder_of(name)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=_OWNER_ONLY)
        except OSError as error:
            message = f"{folder.parent}: cannot be made ({error})"
            raise UsageError(message) from error
        return folder

    def find(self, name: str) -> Study:
        """The study of a name.

        Raises:
            UsageError: nothing can be called so.
            NotFoundError: there is none.
            StoreError: it is damaged, or an older program made it.
        """
        return read_study(self._folder_of(name))

    def graded_by(self, name: str, grader: str) -> Study:
        """The study of a name, for one of its graders.

        Raises:
            UsageError: nothing can be called so.
            NotFoundError: there is none, or somebody else grades in it, which is told alike.
            StoreError: it is damaged, or an older program made it.
        """
        study: Study | None = None
        with contextlib.suppress(NotFoundError):
            study = self.find(name)
        if study is None or grader not in study.graders:
            message = f"grading study {name}: there is none of that name in which {grader} grades"
            raise NotFoundError(message)
        return study

    def all_graded_by(self, grader: str) -> Iterator[tuple[str, Study]]:
        """Names and studies in which somebody grades, by name; damaged ones are logged.

        Raises:
            StoreError: the folder cannot be read.
        """
        for name in self._names():
            try:
                study = self.find(name)
            except NotFoundError:  # no study, or not any more
                continue
            except StoreError as error:
                logger.warning("not offered: %s", error)
                continue
            if grader in study.graders:
                yield name, study

    def _names(self) -> list[str]:
        try:
            return sorted(path.name for path in self._folder.iterdir() if is_case_id(path.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            message = f"{self._folder.name}: the grading studies cannot be listed ({error})"
            raise StoreError(message) from error

    def _folder_of(self, name: str) -> Path:
        if not is_case_id(name):
            message = (
                f"grading study {name[:60]!r}: use letters, digits, spaces and _ . , ( ) + -, "
                "and no path"
            )
            raise UsageError(message)
        return self._folder / name
