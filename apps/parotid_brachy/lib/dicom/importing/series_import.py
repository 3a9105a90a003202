"""Imports CT series: looks through sources, converts each series, and puts it into the studies."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parotid_brachy.lib.dicom.importing.child_process import (
    ChildGoneError,
    ChildJob,
    Progress,
    run_child,
)
from parotid_brachy.lib.dicom.importing.defaced_series import FindGlands, deface_converted
from parotid_brachy.lib.dicom.importing.landing import Landed, LandingPlace
from parotid_brachy.lib.dicom.importing.limits import IMPORT_LIMITS, ImportLimits
from parotid_brachy.lib.dicom.importing.records import (
    Converted,
    SeriesFound,
    Survey,
    converted_of,
    survey_of,
)
from parotid_brachy.lib.dicom.importing.sources import Source
from parotid_brachy.lib.errors import InputRefusedError

logger = logging.getLogger(__name__)

_LONGEST_LEFT_OUT: Final = 3


@dataclass(frozen=True)
class Taken:
    """A series that is in the studies now.

    Attributes:
        series: as it was found.
        converted: as it is kept.
        landed: whether it is new.
    """

    series: SeriesFound
    converted: Converted
    landed: Landed


class SeriesImport:
    """One import into one folder of studies; to be used within :meth:`LandingPlace.alone`.

    Args:
        place: where cases go.
        key: file of the pseudonym key; None: nothing is de-identified.
        is_case_id: whether a case can be called so.
        find_glands: the face is taken out of each series, but for what is within reach of these
            glands; None: faces stay.
        limits: of sources and child processes.
    """

    def __init__(
        self,
        place: LandingPlace,
        *,
        key: Path | None,
        is_case_id: Callable[[str], bool],
        find_glands: FindGlands | None = None,
        limits: ImportLimits = IMPORT_LIMITS,
    ) -> None:
        self._place = place
        self._key = key
        self._is_case_id = is_case_id
        self._find_glands = find_glands
        self._limits = limits

    @contextlib.contextmanager
    def opened(self, source: Source, progress: Progress | None = None) -> Iterator[Survey]:
        """Looks through a source; its files can be read until the visit ends.

        Raises:
            ParotidBrachyError: the source cannot be read, or not be looked through.
        """
        with tempfile.TemporaryDirectory(prefix="parotid-import-") as folder:
            private = Path(folder)
            paths = list(source.files(private))
            job = ChildJob(
                "survey",
                {"files": [str(path.absolute()) for path in paths]},
                what=source.name,
                seconds=self._limits.survey_s,
                memory_bytes=self._limits.survey_memory_bytes,
            )
            try:
                answer = run_child(job, private, self._limits, progress)
            except ChildGoneError as error:
                where = paths[error.done].name if error.done < len(paths) else "the end"
                raise InputRefusedError(f"{error} It was at {where}.") from error
            yield survey_of(answer, paths)

    def take(
        self, series: SeriesFound, *, seed_plan: str = "", progress: Progress | None = None
    ) -> Taken:
        """Converts a series and puts it into the studies.

        Args:
            series: of a survey that is still open.
            seed_plan: name or UID of its seed plan, where one is stated.
            progress: told how far it is.

        Raises:
            InputRefusedError, GeometryError: the series is none that can be worked on; names
                the slice.
            ConflictError: there is another image of the case's name.
            StoreFullError: the disk is full.
        """
        if series.fault:
            raise InputRefusedError(f"{series.name}: {series.fault}")
        with self._place.incoming() as incoming:
            converted = converted_in_child(
                series,
                incoming,
                key=self._key,
                seed_plan=seed_plan,
                limits=self._limits,
                progress=progress,
            )
            if not self._is_case_id(converted.case):
                message = f"{series.name}: no case can be called {converted.case[:60]!r}"
                raise InputRefusedError(message)
            if self._find_glands is not None:
                converted = deface_converted(
                    converted,
                    incoming,
                    self._find_glands,
                    name=series.name,
                    limits=self._limits,
                    progress=progress,
                )
            landed = self._place.land(incoming, converted, is_deidentified=self._key is not None)
        return Taken(series, converted, landed)


def converted_in_child(
    series: SeriesFound,
    folder: Path,
    *,
    key: Path | None = None,
    seed_plan: str = "",
    limits: ImportLimits = IMPORT_LIMITS,
    progress: Progress | None = None,
) -> Converted:
    """Has a series converted by a bounded child process.

    Args:
        series: which.
        folder: empty, for what is made of it.
        key: file of the pseudonym key; None: nothing is de-identified.
        seed_plan: name or UID of its seed plan, where one is stated.
        limits: of the child process.
        progress: told how far it is.

    Raises:
        InputRefusedError, GeometryError: the series is none that can be worked on.
    """
    job = ChildJob(
        "convert",
        {
            "slices": [str(path.absolute()) for path in series.slices],
            "related": [str(path.absolute()) for path in series.related],
            "strays": [str(path.absolute()) for path in series.strays],
            "folder": str(folder.absolute()),
            "key": None if key is None else str(key.absolute()),
            "seed_plan": seed_plan,
        },
        what=series.name,
        seconds=limits.convert_s,
        memory_bytes=limits.memory_bytes,
    )
    return converted_of(run_child(job, folder, limits, progress))


def slices_named(reason: str, series: SeriesFound) -> list[str]:
    """The slices of a series that a refusal names; every refusal names the files at fault."""
    words = set(reason.replace(":", " ").replace(",", " ").split())
    return sorted(path.name for path in series.slices if path.name in words)


def why_nothing(survey: Survey, source: str) -> str:
    """Why a source without a CT series has none, for a message."""
    found: Sequence[str] = [
        f"{one.path.name} is {one.reason}" for one in survey.left_out[:_LONGEST_LEFT_OUT]
    ]
    told = f" ({'; '.join(found)})" if found else ""
    return f"{source}: no CT series in it{told}. Give the slices of a CT."
