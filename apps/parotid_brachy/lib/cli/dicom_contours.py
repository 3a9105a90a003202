"""Contours of a planning system or of another program as initial contours of imported cases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import pydicom

from parotid_brachy.lib.anatomy import STRUCTURES, Side
from parotid_brachy.lib.dicom.case_series import CaseSeries
from parotid_brachy.lib.dicom.read_contours import ReadContours
from parotid_brachy.lib.dicom.segmentation.reading import read_segmentation
from parotid_brachy.lib.dicom.source_series import SourceSeries, read_source_series
from parotid_brachy.lib.dicom.structure_set.reading import read_structure_set
from parotid_brachy.lib.errors import ParotidBrachyError, UsageError
from parotid_brachy.lib.imaging.files import write_label_map
from parotid_brachy.lib.review.found import Complaint, Found
from parotid_brachy.lib.review.records import INITIAL_TAG
from parotid_brachy.lib.review.roles import checked_reader_name

_STRUCTURE_SETS: Final = "rtstruct_*.dcm"
_SEGMENTATION: Final = "SEG"


def found_in_dicom(
    stated: Sequence[str], series: CaseSeries, folder: Path, *, reader: str, side: Side | None
) -> tuple[list[Found], list[Complaint]]:
    """Label maps of structure sets and segmentations.

    Args:
        stated: ``CASE=FILE``, or ``CASE`` for the structure set that was imported with it.
        series: the slices of the imported cases.
        folder: for the maps; it must be there until they are kept.
        reader: who contoured.
        side: the patient's; None: as the objects state it.

    Returns:
        What was found, and what could not be taken, in words.

    Raises:
        UsageError: no such file, or a case twice; no name for a reader.
    """
    author = checked_reader_name(reader)
    found: dict[str, Found] = {}
    complaints: list[Complaint] = []
    for one in stated:
        case, path = _stated(one, series)
        if case in found:
            message = f"{case}: stated twice; give one object for a case"
            raise UsageError(message)
        try:
            source = read_source_series(series.slices_of(case)[0].parent)
            contours = _read(path, source, side)
        except ParotidBrachyError as error:
            complaints.append(Complaint(path.name, f"{case}: {error}"))
            continue
        complaints += [
            Complaint(path.name, f"{case}: {left.name!r} is left out: {left.reason}")
            for left in contours.not_taken
        ]
        complaints += [
            Complaint(
                path.name,
                f"{case}: {lap.kept.title} and {lap.lost.title} share {lap.voxels} voxels, which "
                f"{lap.kept.title} keeps",
            )
            for lap in contours.overlaps
        ]
        # What the object does not name was not contoured.
        named = [structure for structure in STRUCTURES if structure in contours.sources]
        own = folder / f"{case}.seg.nrrd"
        write_label_map(own, contours.labels, source.grid, structures=named)
        found[case] = Found(
            case=case,
            tag=INITIAL_TAG,
            author=author,
            created=datetime.fromtimestamp(path.stat().st_mtime, timezone.utc),
            path=own,
            source=path.name,
            info={"client_id": author, "contoured_in": path.name},
        )
    return list(found.values()), complaints


def _stated(one: str, series: CaseSeries) -> tuple[str, Path]:
    """The case and the object that a word of the command line means."""
    case, separator, name = one.partition("=")
    if separator:
        path = Path(name)
        if not path.is_file():
            message = f"{name}: no such file"
            raise UsageError(message)
        return case, path
    kept = [path for path in series.related_of(case) if path.match(_STRUCTURE_SETS)]
    if len(kept) != 1:
        message = f"{case}: {len(kept)} structure sets came with it; state one: {case}=FILE"
        raise UsageError(message)
    return case, kept[0]


def _read(path: Path, series: SourceSeries, side: Side | None) -> ReadContours:
    if _modality(path) == _SEGMENTATION:
        return read_segmentation(path, series, side=side)
    return read_structure_set(path, series, side=side)


def _modality(path: Path) -> str:
    """What kind of object it says that it is; the readers look closely."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Modality"])
        return str(header.get("Modality", ""))
    # pydicom lets nearly any error through; the reader tells why.
    except Exception:  # noqa: BLE001
        return ""
