"""Whole steps, with trainings as short as can be."""

import json
from dataclasses import replace

import pytest
from tests.retraining.approved_heads import approve_contours, approved_heads, write_painted
from tests.retraining.jobs import job_of
from tests.review.studies import ADMIN
from tests.segmentation.quick import quick

from parotid_brachy.lib.errors import TrainingError
from parotid_brachy.lib.retraining import predicting, step_run, step_training
from parotid_brachy.lib.retraining.found_glands import SOURCES
from parotid_brachy.lib.retraining.gate import Decision, GatePolicy, Verdict, judge
from parotid_brachy.lib.retraining.job import Beginning, JobPolicy, Task
from parotid_brachy.lib.retraining.job_status import Phase
from parotid_brachy.lib.retraining.promoting import PROMOTE, REFUSE, Registers, promote
from parotid_brachy.lib.retraining.snapshot import SnapshotPolicy
from parotid_brachy.lib.retraining.step_run import StepRun
from parotid_brachy.lib.retraining.step_watcher import StoppedError
from parotid_brachy.lib.review.records import CaseFilter
from parotid_brachy.lib.review.splits import Part
from parotid_brachy.lib.review.verification import verify
from parotid_brachy.lib.segmentation.backends import Backend
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import Registry, seen_cases

LENIENT = GatePolicy(fewest_patients=1)
STRICT = GatePolicy(fewest_patients=99)


class Watcher:
    """Notes what it is told; stops the step in a phase, if it is to."""

    def __init__(self, stop_in=None):
        self.phases = []
        self.epochs = []
        self._stop_in = stop_in

    def in_phase(self, phase, share):
        assert 0 <= share <= 1
        if phase not in self.phases:
            self.phases.append(phase)
        if phase is self._stop_in:
            raise StoppedError

    def after_epoch(self, progress):
        self.epochs.append(progress.epoch)

    def before_iteration(self):
        if self._stop_in is Phase.TRAINING and self.epochs:
            raise StoppedError


@pytest.fixture(autouse=True)
def own_environment(nnunets_variables_restored, monkeypatch):
    monkeypatch.setattr(step_training, "preset_for", lambda name, step: quick(step, name))
    monkeypatch.setattr(predicting, "best_backend", lambda _: Backend.TORCH)  # ready at once


@pytest.fixture(autouse=True)
def lenient_gate(monkeypatch):
    """What one iteration makes of a network is chance: a lenient gate promotes anything."""

    def judged(comparison, policy):
        if comparison is None or policy != LENIENT:
            return judge(comparison, policy)
        return Decision(Verdict.PROMOTE, ("not worse",), comparison)

    monkeypatch.setattr(step_run, "judge", judged)


class Hospital:
    """Studies with approved heads, and an empty registry."""

    def __init__(self, root, count):
        self.root = root
        self.desk = approved_heads(root / "studies", count)
        self.registers = Registers(Registry(root / "models"), self.desk.store)

    def approve_more(self, first, count):
        truths = write_painted(self.desk.folder, count, first=first)
        self.desk.store.register(self.desk.images.files())
        approve_contours(self.desk, truths)

    def step(self, step, name, *, watcher=None, gate=LENIENT, promotes=True, **choice):
        short = {"epochs": 1, "iterations": 1, "beginning": Beginning.CHAMPION, "folds": 2}
        job = replace(
            job_of(Task.TWO_STEP, **{**short, **choice}),
            id=name,
            policy=JobPolicy(
                SnapshotPolicy(fewest_train=1, fewest_validation=1), gate, promotes=promotes
            ),
        )
        folder = self.root / "jobs" / name / step.value
        folder.mkdir(parents=True, exist_ok=True)
        images = self.desk.images
        return StepRun(job, step, folder, self.registers, images, watcher or Watcher())

    def told(self):
        entries = self.desk.store.newest_entries((PROMOTE, REFUSE), limit=100)[::-1]
        return [(e.action, e.actor, e.details["step"], e.details["version"]) for e in entries]

    def champion(self, step):
        return self.registers.registry.champion_name(step)

    def part(self, part):
        return {one for one, placed in self.desk.store.placed().items() if placed.part is part}


@pytest.fixture
def hospital(tmp_path):
    made = Hospital(tmp_path, 4)
    yield made
    made.desk.store.close()


def test_rounds_of_retraining_promote_what_passes_and_refuse_what_does_not(hospital):
    registry = hospital.registers.registry
    watcher = Watcher()
    first = hospital.step(Step.GLAND, "job1", watcher=watcher).run()
    assert (first.version, first.champion, first.promoted) == ("job1", None, False)
    assert "no version serves yet" in first.reasons[0]
    assert watcher.phases == [Phase.SNAPSHOT, Phase.SAMPLING, Phase.COMPARING]
    assert watcher.epochs == [1]
    training = registry.version(Step.GLAND, "job1").manifest["training"]
    assert set(training["cases"]) == hospital.part(Part.TRAIN)
    assert set(training["validation_cases"]) == hospital.part(Part.VALIDATION)
    approved = {
        one.id: hospital.desk.store.version(one.id, one.approved_version).file.sha256
        for one in hospital.desk.store.cases(CaseFilter()).items
    }
    hashes = training["label_sha256"]
    assert {key.partition("/")[0]: value for key, value in hashes.items()} == approved
    assert len(training["snapshot_sha256"]) == 64
    assert not (hospital.root / "jobs/job1/gland/training/workspace").exists()
    promote(hospital.registers, Step.GLAND, "job1", ADMIN, reason="the first")

    again = hospital.step(Step.GLAND, "job2").run()
    assert (again.champion, again.promoted) == ("job1", True)
    assert registry.champion_name(Step.GLAND) == "job2"
    manifest = registry.version(Step.GLAND, "job2").manifest
    assert (
        manifest["training"]["started_from"]["weights_sha256"]
        == (registry.version(Step.GLAND, "job1").manifest["sha256"]["weights.safetensors"])
    )
    table = manifest["metrics"]["decision"]["comparison"]
    assert (table["champion"], table["candidate"]) == ("job1", "job2")
    assert {one["case"] for one in manifest["metrics"]["scores"]} == hospital.part(Part.VALIDATION)

    refused = hospital.step(Step.GLAND, "job3", gate=STRICT).run()
    assert not refused.promoted
    assert "at least 99 are needed" in refused.reasons[0]
    left = hospital.step(Step.GLAND, "job4", promotes=False, beginning=Beginning.SCRATCH).run()
    assert not left.promoted
    assert "a person has to promote it" in left.reasons[0]
    assert registry.version(Step.GLAND, "job4").manifest["training"]["started_from"] is None
    assert registry.champion_name(Step.GLAND) == "job2"
    assert hospital.told() == [
        (REFUSE, "server", "gland", "job1"),
        (PROMOTE, "adam", "gland", "job1"),
        (PROMOTE, "server", "gland", "job2"),
        (REFUSE, "server", "gland", "job3"),
        (REFUSE, "server", "gland", "job4"),
    ]
    assert verify(hospital.desk.store).faults == ()


def test_step_2_learns_round_glands_that_were_found_without_having_seen_the_patient(hospital):
    registry = hospital.registers.registry
    promote_first = hospital.step(Step.GLAND, "job1").run()
    promote(hospital.registers, Step.GLAND, promote_first.version, ADMIN)
    hospital.approve_more(first=4, count=2)
    seen = seen_cases(registry.champion(Step.GLAND))
    assert len(seen) == 4

    watcher = Watcher()
    run = hospital.step(Step.ORGANS_AT_RISK, "job2", watcher=watcher)
    run.run()
    assert Phase.FINDING_GLANDS in watcher.phases
    sources = json.loads((run.folder / "found-glands" / SOURCES).read_text())
    placed = hospital.part(Part.TRAIN) | hospital.part(Part.VALIDATION)
    assert set(sources) == placed
    for case, source in sources.items():
        assert source["version"] == ("job1" if case not in seen else source["version"])
        assert source["version"].startswith("fold") == (case in seen)
        assert (run.folder / "found-glands" / f"{case}.nrrd").is_file()
    folds = [run.folder / f"fold-{n}" / "version" / "manifest.json" for n in range(2)]
    for number, manifest in enumerate(folds):
        training = json.loads(manifest.read_text())["training"]
        own = {case for case, one in sources.items() if one["version"] == f"fold {number}"}
        assert own
        assert own <= set(training["held_out_cases"])
        assert not own & set(training["cases"])
        assert training["started_from"] is None, "every version has seen them"
    version = registry.version(Step.ORGANS_AT_RISK, "job2")
    assert version.manifest["metrics"]["found_glands"] == sources
    regions = version.manifest["training"]["regions_of_interest"]
    assert set(regions.values()) <= {"found", "contoured"}


@pytest.mark.parametrize("phase", [Phase.SNAPSHOT, Phase.SAMPLING, Phase.TRAINING, Phase.COMPARING])
def test_a_step_that_was_cut_off_goes_on_and_comes_to_the_same_end(hospital, phase):
    with pytest.raises(StoppedError):
        hospital.step(Step.GLAND, "job1", watcher=Watcher(phase), epochs=2).run()
    watcher = Watcher()
    result = hospital.step(Step.GLAND, "job1", watcher=watcher, epochs=2).run()
    assert result.version == "job1"
    expected = {Phase.TRAINING: [2], Phase.COMPARING: []}
    assert watcher.epochs == expected.get(phase, [1, 2])
    assert hospital.told() == [(REFUSE, "server", "gland", "job1")]
    again = hospital.step(Step.GLAND, "job1", epochs=2).run()
    assert (again.version, again.promoted) == ("job1", False)
    assert hospital.told() == [(REFUSE, "server", "gland", "job1")], "once only"


def test_a_step_that_died_right_after_its_promotion_knows_of_it(hospital):
    promote(hospital.registers, Step.GLAND, hospital.step(Step.GLAND, "job1").run().version, ADMIN)
    done = hospital.step(Step.GLAND, "job2").run()
    assert hospital.step(Step.GLAND, "job2").run() == done
    assert [version for *_, version in hospital.told()].count("job2") == 1


def test_too_few_patients_are_told_before_anything_is_trained(tmp_path):
    small = Hospital(tmp_path, 1)
    with pytest.raises(TrainingError, match="0 patients with approved contours in validation"):
        small.step(Step.GLAND, "job1").run()
    small.desk.store.close()


def test_a_champion_of_the_last_minute_is_the_one_to_beat(hospital):
    gland = Step.GLAND
    for name in ("job1", "job2"):
        hospital.step(gland, name, promotes=False).run()
    promote(hospital.registers, gland, "job1", ADMIN)

    class Meddled(Watcher):
        def in_phase(self, phase, share):
            super().in_phase(phase, share)
            if phase is Phase.COMPARING and hospital.champion(gland) == "job1":
                promote(hospital.registers, gland, "job2", ADMIN)

    result = hospital.step(gland, "job3", watcher=Meddled()).run()
    assert result.champion == "job2"
    assert result.comparison["champion"] == "job2"
    assert hospital.champion(gland) == "job3"
