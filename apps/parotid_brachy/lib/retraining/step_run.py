"""One step of a retraining: snapshot, training, comparison, gate; each part can be done again.

Everything that is finished lies on disk as a whole. A step that was cut off anywhere begins with
the first part that is not finished yet, and comes to the same end.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.errors import NotFoundError
from parotid_brachy.lib.retraining import snapshot as snapshots
from parotid_brachy.lib.retraining.comparison import Comparison, compare
from parotid_brachy.lib.retraining.comparison_table import scores_json, table_text
from parotid_brachy.lib.retraining.gate import Decision, Verdict, judge
from parotid_brachy.lib.retraining.job import Job
from parotid_brachy.lib.retraining.job_status import Phase, StepResult
from parotid_brachy.lib.retraining.predicting import (
    contender,
    judged_structures,
    loaded,
    release_memory,
)
from parotid_brachy.lib.retraining.promoting import (
    REFUSE,
    THE_GATE,
    Registers,
    promote,
    refuse,
)
from parotid_brachy.lib.retraining.reference import references_in
from parotid_brachy.lib.retraining.retention import prune_with_entry
from parotid_brachy.lib.retraining.snapshot import Snapshot
from parotid_brachy.lib.retraining.step_tracking import begin_tracking, end_tracking
from parotid_brachy.lib.retraining.step_training import (
    GLANDS,
    SNAPSHOT,
    TRAINING,
    StepTraining,
    champion_of,
)
from parotid_brachy.lib.retraining.step_watcher import StoppedError, Watcher
from parotid_brachy.lib.retraining.tracking import Outcome
from parotid_brachy.lib.retraining.training_folder import (
    materialise,
    read_training_folder,
)
from parotid_brachy.lib.review.records import JournalEntry
from parotid_brachy.lib.review.splits import Part
from parotid_brachy.lib.review.study_images import StudyImages
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import ModelVersion

logger = logging.getLogger(__name__)

_LOOKED_AT: Final = 1000


@dataclass(frozen=True)
class StepRun:
    """One step of a job.

    Attributes:
        job: that it belongs to.
        step: which model.
        folder: of the step's files.
        registers: registry and journal.
        images: of the studies.
        watcher: who is told.
        batch_size: None takes the preset's.
    """

    job: Job
    step: Step
    folder: Path
    registers: Registers
    images: StudyImages
    watcher: Watcher
    batch_size: int | None = None

    def run(self) -> StepResult:
        """Does whatever is not done yet.

        Raises:
            TrainingError: too few cases, or the training cannot go on.
            StoreFullError, StoreError: the journal cannot be written.
        """
        known = self._known_result()
        if known is not None:
            return known
        snapshot = self.take_snapshot()
        training = StepTraining(
            self.job,
            self.step,
            self.folder,
            self.registers.registry,
            self.watcher,
            self.batch_size,
        )
        store_folder = self.registers.store.folder
        tracking = begin_tracking(store_folder, self.job, training.preset, snapshot)
        try:
            candidate = training.run(snapshot, tracking)
            decision = self._decision(snapshot, candidate)
            result = self._decided(candidate, decision)
        except BaseException as error:
            is_stopped = isinstance(error, StoppedError)
            tracking.end(Outcome.STOPPED if is_stopped else Outcome.FAILED)
            raise
        end_tracking(tracking, result)
        shutil.rmtree(self.folder / TRAINING / "workspace", ignore_errors=True)
        return result

    def take_snapshot(self) -> Snapshot:
        """The step's training set, taken once for the whole job.

        Raises:
            TrainingError: there are too few patients, or what was laid out is damaged.
        """
        self.watcher.in_phase(Phase.SNAPSHOT, 0.0)
        folder = self.folder / SNAPSHOT
        if folder.exists():
            return read_training_folder(folder)
        snapshot = snapshots.take_snapshot(
            self.registers.store,
            self.images,
            self.step,
            actor=self.job.asked_by,
            policy=self.job.policy.snapshot,
        )
        materialise(snapshot, folder, store=self.registers.store, images=self.images)
        counts = {part.value: len(snapshot.patients(part)) for part in Part}
        logger.info("%s: snapshot %s, patients %s", self.step.value, snapshot.sha256, counts)
        return snapshot

    def _decision(self, snapshot: Snapshot, candidate: ModelVersion) -> Decision:
        """The gate's word on the version that serves now.

        A comparison takes minutes. Where somebody promotes another version meanwhile, it is made
        again with that one.
        """
        while True:
            comparison = self._comparison(snapshot, candidate)
            compared_with = None if comparison is None else comparison.champion
            if compared_with == self.registers.registry.champion_name(self.step):
                return judge(comparison, self.job.policy.gate)

    def _comparison(self, snapshot: Snapshot, candidate: ModelVersion) -> Comparison | None:
        """With the champion on the fixed validation patients; None: there is no champion."""
        self.watcher.in_phase(Phase.COMPARING, 0.0)
        champion = champion_of(self.registers.registry, self.step)
        if champion is None:
            return None
        release_memory()
        cases = snapshot.of(Part.VALIDATION)
        references = references_in(self.folder / SNAPSHOT, snapshot)

        def told() -> Any:
            for number, case in enumerate(references):
                self.watcher.in_phase(Phase.COMPARING, number / len(cases))
                yield case

        found = compare(
            told(),
            contender(loaded(champion)),
            contender(loaded(candidate)),
            structures=judged_structures(self.step),
            seed=self.job.choice.seed,
        )
        logger.info("%s:\n%s", self.step.value, table_text(found))
        return found

    def _decided(self, candidate: ModelVersion, decision: Decision) -> StepResult:
        """Registers the candidate; promotes it, or notes why not."""
        registers, name = self.registers, self.job.id
        try:
            version = registers.registry.version(self.step, name)
        except NotFoundError:
            scores = [] if decision.comparison is None else scores_json(decision.comparison)
            metrics = {"decision": decision.to_json(), "scores": scores, **self._found_glands()}
            version = registers.registry.add(candidate.folder, name=name, metrics=metrics)
        before = registers.registry.champion_name(self.step)
        passes = decision.verdict is Verdict.PROMOTE
        is_promoted = passes and self.job.policy.promotes
        if is_promoted:
            promote(registers, self.step, name, THE_GATE, decision=decision)
        else:
            refuse(registers.store, version, decision, THE_GATE)
        prune_with_entry(registers.registry, registers.store, self.job.policy.keep, THE_GATE)
        return self._result(decision.to_json(), before, is_promoted=is_promoted)

    def _known_result(self) -> StepResult | None:
        """The result of a step that was decided on just before the trainer died.

        It is not decided on again: seconds differ from time to time, and somebody may have
        promoted another version or rolled this one back since.
        """
        registry, name = self.registers.registry, self.job.id
        is_promoted = name in registry.ever_served(self.step)
        if is_promoted:
            decision = registry.version(self.step, name).manifest["metrics"]["decision"]
        else:
            noted = self._noted_refusal()
            if noted is None:
                return None
            decision = noted.details["decision"]
        table = decision["comparison"]
        champion = None if table is None else str(table["champion"])
        return self._result(decision, champion, is_promoted=is_promoted)

    def _result(
        self, decision: Mapping[str, Any], champion: str | None, *, is_promoted: bool
    ) -> StepResult:
        reasons = tuple(decision["reasons"])
        if decision["verdict"] == Verdict.PROMOTE.value and not is_promoted:
            reasons = ("passes the gate; a person has to promote it", *reasons)
        table = decision["comparison"]
        return StepResult(self.step, self.job.id, champion, is_promoted, reasons, table)

    def _noted_refusal(self) -> JournalEntry | None:
        newest = self.registers.store.newest_entries((REFUSE,), limit=_LOOKED_AT)
        own = (self.step.value, self.job.id)
        told = ((one.details.get("step"), one.details.get("version"), one) for one in newest)
        return next((entry for step, version, entry in told if (step, version) == own), None)

    def _found_glands(self) -> dict[str, Any]:
        path = self.folder / GLANDS / "sources.json"
        if not path.is_file():
            return {}
        return {"found_glands": json.loads(path.read_text(encoding="utf-8"))}
