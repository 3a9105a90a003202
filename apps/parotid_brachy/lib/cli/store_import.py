"""``parotid store import``: brings in contours that were made before, or elsewhere."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parotid_brachy.lib.review.found import Complaint, Found
    from parotid_brachy.lib.review.importing import ImportReport
    from parotid_brachy.lib.review.store import VersionStore


def register_import(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the action to ``parotid store``."""
    from parotid_brachy.lib.cli.store import add_store_options

    parser = actions.add_parser(
        "import",
        help="keep contours of a folder that MONAI Label served, of ITK-SNAP, or in DICOM",
        description="Keeps contours that were made before, or elsewhere, for the cases of a "
        "folder of studies. The old files stay as they are; importing again keeps what is new.",
    )
    add_store_options(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--from",
        dest="old_folder",
        type=Path,
        metavar="DIR",
        help="the folder that MONAI Label served, with datastore_v2.json or labels/ "
        "(default: the folder of studies itself)",
    )
    source.add_argument(
        "--itksnap",
        nargs="+",
        type=Path,
        metavar=("LABELS.txt", "MAP"),
        help="ITK-SNAP's label description file, and maps that are named by their cases",
    )
    source.add_argument(
        "--dicom",
        nargs="+",
        metavar="CASE[=FILE]",
        help="an RTSTRUCT or DICOM SEG for each imported case; without a file, the structure set "
        "that was imported with it",
    )
    parser.add_argument("--reader", metavar="NAME", help="who contoured (--itksnap, --dicom)")
    parser.add_argument(
        "--side",
        choices=("left", "right"),
        help="the patient's side, where an object of --dicom has both or states none",
    )
    parser.add_argument(
        "--rename",
        action="append",
        default=[],
        metavar="NAME=structure",
        help="a label of ITK-SNAP's that has another name than the structure",
    )
    parser.add_argument(
        "--one-reader",
        action="store_true",
        help="the team has one reader: approvals of one's own contours hold",
    )
    parser.set_defaults(run=_import)


def _import(args: argparse.Namespace) -> int:
    from contextlib import closing

    from parotid_brachy.lib.cli.actor import person_at_the_keyboard
    from parotid_brachy.lib.errors import UsageError
    from parotid_brachy.lib.review.importing import import_into
    from parotid_brachy.lib.review.records import STORE_FOLDER
    from parotid_brachy.lib.review.states import ReviewPolicy
    from parotid_brachy.lib.review.store import VersionStore
    from parotid_brachy.lib.review.study_images import StudyImages

    if not args.studies.is_dir():
        message = f"--studies {args.studies}: there is no such folder"
        raise UsageError(message)
    images = StudyImages(args.studies)
    folder = args.studies / STORE_FOLDER
    with tempfile.TemporaryDirectory(prefix="parotid-") as temporary:
        found, image_info, complaints = _found(args, Path(temporary))
        with closing(VersionStore.open(folder, database_url=args.database)) as store:
            store.register(images.files())
            report = import_into(
                store,
                found,
                grid_of=images.grid_of,
                actor=person_at_the_keyboard(),
                policy=ReviewPolicy(has_one_reader=args.one_reader),
            )
            _keep_image_info(store, report, image_info)
    _tell(report, complaints)
    return int(bool(report.refused or complaints))


def _found(
    args: argparse.Namespace, temporary: Path
) -> tuple[Sequence[Found], dict[str, dict[str, object]], Sequence[Complaint]]:
    """What there is to import, what was noted about the images, and what is left out already."""
    from parotid_brachy.lib.errors import UsageError
    from parotid_brachy.lib.review.itksnap import (
        found_in_itksnap,
        parsed_renames,
        read_label_descriptions,
        renamed,
    )
    from parotid_brachy.lib.review.legacy import read_legacy_folder

    if args.rename and args.itksnap is None:
        raise UsageError("--rename goes with --itksnap")
    if args.dicom is None and args.side is not None:
        raise UsageError("--side goes with --dicom")
    if args.dicom is not None:
        return _found_in_dicom(args, temporary)
    if args.itksnap is None:
        if args.reader is not None:
            message = "--reader goes with --itksnap and --dicom"
            raise UsageError(message)
        legacy = read_legacy_folder(args.old_folder or args.studies)
        return legacy.found, {k: dict(v) for k, v in legacy.image_info.items()}, legacy.complaints
    descriptions, *maps = args.itksnap
    if not maps or args.reader is None:
        message = "--itksnap LABELS.txt MAP [MAP ...] --reader NAME: all of these are needed"
        raise UsageError(message)
    labels = read_label_descriptions(descriptions)
    labels = renamed(labels, parsed_renames(args.rename), name=descriptions.name)
    return found_in_itksnap(labels, maps, reader=args.reader), {}, ()


def _found_in_dicom(
    args: argparse.Namespace, temporary: Path
) -> tuple[Sequence[Found], dict[str, dict[str, object]], Sequence[Complaint]]:
    from parotid_brachy.lib.anatomy import Side
    from parotid_brachy.lib.cli.dicom_contours import found_in_dicom
    from parotid_brachy.lib.dicom.case_series import CaseSeries
    from parotid_brachy.lib.errors import UsageError
    from parotid_brachy.lib.review.records import STORE_FOLDER

    if args.reader is None:
        raise UsageError("--dicom: say who contoured, with --reader NAME")
    series = CaseSeries(args.studies / STORE_FOLDER)
    side = Side(args.side) if args.side else None
    found, complaints = found_in_dicom(args.dicom, series, temporary, reader=args.reader, side=side)
    return found, {}, complaints


def _keep_image_info(
    store: VersionStore, report: ImportReport, image_info: dict[str, dict[str, object]]
) -> None:
    """Notes what was noted about the images of imported cases, where nothing else is noted."""
    from parotid_brachy.lib.errors import UsageError

    for case in sorted({version.case for version in report.kept}):
        known = store.case(case).image_info
        new = {key: value for key, value in image_info.get(case, {}).items() if key not in known}
        if new:
            try:
                store.keep_image_info(case, new)
            except UsageError as error:  # no JSON that the store keeps; it only told the annotator
                sys.stderr.write(f"note      {case}: {error}\n")


def _tell(report: ImportReport, complaints: Sequence[Complaint]) -> None:
    for one in report.kept:
        print(f"kept      {one.case} {one.tag}: version {one.number} by {one.author}")
    for what, them in (
        ("left out", complaints),
        ("refused", report.refused),
        ("note", report.reservations),
    ):
        for complaint in them:
            print(f"{what:<9} {complaint.source}: {complaint.reason}", file=sys.stderr)
    cases = len({version.case for version in report.kept})
    print(
        f"{len(report.kept)} label maps of {cases} cases kept, {report.already_kept} were there "
        f"before, {len(report.refused) + len(complaints)} left out"
    )
