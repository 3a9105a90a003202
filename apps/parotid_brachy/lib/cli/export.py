"""``parotid export``: contours as DICOM SEG and RTSTRUCT, for PACS and planning systems."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.errors import ParotidBrachyError, UsageError

if TYPE_CHECKING:
    from parotid_brachy.lib.dicom.contour_content import ContourContent
    from parotid_brachy.lib.dicom.deidentification.mapping import PseudonymMapping
    from parotid_brachy.lib.dicom.exporting import ExportedObjects
    from parotid_brachy.lib.review.store import VersionStore

logger = logging.getLogger(__name__)

_ORIGINS: Final = ("draft", "corrected", "manual")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "export",
        help="write contours as DICOM SEG and RTSTRUCT",
        description="Writes seg.dcm and rtstruct.dcm: of approved cases (--studies DIR CASE...), "
        "each into DIR/CASE, or of one label map of one series (--dicom SERIES --labels MAP).",
    )
    parser.add_argument("case", nargs="*", metavar="CASE", help="approved case of the studies")
    parser.add_argument("--studies", type=Path, metavar="DIR", help="folder of studies")
    parser.add_argument(
        "--database",
        metavar="URL",
        help="postgresql://user@host/database, where the store's rows are not in the folder",
    )
    parser.add_argument("--dicom", type=Path, metavar="SERIES", help="folder of one CT series")
    parser.add_argument("--labels", type=Path, metavar="MAP", help="label map on the series' grid")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="where the objects go"
    )
    parser.add_argument(
        "--side",
        choices=tuple(side.value for side in Side),
        help="the patient's side (default: the one recorded for the case, else where the gland "
        "lies from the midplane)",
    )
    parser.add_argument(
        "--origin",
        choices=_ORIGINS,
        help="how the map of --labels came about (default: draft, or manual with --reader)",
    )
    parser.add_argument("--reader", metavar="NAME", help="who contoured the map of --labels")
    parser.add_argument(
        "--reidentify",
        action="store_true",
        help="give the objects of cases that were imported de-identified their patient's own name, "
        "ids, UIDs and dates again, for the hospital's planning system",
    )
    parser.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help="of the pseudonyms, as given to parotid import (default: as there)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exports; 0 if all was, 1 if something was refused.

    Raises:
        UsageError: neither or both kinds of call, or a reader that cannot be.
        ParotidBrachyError: the one label map was refused.
    """
    if args.key is not None and not args.reidentify:
        message = "--key is for --reidentify"
        raise UsageError(message)
    is_single = args.dicom is not None or args.labels is not None
    if is_single:
        if args.dicom is None or args.labels is None or args.studies is not None or args.case:
            message = "give --dicom and --labels together, and neither --studies nor cases"
            raise UsageError(message)
        return _export_map(args)
    if args.studies is None or not args.case:
        message = "give --studies DIR and the cases, or --dicom SERIES and --labels MAP"
        raise UsageError(message)
    if args.origin or args.reader:
        message = "--origin and --reader are for --labels; of approved cases the store knows them"
        raise UsageError(message)
    return _export_cases(args)


def _export_map(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.dicom.contour_content import ContourContent, Origin
    from parotid_brachy.lib.review.roles import checked_reader_name

    if not args.dicom.is_dir():
        message = f"{args.dicom}: no such folder"
        raise UsageError(message)
    reader = checked_reader_name(args.reader) if args.reader else ""
    named = {
        "draft": Origin.DRAFT,
        "corrected": Origin.CORRECTED,
        "manual": Origin.MANUAL,
    }
    origin = named[args.origin or ("manual" if reader else "draft")]
    if origin is not Origin.DRAFT and not reader:
        message = f"--origin {args.origin}: say who contoured, with --reader NAME"
        raise UsageError(message)

    def content(side: Side) -> ContourContent:
        return ContourContent(
            args.dicom.resolve().name,
            side,
            origin,
            datetime.now(timezone.utc),
            reader=reader,
            algorithm_version=_version(),
        )

    exported, said = _export(args.dicom, args.labels, args.output, _side(args), content)
    sys.stdout.write(f"{args.output}: {_summary(exported)}, {said}\n")
    return 0


def _export_cases(args: argparse.Namespace) -> int:
    from contextlib import closing

    from tqdm import tqdm

    from parotid_brachy.lib.cli.store import existing_store

    refused = 0
    cases: Sequence[str] = list(dict.fromkeys(args.case))
    way_back = _way_back(args)
    with (
        closing(existing_store(args)) as store,
        tqdm(total=len(cases), unit="case", disable=None, file=sys.stderr) as bar,
    ):
        for case in cases:
            bar.set_postfix_str(case[:40])
            try:
                line = _export_case(store, case, args, way_back)
                tqdm.write(f"{case}: {line}", file=sys.stdout)
            except (ParotidBrachyError, OSError) as error:
                refused += 1
                tqdm.write(f"parotid: refused: {_named(case, error)}", file=sys.stderr)
            except Exception as error:
                # A fault of ours in one case must not cost the others.
                refused += 1
                logger.exception("%s", case)
                tqdm.write(f"parotid: refused: {_named(case, error)}", file=sys.stderr)
            bar.update()
    if refused:
        print(f"parotid: {refused} of {len(cases)} cases refused", file=sys.stderr)
    return 1 if refused else 0


def _named(case: str, error: Exception) -> str:
    text = str(error) if isinstance(error, ParotidBrachyError) else f"{error!r}"
    return text if text.startswith(case) else f"{case}: {text}"


def _way_back(args: argparse.Namespace) -> PseudonymMapping | None:
    """Whom the pseudonyms stand for; None: objects keep them.

    Raises:
        InputRefusedError: the key is missing, damaged, or others may read it.
    """
    from parotid_brachy.lib.dicom.deidentification.key import PseudonymKey, default_key_path
    from parotid_brachy.lib.dicom.deidentification.mapping import PseudonymMapping
    from parotid_brachy.lib.dicom.importing.pseudonymous import mapping_beside

    if not args.reidentify:
        return None
    key: Path = args.key or default_key_path()
    return PseudonymMapping(mapping_beside(key), PseudonymKey.load(key))


def _export_case(
    store: VersionStore, case: str, args: argparse.Namespace, way_back: PseudonymMapping | None
) -> str:
    """Exports an approved case; says what came of it.

    Raises:
        NotFoundError: no such case, or its DICOM was not kept.
        ConflictError: it is not approved.
        ParotidBrachyError: its series or contours were refused.
    """
    from parotid_brachy.lib.datastore.approved_export import approved_contours
    from parotid_brachy.lib.dicom.case_series import CaseSeries
    from parotid_brachy.lib.dicom.exporting import put_back_identity
    from parotid_brachy.lib.errors import NotFoundError
    from parotid_brachy.lib.review.clinical_facts import facts_of

    approved = approved_contours(store, case)
    kept = CaseSeries(store.folder)
    if not kept.has(case):
        message = (
            f"{case}: its DICOM series was not kept, so that there is nothing to refer to. Import "
            "the case from DICOM (parotid import)."
        )
        raise NotFoundError(message)

    def content(side: Side) -> ContourContent:
        return approved.content(side, made=datetime.now(timezone.utc), version=_version())

    recorded = facts_of(store.case(case).image_info).side
    exported, said = _export(
        kept.folder_of(case), approved.labels, args.output / case, _side(args, recorded), content
    )
    if way_back is not None:
        put_back_identity(exported, way_back)
    return f"{_summary(exported)}, {said}, approved by {approved.approval.reviewer}"


def _side(args: argparse.Namespace, recorded: Side | None = None) -> tuple[Side, str] | None:
    """The side and how it is known: given, else recorded for the case; None: neither."""
    if args.side is not None:
        return Side(args.side), "as given"
    return None if recorded is None else (recorded, "as recorded")


def _export(
    series: Path,
    map_file: Path,
    output: Path,
    stated: tuple[Side, str] | None,
    content: Callable[[Side], ContourContent],
) -> tuple[ExportedObjects, str]:
    """Exports one label map of one series, and says how the side was known."""
    from parotid_brachy.lib.dicom.exporting import export_case
    from parotid_brachy.lib.imaging.files import read_grid, read_label_map, read_volume
    from parotid_brachy.lib.imaging.gland_side import side_of_gland

    grid = read_grid(series)
    labels = read_label_map(map_file, grid)
    if stated is not None:
        chosen, how = stated
    elif labels.any():
        chosen, how = side_of_gland(labels, read_volume(series)), "where the gland lies"
    else:
        chosen, how = Side.LEFT, "of no matter"  # an empty map is refused by its own name
    try:
        exported = export_case(labels, grid, series, output, content(chosen))
    except OSError as error:
        message = f"{output}: cannot be written to ({error}). Choose another output folder"
        raise UsageError(message) from error
    return exported, f"{chosen.value} side ({how})"


def _summary(exported: ExportedObjects) -> str:
    names = ", ".join(structure.title for structure in exported.structures)
    return f"{len(exported.structures)} structures ({names})"


def _version() -> str:
    from parotid_brachy.lib.version import project_version

    return project_version()
