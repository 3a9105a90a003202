"""``parotid predict``: pre-labels CTs without a server."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from parotid_brachy.lib.anatomy import GLAND, Side
from parotid_brachy.lib.cli.models import SHIPPED
from parotid_brachy.lib.errors import ParotidBrachyError, UsageError

if TYPE_CHECKING:
    from parotid_brachy.lib.cli.case_inputs import CaseInput, CaseOutput
    from parotid_brachy.lib.imaging.volume import Volume
    from parotid_brachy.lib.segmentation.findings import PreLabel
    from parotid_brachy.lib.segmentation.two_step import TwoStepOptions

logger = logging.getLogger(__name__)

_SIDES: Final[dict[str, Side | None]] = {
    "auto": None,
    **{side.value: side for side in Side},
}


class PreLabeller(Protocol):
    """What proposes a label map for a volume."""

    def run(self, volume: Volume, options: TwoStepOptions | None = None) -> PreLabel:
        """Proposes the map, with its report."""
        ...


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "predict",
        help="pre-label CTs: the gland and the organs at risk",
        description="Pre-labels CTs. For each case it writes CASE.nii.gz (values 0-7 on the CT's "
        "own grid), CASE.json (the report, or why the case was refused) and CASE.png (three "
        "planes through the gland). Results of an earlier run of the same case are replaced.",
    )
    parser.add_argument(
        "ct",
        nargs="+",
        type=Path,
        metavar="CT",
        help="NIfTI, NRRD or MetaImage file, folder of one DICOM series, or folder of many cases",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="where the results go"
    )
    parser.add_argument(
        "--side",
        choices=tuple(_SIDES),
        default="auto",
        help="the patient's side of the cancer; auto proposes the smaller gland's (default: auto)",
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--preset",
        metavar="NAME",
        help="newest models of a preset (default: the models that serve)",
    )
    chosen.add_argument(
        "--model",
        action="append",
        metavar="[STEP=]VERSION",
        help="version of the gland, organs_at_risk or one_step model; may be given for each step",
    )
    parser.add_argument(
        "--keep-beyond-reach",
        action="store_true",
        help="keep organs at risk farther than 17 mm from the gland",
    )
    parser.add_argument(
        "--models", type=Path, default=SHIPPED, metavar="DIR", help="registry (default: the app's)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Pre-labels all cases; 0 if all were, 1 if some were refused.

    Raises:
        UsageError: no case, two of one name, an output that must not be overwritten.
        NotFoundError: no such model version.
        ModelRefusedError: a model version that must not be loaded.
    """
    from parotid_brachy.lib.cli.case_inputs import find_cases, plan_outputs
    from parotid_brachy.lib.cli.model_choice import load_labeller
    from parotid_brachy.lib.segmentation.two_step import TwoStepOptions

    cases = find_cases(args.ct)
    outputs = plan_outputs(cases, args.output)
    labeller = load_labeller(args.models, preset=args.preset, models=args.model or ())
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{args.output}: cannot be made ({error}). Choose another output folder"
        raise UsageError(message) from error
    options = TwoStepOptions(side=_SIDES[args.side], keep_beyond_reach=args.keep_beyond_reach)
    return predict_all(cases, outputs, labeller, options)


def predict_all(
    cases: Sequence[CaseInput],
    outputs: Sequence[CaseOutput],
    labeller: PreLabeller,
    options: TwoStepOptions,
) -> int:
    """Pre-labels cases one after the other; a refused one does not stop the others.

    Returns:
        Exit code: 0 all done, 1 some refused.
    """
    from tqdm import tqdm

    refused = 0
    with tqdm(total=len(cases), unit="case", disable=None, file=sys.stderr) as bar:
        for one, output in zip(cases, outputs, strict=True):
            bar.set_postfix_str(one.case[:40])
            try:
                line = _predict(one, output, labeller, options)
                tqdm.write(f"{one.case}: {line}", file=sys.stdout)
            except ParotidBrachyError as error:
                refused += 1
                _refuse(one, output, str(error), tqdm.write)
            except Exception as error:
                # A fault of ours in one case must not cost the night's other two hundred.
                refused += 1
                logger.exception("%s", one.case)
                _refuse(one, output, f"{one.case}: {type(error).__name__}: {error}", tqdm.write)
            bar.update()
    if refused:
        print(f"parotid: {refused} of {len(cases)} cases refused", file=sys.stderr)
    return 1 if refused else 0


def _predict(
    one: CaseInput, output: CaseOutput, labeller: PreLabeller, options: TwoStepOptions
) -> str:
    """Pre-labels one case and writes its files, the report last; says what came of it."""
    from parotid_brachy.lib.imaging.atomic import write_atomically
    from parotid_brachy.lib.imaging.files import read_volume, write_label_map
    from parotid_brachy.lib.report.picture import draw_picture
    from parotid_brachy.lib.report.writing import write_report

    output.clear()
    # Should the run be stopped, this tells the next one whose the other files are.
    write_report(output.report, {"status": "unfinished", "case": one.case})
    start = time.perf_counter()
    volume = read_volume(one.path, case=one.case)
    read = time.perf_counter()
    result = labeller.run(volume, options)
    labelled = time.perf_counter()
    report: dict[str, Any] = result.report.to_json()
    summary = _summary(report)
    write_label_map(output.labels, result.labels, result.grid)
    picture = draw_picture(
        volume, result.labels, title=f"{one.case}   {summary}", warnings=report["warnings"]
    )
    write_atomically(output.picture, picture)
    written = time.perf_counter()
    seconds = {
        "reading": round(read - start, 3),
        "labelling": round(labelled - read, 3),
        "writing": round(written - labelled, 3),
        "total": round(written - start, 3),
    }
    image = {
        "file": one.path.name,
        "size": volume.grid.size_ijk,
        "spacing_mm": volume.grid.spacing_mm,
    }
    write_report(
        output.report, {"status": "labelled", "image": image, "run_seconds": seconds, **report}
    )
    return f"{summary}, {seconds['total']:.1f} s"


def _summary(report: dict[str, Any]) -> str:
    gland = report["structures"][GLAND.name]["ml"]
    if not gland:
        return "no gland found"
    return f"side {report['side']} ({report['side_source']}), gland {gland:.1f} ml"


def _refuse(one: CaseInput, output: CaseOutput, reason: str, write: Callable[..., None]) -> None:
    from parotid_brachy.lib.report.writing import write_report

    write(f"parotid: refused: {reason}", file=sys.stderr)
    report = {"status": "refused", "case": one.case, "image": {"file": one.path.name}}
    try:
        output.clear()
        write_report(output.report, {**report, "reason": reason})
    except OSError as error:
        write(f"parotid: {output.report} cannot be written: {error}", file=sys.stderr)
