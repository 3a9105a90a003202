"""``parotid models show`` and ``compare``: what a version is, and which of two is better."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from parotid_brachy.lib.segmentation.registry import ModelVersion

_MOST_NAMES: Final = 12


def show(version: ModelVersion, *, serves: bool, as_json: bool) -> int:
    """Prints a version's manifest, in words or whole."""
    if as_json:
        row = {
            "step": version.step.value,
            "version": version.name,
            "champion": serves,
            "manifest": version.manifest,
        }
        sys.stdout.write(json.dumps(row, indent=2) + "\n")
        return 0
    sys.stdout.writelines(f"{line}\n" for line in _words(version, serves=serves))
    return 0


def _words(version: ModelVersion, *, serves: bool) -> Iterator[str]:
    manifest = version.manifest
    state = "serves" if serves else "does not serve"
    yield f"{version.step.value}/{version.name}: {state}"
    yield f"preset: {manifest.get('preset')}, made {manifest.get('created')}"
    training = manifest.get("training")
    if isinstance(training, Mapping):
        yield from _training(training)
    for title, key in (("SHA-256", "sha256"), ("software", "software")):
        values = manifest.get(key)
        if isinstance(values, Mapping):
            yield f"{title}: " + ", ".join(f"{name} {value}" for name, value in values.items())
    metrics = manifest.get("metrics")
    if metrics is None:
        yield "metrics: none were kept"
    else:
        yield "metrics:"
        yield from _indented(metrics)


def _training(training: Mapping[str, Any]) -> Iterator[str]:
    for title, key in (
        ("trained on", "cases"),
        ("validated on", "validation_cases"),
        ("held out", "held_out_cases"),
    ):
        cases = training.get(key)
        if isinstance(cases, list):
            yield f"{title}: {len(cases)} cases{_listed(cases)}"
    refused = training.get("refused_cases")
    if isinstance(refused, Mapping):
        for case, why in refused.items():
            yield f"left out: {case}: {why}"
    plain = ("epochs", "iterations_per_epoch", "seconds", "seed", "provenance")
    for key in plain:
        if key in training:
            yield f"{key.replace('_', ' ')}: {training[key]}"
    parent = training.get("started_from")
    if isinstance(parent, Mapping):
        yield f"started from: weights {parent.get('weights_sha256')}"
    else:
        yield "started from: nothing"


def _listed(cases: list[Any]) -> str:
    shown = ", ".join(str(case) for case in cases[:_MOST_NAMES])
    rest = len(cases) - _MOST_NAMES
    return f": {shown}{f' and {rest} more' if rest > 0 else ''}" if cases else ""


def _indented(value: Any, depth: int = 1) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield "  " * depth + json.dumps(value)
        return
    for name, own in value.items():
        if isinstance(own, Mapping):
            yield "  " * depth + f"{name}:"
            yield from _indented(own, depth + 1)
        else:
            yield "  " * depth + f"{name}: {json.dumps(own)}"


def compare(
    champion: ModelVersion,
    candidate: ModelVersion,
    *,
    images: Path,
    labels: Path,
    as_json: bool,
) -> int:
    """Compares two verified versions of a step on labelled cases; prints table and verdict."""
    from parotid_brachy.lib.retraining.comparison import compare as compare_on
    from parotid_brachy.lib.retraining.comparison_table import scores_json, table_text
    from parotid_brachy.lib.retraining.gate import judge
    from parotid_brachy.lib.retraining.predicting import contender, judged_structures
    from parotid_brachy.lib.retraining.reference import references_from
    from parotid_brachy.lib.segmentation.backends import best_backend, best_device
    from parotid_brachy.lib.segmentation.model import Model

    cases = references_from(images, labels)
    device = best_device()
    first, second = (
        contender(Model(version, device, best_backend(device))) for version in (champion, candidate)
    )
    found = compare_on(
        cases,
        first,
        second,
        structures=judged_structures(champion.step),
    )
    decision = judge(found)
    if as_json:
        content = {**decision.to_json(), "scores": scores_json(found)}
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
        return 0
    sys.stdout.write(table_text(found))
    sys.stdout.writelines(f"{decision.verdict.value}: {reason}\n" for reason in decision.reasons)
    return 0
