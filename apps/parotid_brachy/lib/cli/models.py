"""``parotid models``: the versions of the models, and which of them serve."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parotid_brachy.lib.retraining.promoting import Registers
    from parotid_brachy.lib.segmentation.registry import ModelVersion, Registry

_STEPS = ("gland", "organs_at_risk", "one_step")
SHIPPED = Path(__file__).resolve().parents[2] / "model"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand and its actions."""
    parser = subparsers.add_parser("models", help="list, verify, add, promote and roll back models")
    parser.add_argument(
        "--models", type=Path, default=SHIPPED, metavar="DIR", help="registry (default: the app's)"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list all versions; * marks the champions")
    listing.add_argument("--json", action="store_true", help="whole manifests, as JSON")
    listing.set_defaults(run=_list)
    verify = actions.add_parser("verify", help="compare all files with their manifests")
    verify.set_defaults(run=_verify)
    add = actions.add_parser("add", help="take a trained version into the registry")
    add.add_argument("folder", type=Path, help="the folder that 'parotid train' printed")
    add.add_argument("--name", required=True, help="the version's name")
    add.add_argument(
        "--metrics",
        type=Path,
        metavar="FILE",
        help="JSON object: how well it did, and on what; goes into the manifest",
    )
    add.set_defaults(run=_add)
    promote = actions.add_parser("promote", help="make a version the one that serves")
    promote.add_argument("step", choices=_STEPS)
    promote.add_argument("version")
    _add_journal_options(promote)
    promote.set_defaults(run=_promote)
    rollback = actions.add_parser("rollback", help="make the previous champion serve again")
    rollback.add_argument("step", choices=_STEPS)
    _add_journal_options(rollback)
    rollback.set_defaults(run=_rollback)
    show = actions.add_parser("show", help="what a version was made of, and how well it did")
    show.add_argument("step", choices=_STEPS)
    show.add_argument("version")
    show.add_argument("--json", action="store_true", help="the whole manifest, as JSON")
    show.set_defaults(run=_show)
    compare = actions.add_parser(
        "compare",
        help="label the same cases with two versions",
        description="Labels cases with two versions and compares them, paired by patient, with "
        "the reader's contours: DSC with its 95 percent interval, HD95, missed organs and "
        "seconds. The organs at risk are labelled round the reader's gland. Nothing is promoted.",
    )
    compare.add_argument("step", choices=_STEPS)
    compare.add_argument("champion", metavar="VERSION", help="the one that serves, say")
    compare.add_argument("candidate", metavar="OTHER", help="the one that may be better")
    compare.add_argument("--images", type=Path, required=True, metavar="DIR", help="CTs")
    compare.add_argument(
        "--labels", type=Path, required=True, metavar="DIR", help="label maps of the same names"
    )
    compare.add_argument("--json", action="store_true", help="table and all scores, as JSON")
    compare.set_defaults(run=_compare)

    prune = actions.add_parser(
        "prune",
        help="remove old versions that never served",
        description="Removes candidates that never served, but the newest of each step. What has "
        "ever served stays.",
    )
    prune.add_argument("--keep", type=int, default=5, metavar="N", help="candidates (default 5)")
    prune.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    _add_journal_options(prune, with_reason=False)
    prune.set_defaults(run=_prune, reason="")


def _add_journal_options(parser: argparse.ArgumentParser, *, with_reason: bool = True) -> None:
    parser.add_argument(
        "--studies", type=Path, metavar="DIR", help="folder of studies whose journal notes it"
    )
    parser.add_argument(
        "--database", metavar="URL", help="where the rows of those studies' store are, if elsewhere"
    )
    if with_reason:
        parser.add_argument("--reason", default="", metavar="TEXT", help="for the journal")


def _registry(args: argparse.Namespace) -> Registry:
    from parotid_brachy.lib.segmentation.registry import Registry

    return Registry(args.models)


def _list(args: argparse.Namespace) -> int:
    registry = _registry(args)
    versions = registry.versions()
    champions = {(step, registry.champion_name(step)) for step in {v.step for v in versions}}
    if args.json:
        rows = [
            {
                "step": v.step.value,
                "version": v.name,
                "champion": (v.step, v.name) in champions,
                "manifest": v.manifest,
            }
            for v in versions
        ]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return 0
    for v in versions:
        mark = "*" if (v.step, v.name) in champions else " "
        preset, created = v.manifest.get("preset"), v.manifest.get("created")
        sys.stdout.write(f"{mark} {v.step.value:<15} {v.name:<28} {preset:<8} {created}\n")
    if not versions:
        sys.stdout.write(f"no versions in {registry.root}\n")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.errors import ModelRefusedError

    registry = _registry(args)

    def verdict(version: ModelVersion) -> str:
        try:
            registry.verify(version)
        except ModelRefusedError as error:
            return f"REFUSED {error}"
        return f"ok      {version.step.value}/{version.name}"

    verdicts = [verdict(version) for version in registry.versions()]
    sys.stdout.writelines(f"{line}\n" for line in verdicts)
    return int(any(line.startswith("REFUSED") for line in verdicts))


def _add(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.errors import UsageError

    metrics = None
    if args.metrics is not None:
        try:
            metrics = dict(json.loads(args.metrics.read_text()))
        except (OSError, ValueError, TypeError) as error:
            message = f"{args.metrics}: no JSON object of metrics ({error})"
            raise UsageError(message) from error
    version = _registry(args).add(args.folder, name=args.name, metrics=metrics)
    sys.stdout.write(f"{version.step.value}/{version.name}\n")
    return 0


def _promote(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.segmentation.presets import Step

    step = Step(args.step)
    with _journal(args) as registers:
        if registers is None:
            version = _registry(args).promote(step, args.version)
        else:
            from parotid_brachy.lib.cli.actor import person_at_the_keyboard
            from parotid_brachy.lib.retraining.promoting import promote

            actor = person_at_the_keyboard()
            version = promote(registers, step, args.version, actor, reason=args.reason)
    sys.stdout.write(f"{version.step.value} is now served by {version.name}\n")
    return 0


def _rollback(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.segmentation.presets import Step

    step = Step(args.step)
    with _journal(args) as registers:
        if registers is None:
            version = _registry(args).rollback(step)
        else:
            from parotid_brachy.lib.cli.actor import person_at_the_keyboard
            from parotid_brachy.lib.retraining.promoting import roll_back

            version = roll_back(registers, step, person_at_the_keyboard(), reason=args.reason)
    sys.stdout.write(f"{version.step.value} is now served by {version.name}\n")
    return 0


def _prune(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.retraining.retention import prune, prune_with_entry

    with _journal(args) as registers:
        if registers is None or args.dry_run:
            done = prune(_registry(args), args.keep, dry_run=args.dry_run)
        else:
            from parotid_brachy.lib.cli.actor import person_at_the_keyboard

            actor = person_at_the_keyboard()
            done = prune_with_entry(registers.registry, registers.store, args.keep, actor)
    for one in done:
        verb = "would go" if one.is_dry else "removed"
        sys.stdout.writelines(f"{one.step.value}/{name}: {verb}\n" for name in one.removed)
        sys.stdout.writelines(f"{one.step.value}/{kept.name}: {kept.why}\n" for kept in one.kept)
    return 0


@contextlib.contextmanager
def _journal(args: argparse.Namespace) -> Iterator[Registers | None]:
    """Registry and journal; None where no studies are named, so that nothing is journalled.

    Raises:
        UsageError: there is no store, or a reason or a database without studies.
    """
    from parotid_brachy.lib.errors import UsageError

    if args.studies is None:
        if args.database is not None or args.reason:
            message = "--database and --reason go with --studies"
            raise UsageError(message)
        yield None
        return
    from parotid_brachy.lib.cli.store import existing_store
    from parotid_brachy.lib.retraining.promoting import Registers

    with contextlib.closing(existing_store(args)) as store:
        yield Registers(_registry(args), store)


def _show(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.cli.model_reports import show
    from parotid_brachy.lib.segmentation.presets import Step

    registry, step = _registry(args), Step(args.step)
    version = registry.version(step, args.version)
    serves = registry.champion_name(step) == version.name
    return show(version, serves=serves, as_json=args.json)


def _compare(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.cli.model_reports import compare
    from parotid_brachy.lib.segmentation.presets import Step

    registry, step = _registry(args), Step(args.step)
    first, second = (registry.version(step, name) for name in (args.champion, args.candidate))
    for version in (first, second):
        registry.verify(version)
    return compare(first, second, images=args.images, labels=args.labels, as_json=args.json)
