"""``parotid import``: CT series from folders and archives into a folder of studies."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from parotid_brachy.lib.cli.models import SHIPPED
from parotid_brachy.lib.cli.store import add_store_options

if TYPE_CHECKING:
    from parotid_brachy.lib.cli.import_report import ImportReport
    from parotid_brachy.lib.dicom.importing.defaced_series import FindGlands
    from parotid_brachy.lib.dicom.importing.limits import ImportLimits
    from parotid_brachy.lib.dicom.importing.records import SeriesFound
    from parotid_brachy.lib.dicom.importing.series_import import SeriesImport, Taken
    from parotid_brachy.lib.dicom.importing.sources import Source
    from parotid_brachy.lib.review.clinical_facts import ClinicalFacts
    from parotid_brachy.lib.review.side_table import SideTable
    from parotid_brachy.lib.review.store import VersionStore


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "import",
        help="bring CT series (DICOM) into a folder of studies, de-identified",
        description="Checks, de-identifies and converts each CT series of the sources; each "
        "becomes a case of the studies. Structure sets, plans and doses of the same study are kept "
        "with it. Importing again keeps what is new.",
        epilog="Exit codes: 0 done, 1 something was refused, 2 wrong call.",
    )
    parser.add_argument(
        "source",
        nargs="+",
        metavar="SOURCE",
        help="folder (with all folders in it), .zip, .tar, .tar.gz or .tgz archive, DICOM file, or "
        "a search in an archive: https://host/dicom-web?PatientID=4711 (name and password in "
        "MONAI_LABEL_DICOMWEB_USERNAME and MONAI_LABEL_DICOMWEB_PASSWORD)",
    )
    add_store_options(parser)
    parser.add_argument(
        "--series",
        action="append",
        metavar="UID",
        help="take this CT series only, by its original series UID; may be given again",
    )
    parser.add_argument(
        "--no-deidentify",
        dest="deidentify",
        action="store_false",
        help="keep names, dates and UIDs as they are",
    )
    parser.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help="of the pseudonyms, made where it is missing; whoever has it can tell the patients "
        "(default: in the account's configuration folder)",
    )
    parser.add_argument(
        "--deface",
        action="store_true",
        help="set the surface of the face to air, but for all within reach of both glands, which "
        "the champion gland model finds",
    )
    parser.add_argument(
        "--models",
        type=Path,
        default=SHIPPED,
        metavar="DIR",
        help="registry that --deface takes the gland model from (default: the app's)",
    )
    facts = parser.add_argument_group("what is known of the cases")
    facts.add_argument(
        "--side-table",
        type=Path,
        metavar="CSV",
        help="header patient_id (or case, or series_uid), side, surgery_date, seed_plan",
    )
    facts.add_argument("--side", metavar="SIDE", help="left or right; for one series")
    facts.add_argument("--surgery-date", metavar="DATE", help="YYYY-MM-DD; for one series")
    facts.add_argument("--seed-plan", metavar="NAME", help="name or UID; for one series")
    parser.add_argument("--json", action="store_true", help="the report as JSON, not as a table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Imports all sources; 0 if all was taken, 1 if something was refused.

    Raises:
        UsageError: no such folder or source, a wrong option, facts of one for several series.
        ConflictError: another import is at work in these studies.
        StoreFullError: the disk is full.
    """
    from contextlib import closing

    from parotid_brachy.lib.cli.import_report import ImportReport
    from parotid_brachy.lib.dicom.importing.landing import LandingPlace
    from parotid_brachy.lib.dicom.importing.limits import IMPORT_LIMITS
    from parotid_brachy.lib.dicom.importing.series_import import SeriesImport
    from parotid_brachy.lib.dicom.importing.sources import open_source
    from parotid_brachy.lib.errors import UsageError
    from parotid_brachy.lib.review.case_ids import is_case_id
    from parotid_brachy.lib.review.records import STORE_FOLDER
    from parotid_brachy.lib.review.side_table import read_side_table
    from parotid_brachy.lib.review.store import VersionStore

    if not args.studies.is_dir():
        message = f"--studies {args.studies}: there is no such folder"
        raise UsageError(message)
    key = _key(args)
    by_hand = _facts_by_hand(args)
    table = read_side_table(args.side_table) if args.side_table else None
    addresses = {"http": _dicomweb_source, "https": _dicomweb_source}
    sources = [open_source(stated, IMPORT_LIMITS, addresses=addresses) for stated in args.source]
    place = LandingPlace(args.studies, args.studies / STORE_FOLDER)
    find_glands = _gland_finder(args)
    report = ImportReport(is_deidentified=key is not None)
    with (
        closing(VersionStore.open(place.series.folder.parent, database_url=args.database)) as store,
        place.alone(),
    ):
        importer = SeriesImport(place, key=key, is_case_id=is_case_id, find_glands=find_glands)
        facts = _Facts(args.studies, store, table, by_hand)
        found: set[str] = set()
        for source in sources:
            found |= _import(source, importer, args.series, facts, report)
    missing = [uid for uid in args.series or () if uid not in found]
    report.note_unused(missing, table.unused() if table else ())
    report.write(sys.stdout, sys.stderr, as_json=args.json)
    return int(report.has_refusals)


def _dicomweb_source(address: str, limits: ImportLimits) -> Source:
    import os

    from parotid_brachy.lib.dicomweb.source import DicomwebSource

    name, password = (
        os.environ.get(f"MONAI_LABEL_DICOMWEB_{what}", "") for what in ("USERNAME", "PASSWORD")
    )
    known = (name, password) if name and password else None
    return DicomwebSource(address, limits, credentials=known)


def _key(args: argparse.Namespace) -> Path | None:
    """The file of the pseudonym key; None: nothing is de-identified."""
    from parotid_brachy.lib.dicom.deidentification.key import default_key_path, require_outside
    from parotid_brachy.lib.errors import UsageError

    if not args.deidentify:
        if args.key is not None:
            raise UsageError("--key and --no-deidentify: without pseudonyms there is no key")
        return None
    key: Path = args.key or default_key_path()
    require_outside(key, args.studies)
    return key


def _gland_finder(args: argparse.Namespace) -> FindGlands | None:
    from parotid_brachy.lib.errors import UsageError

    if not args.deface:
        return None
    if not args.deidentify:
        raise UsageError("--deface and --no-deidentify: a CT with its name needs no other face")
    from parotid_brachy.lib.cli.model_choice import load_gland_finder

    return load_gland_finder(args.models)


def _facts_by_hand(args: argparse.Namespace) -> ClinicalFacts:
    from parotid_brachy.lib.errors import UsageError
    from parotid_brachy.lib.review.clinical_facts import ClinicalFacts
    from parotid_brachy.lib.review.side_table import parsed_date, parsed_plan, parsed_side

    facts = ClinicalFacts(
        parsed_side(args.side or ""),
        parsed_date(args.surgery_date or ""),
        parsed_plan(args.seed_plan or ""),
    )
    if facts and args.side_table:
        raise UsageError("--side-table states the facts; --side and the like are for one series")
    if facts and len(args.source) > 1:
        raise UsageError("--side and the like are for one series; give one source or --side-table")
    return facts


class _Facts:
    """What is known of the cases, and where it is noted."""

    def __init__(
        self,
        studies: Path,
        store: VersionStore,
        table: SideTable | None,
        by_hand: ClinicalFacts,
    ) -> None:
        from parotid_brachy.lib.review.study_images import StudyImages

        self._images = StudyImages(studies)
        self._store = store
        self._table = table
        self._by_hand = by_hand

    def require_one(self, chosen: Sequence[SeriesFound]) -> None:
        """Refuses facts of one series where there are several, before anything is imported."""
        from parotid_brachy.lib.errors import UsageError

        if self._by_hand and len(chosen) > 1:
            message = (
                f"--side and the like are for one series, and there are {len(chosen)}: choose one "
                "by --series, or give a --side-table"
            )
            raise UsageError(message)

    def stated(self, series: SeriesFound, case: str = "") -> ClinicalFacts:
        """What is stated of a series, by its UID, its patient's id or its case's."""
        row = self._table.row_of(series.uid, series.patient_id, case) if self._table else None
        return row.facts if row else self._by_hand

    def note(self, taken: Taken) -> ClinicalFacts:
        """Notes what is stated of a case, its date moved as the case's are."""
        from dataclasses import replace
        from datetime import timedelta

        from parotid_brachy.lib.review.clinical_facts import FACTS, facts_of

        case = taken.converted.case
        self._store.register(self._images.files())
        stated = self.stated(taken.series, case)
        shift = timedelta(days=taken.converted.date_shift_days)
        day = stated.surgery_date
        facts = replace(
            stated,
            surgery_date=None if day is None else day + shift,
            seed_plan=taken.converted.seed_plan or stated.seed_plan,
        )
        known = facts_of(self._store.case(case).image_info)
        noted = {**known.to_json(), **facts.to_json()}
        if noted != known.to_json():
            self._store.keep_image_info(case, {FACTS: noted})
        return facts_of({FACTS: noted})


def _import(
    source: Source,
    importer: SeriesImport,
    wanted: Sequence[str] | None,
    facts: _Facts,
    report: ImportReport,
) -> set[str]:
    """Imports one source; what it refuses does not stop the others. Its series, by UID."""
    from parotid_brachy.lib.dicom.importing.series_import import why_nothing
    from parotid_brachy.lib.errors import ParotidBrachyError, StoreFullError, UsageError

    try:
        with _bar(source.name) as bar, importer.opened(source, bar.tell) as survey:
            report.note_left_out(source.name, survey)
            chosen = [one for one in survey.series if wanted is None or one.uid in wanted]
            if not survey.series:
                report.refuse_source(source.name, why_nothing(survey, source.name))
            facts.require_one(chosen)
            for number, series in enumerate(chosen):
                bar.next(f"series {number + 1} of {len(chosen)}")
                _take(series, importer, facts, report, source.name, bar)
            return {one.uid for one in survey.series}
    except (UsageError, StoreFullError):
        raise
    except ParotidBrachyError as error:
        report.refuse_source(source.name, str(error))
        return set()


def _take(
    series: SeriesFound,
    importer: SeriesImport,
    facts: _Facts,
    report: ImportReport,
    source: str,
    bar: _Bar,
) -> None:
    from parotid_brachy.lib.dicom.importing.series_import import slices_named
    from parotid_brachy.lib.errors import ParotidBrachyError, StoreFullError

    plan = facts.stated(series).seed_plan
    try:
        taken = importer.take(series, seed_plan=plan, progress=bar.tell)
    except StoreFullError:
        raise
    except ParotidBrachyError as error:
        report.refuse(source, series, str(error), slices_named(str(error), series))
        return
    report.take(source, taken, facts.note(taken))


class _Bar:
    """A progress bar over one source: first its files, then each series."""

    def __init__(self, source: str) -> None:
        from tqdm import tqdm

        self._source = source
        self._bar = tqdm(unit="file", disable=None, file=sys.stderr, desc=source, leave=False)

    def next(self, what: str) -> None:
        """Begins another stretch."""
        self._bar.reset()
        self._bar.set_description_str(f"{self._source}, {what}")

    def tell(self, done: int, total: int) -> None:
        """Shows how far it is."""
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Takes the bar away."""
        self._bar.close()


@contextmanager
def _bar(source: str) -> Iterator[_Bar]:
    from parotid_brachy.lib.cli.import_report import printable

    bar = _Bar(printable(source)[:40])
    try:
        yield bar
    finally:
        bar.close()
