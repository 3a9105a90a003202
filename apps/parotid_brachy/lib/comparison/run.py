"""The comparison: every method trained on the same cases and tried on the same others.

Whatever is done stays done: the same call goes on after an interruption, within a training from
its last epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.comparison.child import Peak, run_in_child
from parotid_brachy.lib.comparison.costs import Cost, cost_of
from parotid_brachy.lib.comparison.methods import Method
from parotid_brachy.lib.comparison.records import (
    keep_labelling,
    keep_training_peak,
    kept_labelling,
    training_peak,
)
from parotid_brachy.lib.comparison.references import TestItem, write_references
from parotid_brachy.lib.comparison.split import Terms, hash_labels, settle, split_patients
from parotid_brachy.lib.comparison.work import Labelled, Sampled, label_items, train_network
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.segmentation.presets import Preset
from parotid_brachy.lib.segmentation.registry import WEIGHTS, ModelVersion, read_version
from parotid_brachy.lib.segmentation.training import TrainingPlan
from parotid_brachy.lib.segmentation.training_cases import find_cases

REFERENCES: Final = "references"


@dataclass(frozen=True)
class ComparisonPlan:
    """What to compare, on what, for how long.

    Attributes:
        images: folder of CTs.
        labels: folder of label maps, as ``find_cases`` knows it.
        output: the comparison's folder.
        methods: to be compared, in this order; the others are tested against the first.
        nnunet_preset: of the methods that are nnU-Net's.
        test: cases to test on; empty draws a share.
        test_share: of the patients.
        epochs: of each network; None takes its preset's.
        iterations: per epoch; None takes the preset's.
        seed: of the split and of the trainings.
        processes: worker processes for augmentation.
    """

    images: Path
    labels: Path
    output: Path
    methods: tuple[Method, ...]
    nnunet_preset: str
    test: tuple[str, ...]
    test_share: float
    epochs: int | None
    iterations: int | None
    seed: int
    processes: int


@dataclass(frozen=True)
class Comparison:
    """What is there when all methods are done.

    Attributes:
        references: folder of the test items' reference maps.
        predictions: folder of each method's maps.
        items: what was tested.
        costs: of each method.
        refused: test items that a method refused, and why.
    """

    references: Path
    predictions: dict[str, Path]
    items: tuple[TestItem, ...]
    costs: tuple[Cost, ...]
    refused: tuple[str, ...]


Tell = Callable[[str, Any], None]


def compare(plan: ComparisonPlan, tell: Tell) -> Comparison:
    """Trains what is not trained yet, labels what is not labelled yet.

    Args:
        plan: what to do.
        tell: called with what is being done and how far it is: ``Sampled``, ``Progress`` (a
            training's epoch) or ``Labelled``.

    Raises:
        UsageError: an option that makes no sense, or no case to train or to test on.
        ConflictError: the output folder holds a comparison on other terms.
        TrainingError: no usable data, or a process that was ended from outside.
        InputRefusedError: a test case that cannot be used.
    """
    cases = find_cases(plan.images, plan.labels)
    train, test = split_patients(cases, test=plan.test, test_share=plan.test_share, seed=plan.seed)
    trainings = {method: method.presets(plan.nnunet_preset) for method in plan.methods}
    if not trainings or len(trainings) != len(plan.methods):
        message = "give each method to compare once"
        raise UsageError(message)
    terms = Terms(
        train,
        test,
        plan.nnunet_preset,
        plan.epochs,
        plan.iterations,
        plan.seed,
        hash_labels(cases),
    )
    settle(terms, plan.output)
    items = write_references(
        [one for one in cases if one.case in test],
        plan.output / REFERENCES,
        lambda done, total: tell("references", Sampled(done, total)),
    )
    costs, refused = [], []
    for method, presets in trainings.items():
        folder = plan.output / method.value
        trained = [_trained(plan, preset, test, folder, tell) for preset in presets]
        versions = [version for version, _ in trained]
        outcomes, peak = _labelled(method, versions, items, folder, tell)
        peaks = [training for _, training in trained]
        costs.append(cost_of(method.value, versions, peaks, outcomes, peak))
        refused += [f"{one.name}: {method.value}: {one.refused}" for one in outcomes if one.refused]
    return Comparison(
        references=plan.output / REFERENCES,
        predictions={one.value: _maps(plan.output / one.value) for one in trainings},
        items=items,
        costs=tuple(costs),
        refused=tuple(refused),
    )


def _maps(folder: Path) -> Path:
    return folder / "maps"


def _trained(
    plan: ComparisonPlan, preset: Preset, test: Sequence[str], folder: Path, tell: Tell
) -> tuple[ModelVersion, Peak]:
    """A network's version, trained unless it is already."""
    output = folder / preset.step.value
    peak = training_peak(output)
    if peak is None:
        what = f"{folder.name}: training {preset.step.value}"
        training = TrainingPlan(
            preset=preset,
            images=(plan.images,),
            labels=(plan.labels,),
            output=output,
            epochs=plan.epochs,
            iterations=plan.iterations,
            # With patients to spare for watching, methods would not be trained on more.
            validation_share=0.0,
            held_out=tuple(test),
            provenance="comparison of methods",
            processes=plan.processes,
            seed=plan.seed,
        )
        _, peak = run_in_child(train_network, training, on_report=lambda told: tell(what, told))
        keep_training_peak(peak, output)
    return read_version(output / "version"), peak


def _labelled(
    method: Method,
    versions: Sequence[ModelVersion],
    items: Sequence[TestItem],
    folder: Path,
    tell: Tell,
) -> tuple[list[Labelled], Peak]:
    """The outcomes of the test items, labelled unless they are already."""
    weights = [str(one.manifest["sha256"][WEIGHTS]) for one in versions]
    kept = kept_labelling(weights, [one.name for one in items], folder)
    if kept is not None:
        return kept
    maps = _maps(folder)
    maps.mkdir(parents=True, exist_ok=True)
    for stale in maps.iterdir():
        stale.unlink()
    outcomes, peak = run_in_child(
        label_items,
        [one.folder for one in versions],
        list(items),
        maps,
        on_report=lambda told: tell(f"{method.value}: labelling", told),
    )
    keep_labelling(outcomes, peak, weights, folder)
    return outcomes, peak
