"""Puts a fetched series into the folder of studies, as an import does; nothing is de-identified.

What an archive sends is as hostile as any file: it is parsed in a child process with bounds.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from parotid_brachy.lib.dicom.importing.landing import LandingPlace
from parotid_brachy.lib.dicom.importing.limits import IMPORT_LIMITS, ImportLimits
from parotid_brachy.lib.dicom.importing.records import SeriesFound
from parotid_brachy.lib.dicom.importing.series_import import converted_in_child
from parotid_brachy.lib.dicomweb.archive_images import TakeIn
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.review.records import STORE_FOLDER

_INCOMING: Final = "incoming"


def taken_into(studies: Path, limits: ImportLimits = IMPORT_LIMITS) -> TakeIn:
    """What puts fetched series into one folder of studies.

    Args:
        studies: the folder.
        limits: of the child process.
    """
    place = LandingPlace(studies, studies / STORE_FOLDER)

    def take_in(case: str, fetched: Path) -> None:
        incoming = fetched.parent / _INCOMING
        incoming.mkdir()
        series = SeriesFound(
            uid=case,
            number="",
            patient_id="",
            study_uid="",
            slices=tuple(sorted(fetched.iterdir())),
        )
        converted = converted_in_child(series, incoming, limits=limits)
        if converted.series_uid != case:
            message = f"{case}: the archive sent series {converted.series_uid[:64]!r} for it"
            raise InputRefusedError(message)
        place.land(incoming, replace(converted, case=case), is_deidentified=False)

    return take_in
