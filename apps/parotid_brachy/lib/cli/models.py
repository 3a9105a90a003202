"""``parotid models``: the versions of the models, and which of them serve."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    promote.set_defaults(run=_promote)
    rollback = actions.add_parser("rollback", help="make the previous champion serve again")
    rollback.add_argument("step", choices=_STEPS)
    rollback.set_defaults(run=_rollback)


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

    version = _registry(args).promote(Step(args.step), args.version)
    sys.stdout.write(f"{version.step.value} is now served by {version.name}\n")
    return 0


def _rollback(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.segmentation.presets import Step

    version = _registry(args).rollback(Step(args.step))
    sys.stdout.write(f"{version.step.value} is now served by {version.name}\n")
    return 0
