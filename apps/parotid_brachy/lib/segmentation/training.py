"""Training one step from a folder of images and label maps, and continuing it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from parotid_brachy.lib.errors import InputRefusedError, TrainingError
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.imaging.file_hash import sha256_of
from parotid_brachy.lib.segmentation.distributed import train_together
from parotid_brachy.lib.segmentation.planning import (
    CONFIGURATION,
    Workspace,
    load_plans,
    plan_and_preprocess,
    quiet,
    switches,
    workspace_for,
    write_description,
    write_sample,
)
from parotid_brachy.lib.segmentation.presets import Preset
from parotid_brachy.lib.segmentation.progress import Progress
from parotid_brachy.lib.segmentation.registry import (
    WEIGHTS,
    read_version,
    seen_cases,
    write_version,
)
from parotid_brachy.lib.segmentation.trainer_setup import TrainerSetup
from parotid_brachy.lib.segmentation.training_cases import CONTOURED, TrainingCase, find_cases
from parotid_brachy.lib.segmentation.training_data import Sample, median_spacing, samples_of

logger = logging.getLogger(__name__)

_PREPARED: Final = "prepared.json"
_FEWEST_FOR_SPLIT: Final = 10


@dataclass(frozen=True)
class TrainingPlan:
    """What to train, on what, for how long.

    Attributes:
        preset: the step's preset; ``virtual_surgery`` and ``field_of_view`` may be switched in it.
        images: folders of CT images.
        labels: folder of label maps, one per folder of images.
        output: the training's folder; holds the workspace and at the end ``version/``.
        epochs: None takes the preset's.
        iterations: per epoch; None takes the preset's.
        repeats: how often the cases of each folder count, so that many phantoms do not drown few
            patients; empty counts every case once.
        validation_share: of the patients, whose loss is watched; the protocol's by default, 0
            trains on all. None is taken from fewer than ten.
        validation: cases whose loss is watched, where that is settled already; None draws a share.
        held_out: cases that are neither trained on nor looked at before the end.
        provenance: what the data is and under which licence; goes into the manifest.
        start_from: a version's folder whose weights the training starts with; None starts afresh.
        processes: worker processes for preprocessing and augmentation; 0 augments in process.
        seed: of the split and of the augmentation.
        found_glands: folder of ``<case>.nrrd``, masks of the glands that step 1 finds; regions of
            interest are then laid round these, and not round the readers' glands.
        snapshot_sha256: hash of the training set's snapshot, for the manifest.
        batch_size: patches per iteration, where the preset's do not fit into memory.
        device_count: GPUs to train on, at most one for each patch; None takes all that are visible.
    """

    preset: Preset
    images: tuple[Path, ...]
    labels: tuple[Path, ...]
    output: Path
    epochs: int | None = None
    iterations: int | None = None
    repeats: tuple[int, ...] = ()
    validation_share: float = 0.15
    validation: tuple[str, ...] | None = None
    held_out: tuple[str, ...] = ()
    provenance: str = "not stated"
    start_from: Path | None = None
    processes: int = 0
    seed: int = 0
    found_glands: Path | None = None
    snapshot_sha256: str | None = None
    batch_size: int | None = None
    device_count: int | None = None


@dataclass(frozen=True)
class PreparedData:
    """What became of the cases when they were sampled.

    Attributes:
        spacing_kji_mm: working grid.
        train: samples by case.
        validation: samples by case.
        held_out: cases that were left alone.
        refused: the reason by case.
        hashes: SHA-256 of label maps by case and side.
        contoured: structures by sample, of samples that do not tell of all the preset's.
        regions: what the samples' regions of interest were laid round, by sample.
    """

    spacing_kji_mm: tuple[float, float, float]
    train: dict[str, list[str]] = field(default_factory=dict)
    validation: dict[str, list[str]] = field(default_factory=dict)
    held_out: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    contoured: dict[str, list[str]] = field(default_factory=dict)
    regions: dict[str, str] = field(default_factory=dict)


def is_begun(output: Path) -> bool:
    """Whether a training's folder holds what could be continued."""
    return (output / _PREPARED).exists()


def held_out_of(output: Path) -> set[str]:
    """The cases that a training that was begun leaves alone."""
    prepared = json.loads((output / _PREPARED).read_text(encoding="utf-8"))
    return set(map(str, prepared["held_out"]))


def train(
    plan: TrainingPlan,
    *,
    resume: bool,
    on_progress: Callable[[Progress], None],
    on_case: Callable[[int, int], None],
    before_iteration: Callable[[], None] | None = None,
) -> Path:
    """Trains a model version.

    Args:
        plan: what to do.
        resume: go on from the last checkpoint in ``plan.output``, from the start where it was
            stopped before the first one.
        on_progress: called after each epoch.
        on_case: called with (cases sampled, cases) while the data set is built.
        before_iteration: called before each iteration; what it raises ends the training, which
            can be continued from its last whole epoch.

    Returns:
        The folder of the new version.

    Raises:
        TrainingError: no usable data, an output folder in use, or nothing to continue.
        ModelRefusedError: the version to start from cannot be read.
    """
    parent = _parent(plan.start_from)
    workspace = workspace_for(plan.output / "workspace", plan.preset)
    prepared_file = plan.output / _PREPARED
    if not resume and prepared_file.exists():
        message = f"{plan.output}: holds a training already. Continue it (--resume) or take another"
        raise TrainingError(message)
    if resume and not prepared_file.exists():
        message = (
            f"{plan.output}: holds no training that could be continued. Start without --resume"
        )
        raise TrainingError(message)
    if not resume:
        shutil.rmtree(workspace.root, ignore_errors=True)
        _write_json(prepared_file, asdict(_prepare(plan, workspace, on_case)))
    prepared = PreparedData(**json.loads(prepared_file.read_text()))
    setup = _setup(plan, workspace)
    gpus = _gpus(plan, setup)
    logger.info(
        "training on %d, validating on %d patients, on %s",
        len(prepared.train),
        len(prepared.validation),
        f"{gpus} GPU(s)" if gpus else "the CPU",
    )
    if gpus > 1:
        train_together(
            setup,
            count=gpus,
            device_type="cuda",
            on_progress=on_progress,
            before_iteration=before_iteration,
        )
        trainer = setup.trainer(torch.device("cpu"))
    else:
        trainer = setup.trainer(torch.device("cuda" if gpus else "cpu"))
        trainer.report_progress = on_progress
        trainer.before_iteration = before_iteration
        with quiet():
            trainer.run_training()
    plans, description = load_plans(workspace)
    return write_version(
        plan.output / "version",
        preset=plan.preset,
        weights=trainer.final_weights(),
        plans=plans,
        description=description,
        manifest={
            "training": {
                "cases": sorted(prepared.train),
                "validation_cases": sorted(prepared.validation),
                "held_out_cases": sorted(prepared.held_out),
                "refused_cases": prepared.refused,
                "label_sha256": prepared.hashes,
                "partly_contoured": prepared.contoured,
                "regions_of_interest": prepared.regions,
                "snapshot_sha256": plan.snapshot_sha256,
                "augmentation": switches(plan.preset),
                "epochs": trainer.num_epochs,
                "iterations_per_epoch": trainer.num_iterations_per_epoch,
                "seconds": trainer.seconds_total,
                "seed": plan.seed,
                "repeats": list(plan.repeats),
                "started_from": parent,
                "provenance": plan.provenance,
            },
        },
    )


def _prepare(
    plan: TrainingPlan, workspace: Workspace, on_case: Callable[[int, int], None]
) -> PreparedData:
    """Samples every case, splits by patient, plans and preprocesses."""
    cases = _all_cases(plan)
    patients = sorted({case.case for case in cases} - set(plan.held_out))
    validation = _validation_cases(plan, patients)
    weights = _repeats(plan, cases)
    spacing = plan.preset.spacing_kji_mm or median_spacing(cases)
    prepared = PreparedData(spacing, held_out=sorted(plan.held_out))
    for number, case in enumerate(cases):
        on_case(number, len(cases))
        if case.case in plan.held_out:
            continue
        group = prepared.validation if case.case in validation else prepared.train
        try:
            for sample in samples_of(case, plan.preset, spacing, found_glands=plan.found_glands):
                write_sample(sample, plan.preset, workspace)
                group.setdefault(case.case, []).append(sample.name)
                _note_contoured(sample, plan.preset, prepared)
                if sample.region is not None:
                    prepared.regions[sample.name] = sample.region
        except InputRefusedError as error:
            prepared.refused[case.case] = str(error)
            logger.warning("left out of the training: %s", error)
        else:
            side = case.side.value if case.side else "any"
            prepared.hashes[f"{case.case}/{side}"] = sha256_of(case.labels)
    on_case(len(cases), len(cases))
    if not prepared.train:
        reasons = "; ".join(prepared.refused.values()) or "no labelled gland in any case"
        message = f"{plan.images}: no case can be trained on ({reasons})"
        raise TrainingError(message)
    count = sum(len(v) for v in (*prepared.train.values(), *prepared.validation.values()))
    write_description(plan.preset, count, workspace)
    plan_and_preprocess(plan.preset, spacing, workspace, processes=max(1, plan.processes))
    # nnU-Net draws cases from this list evenly: a name that stands there twice counts twice.
    train_names = [name for case, names in prepared.train.items() for name in names * weights[case]]
    validation_names = [name for names in prepared.validation.values() for name in names]
    splits = [{"train": train_names, "val": validation_names or train_names}]
    _write_json(workspace.preprocessed / "splits_final.json", splits)
    _write_json(workspace.preprocessed / CONTOURED, prepared.contoured)
    shutil.rmtree(workspace.raw.parent, ignore_errors=True)
    return prepared


def _note_contoured(sample: Sample, preset: Preset, prepared: PreparedData) -> None:
    names = {structure.name for structure in preset.structures}
    if sample.contoured is not None and not names <= sample.contoured:
        prepared.contoured[sample.name] = sorted(names & sample.contoured)


def _all_cases(plan: TrainingPlan) -> list[TrainingCase]:
    if len(plan.images) != len(plan.labels):
        message = f"{len(plan.images)} image folders, but {len(plan.labels)} label folders"
        raise TrainingError(message)
    cases: list[TrainingCase] = []
    for image_folder, label_folder in zip(plan.images, plan.labels, strict=True):
        cases += find_cases(image_folder, label_folder)
    images: dict[str, Path] = {}
    for case in cases:
        if images.setdefault(case.case, case.image) != case.image:
            message = (
                f"case {case.case} is in two folders: {images[case.case]} and {case.image}. "
                "Rename one, or its samples would replace the other's"
            )
            raise TrainingError(message)
    known = set(images)
    for what, named in (("held out", plan.held_out), ("validated on", plan.validation or ())):
        unknown = [case for case in named if case not in known]
        if unknown:
            message = f"{what}, but not among the cases: {', '.join(unknown)}"
            raise TrainingError(message)
    return cases


def _repeats(plan: TrainingPlan, cases: Sequence[TrainingCase]) -> dict[str, int]:
    """How often each case counts."""
    repeats = plan.repeats or (1,) * len(plan.images)
    if len(repeats) != len(plan.images) or min(repeats) < 1:
        message = f"repeats {repeats} for {len(plan.images)} image folders: give 1 or more for each"
        raise TrainingError(message)
    times = dict(zip(plan.images, repeats, strict=True))
    return {case.case: times[case.image.parent] for case in cases}


def _validation_cases(plan: TrainingPlan, cases: Sequence[str]) -> set[str]:
    """The plan's, or a share of all; none where there are too few to spare any."""
    if plan.validation is not None:
        return set(plan.validation)
    if len(cases) < _FEWEST_FOR_SPLIT or plan.validation_share == 0:
        return set()
    order = np.random.default_rng(plan.seed).permutation(len(cases))
    return {cases[n] for n in order[: max(1, round(len(cases) * plan.validation_share))]}


def _setup(plan: TrainingPlan, workspace: Workspace) -> TrainerSetup:
    plans, description = _own_plans(plan, workspace)
    if plan.batch_size is not None:
        plans["configurations"][CONFIGURATION]["batch_size"] = plan.batch_size
    return TrainerSetup(
        plans=plans,
        description=description,
        workspace=workspace,
        epochs=plan.epochs or plan.preset.epochs,
        iterations=plan.iterations or plan.preset.iterations,
        seed=plan.seed,
        processes=plan.processes,
        start_from=plan.start_from,
    )


def _gpus(plan: TrainingPlan, setup: TrainerSetup) -> int:
    """How many are used: each needs a patch of the batch at least."""
    visible = torch.cuda.device_count()
    patches: int = setup.plans["configurations"][CONFIGURATION]["batch_size"]
    return min(visible, plan.device_count or visible, patches)


def _own_plans(plan: TrainingPlan, workspace: Workspace) -> tuple[dict[str, Any], dict[str, Any]]:
    """The workspace's plans, once it is sure that they are of this preset and step."""
    wanted = {"name": plan.preset.name, "step": plan.preset.step.value}
    try:
        plans, description = load_plans(workspace)
    except OSError as error:
        message = (
            f"{plan.output}: holds no training of step {wanted['step']} ({error}). "
            "Continue the step that it was started with, or take another folder"
        )
        raise TrainingError(message) from error
    if plans.get("preset") != wanted:
        message = (
            f"{plan.output}: was started as {plans.get('preset')}, not as {wanted}. "
            "Continue it with its own preset, or take another folder"
        )
        raise TrainingError(message)
    asked = switches(plan.preset)
    if plans.get("augmentation", asked) != asked:
        message = (
            f"{plan.output}: was started with {plans['augmentation']}, not with {asked}. "
            "Continue it with its own augmentation, or take another folder"
        )
        raise TrainingError(message)
    return plans, description


def _parent(folder: Path | None) -> dict[str, Any] | None:
    """The version that a training started from: its weights' hash and what it has ever seen."""
    if folder is None:
        return None
    parent = read_version(folder)
    return {
        "weights_sha256": parent.manifest["sha256"][WEIGHTS],
        "seen_cases": sorted(seen_cases(parent)),
    }


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content, indent=2).encode())
