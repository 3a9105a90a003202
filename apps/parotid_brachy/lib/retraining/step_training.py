"""The training of one step: on what, from which weights, and round which glands."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from parotid_brachy.lib.errors import ModelRefusedError
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.retraining.found_glands import Finder, Fold, find_glands
from parotid_brachy.lib.retraining.job import Beginning, Job, TrainingChoice
from parotid_brachy.lib.retraining.job_status import Phase
from parotid_brachy.lib.retraining.predicting import loaded
from parotid_brachy.lib.retraining.snapshot import Snapshot
from parotid_brachy.lib.retraining.step_tracking import track_epoch
from parotid_brachy.lib.retraining.step_watcher import Watcher
from parotid_brachy.lib.retraining.tracking import Tracking
from parotid_brachy.lib.retraining.training_folder import IMAGES, LABELS
from parotid_brachy.lib.review.splits import Part
from parotid_brachy.lib.segmentation.presets import Preset, Step, preset_for
from parotid_brachy.lib.segmentation.progress import Progress
from parotid_brachy.lib.segmentation.registry import ModelVersion, Registry, read_version
from parotid_brachy.lib.segmentation.training import TrainingPlan, held_out_of, is_begun, train

logger = logging.getLogger(__name__)

SNAPSHOT: Final = "snapshot"
TRAINING: Final = "training"
GLANDS: Final = "found-glands"


@dataclass(frozen=True)
class StepTraining:
    """The training of one step of a job.

    Attributes:
        job: that it belongs to.
        step: which model.
        folder: of the step's files; the snapshot is laid out in it.
        registry: of the versions.
        watcher: who is told.
        batch_size: None takes the preset's.
    """

    job: Job
    step: Step
    folder: Path
    registry: Registry
    watcher: Watcher
    batch_size: int | None = None

    @property
    def preset(self) -> Preset:
        """The preset, with what was chosen switched in it."""
        return chosen_preset(self.job.choice, self.step)

    def run(self, snapshot: Snapshot, tracking: Tracking) -> ModelVersion:
        """Trains to the end, or goes on with it.

        Returns:
            The trained version, in the step's own folder.

        Raises:
            TrainingError: the training cannot begin or go on.
        """
        output = self.folder / TRAINING
        try:
            return replace(read_version(output / "version"), name=self.job.id)
        except ModelRefusedError:
            pass  # not trained to its end yet
        found = None
        if self.step.crops_to_roi:
            found = self.folder / GLANDS
            if not is_begun(output):
                self._find_glands(snapshot)
        plan = self._plan(snapshot, output, preset=self.preset, start_from=self._start_from())
        plan = replace(
            plan,
            found_glands=found,
            validation=tuple(one.case for one in snapshot.of(Part.VALIDATION)),
        )
        folder = self._train(plan, tracking)
        return replace(read_version(folder), name=self.job.id)

    def _train(self, plan: TrainingPlan, tracking: Tracking) -> Path:
        watcher = self.watcher

        def on_progress(progress: Progress) -> None:
            watcher.after_epoch(progress)
            track_epoch(tracking, progress)

        def on_case(done: int, total: int) -> None:
            watcher.in_phase(Phase.SAMPLING, done / max(1, total))

        return train(
            plan,
            resume=is_begun(plan.output),
            on_progress=on_progress,
            on_case=on_case,
            before_iteration=watcher.before_iteration,
        )

    def _plan(
        self, snapshot: Snapshot, output: Path, *, preset: Preset, start_from: Path | None
    ) -> TrainingPlan:
        choice = self.job.choice
        folder = self.folder / SNAPSHOT
        return TrainingPlan(
            preset=preset,
            images=(folder / IMAGES,),
            labels=(folder / LABELS,),
            output=output,
            epochs=choice.epochs,
            iterations=choice.iterations,
            provenance="approved contours of this hospital's version store",
            start_from=start_from,
            seed=choice.seed,
            snapshot_sha256=snapshot.sha256,
            batch_size=self.batch_size,
        )

    def _start_from(self) -> Path | None:
        """The champion, where it is of the same preset.

        Noted once: a training that is continued after a promotion is still the same training.
        """
        note = self.folder / "start_from.json"
        if note.is_file():
            name = json.loads(note.read_text(encoding="utf-8"))
        else:
            name = self._champion_to_start_from()
            write_atomically(note, json.dumps(name).encode())
        if name is None:
            return None
        return self.registry.version(self.step, str(name)).folder

    def _champion_to_start_from(self) -> str | None:
        if self.job.choice.beginning is Beginning.SCRATCH:
            return None
        champion = champion_of(self.registry, self.step)
        if champion is None or champion.manifest.get("preset") != self.job.choice.preset:
            logger.info("%s: no champion of this preset, so it begins afresh", self.step.value)
            return None
        return champion.name

    def _find_glands(self, snapshot: Snapshot) -> None:
        watcher, choice = self.watcher, self.job.choice
        folder = self.folder / SNAPSHOT

        def train_fold(fold: Fold) -> Path:
            output = self.folder / f"fold-{fold.number}"
            if is_begun(output) and held_out_of(output) != set(fold.without):
                # The patients were divided otherwise then: other versions have served.
                shutil.rmtree(output)
            try:
                return read_version(output / "version").folder
            except ModelRefusedError:
                pass  # not trained to its end yet
            preset = chosen_preset(choice, Step.GLAND)
            start = fold.start_from
            is_same = start is not None and start.manifest.get("preset") == preset.name
            start_from = start.folder if start is not None and is_same else None
            plan = self._plan(snapshot, output, preset=preset, start_from=start_from)

            def after_epoch(progress: Progress) -> None:
                low, high = fold.shares
                share = low + (high - low) * progress.epoch / progress.epochs
                watcher.in_phase(Phase.FINDING_GLANDS, share)

            train(
                replace(plan, validation=(), held_out=fold.without),
                resume=is_begun(output),
                on_progress=after_epoch,
                on_case=lambda _done, _total: watcher.before_iteration(),
                before_iteration=watcher.before_iteration,
            )
            shutil.rmtree(output / "workspace", ignore_errors=True)
            return output / "version"

        def on_case(done: int, total: int) -> None:
            watcher.in_phase(Phase.FINDING_GLANDS, done / max(1, total))

        finder = Finder(self.registry, loaded, train_fold, choice.folds)
        cases = (*snapshot.of(Part.TRAIN), *snapshot.of(Part.VALIDATION))
        output = self.folder / GLANDS
        find_glands(cases, folder / IMAGES, folder / LABELS, output, finder, on_case=on_case)


def champion_of(registry: Registry, step: Step) -> ModelVersion | None:
    """The version that serves, verified; None where none does.

    Raises:
        NotFoundError, ModelRefusedError: it is away or damaged.
    """
    if not registry.has_champion(step):
        return None
    version = registry.champion(step)
    registry.verify(version)
    return version


def chosen_preset(choice: TrainingChoice, step: Step) -> Preset:
    """A step's preset, with what was chosen switched in it."""
    preset = preset_for(choice.preset, step)
    if choice.virtual_surgery is not None:
        preset = replace(preset, virtual_surgery=choice.virtual_surgery)
    if choice.field_of_view is not None:
        preset = replace(preset, field_of_view=choice.field_of_view)
    return preset
