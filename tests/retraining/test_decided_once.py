"""What was decided on before a trainer died is not decided on again."""

from dataclasses import replace

import pytest
from tests.retraining.jobs import job_of
from tests.review.studies import ADMIN, open_desk
from tests.segmentation.versions import untrained_registry, write_untrained

from parotid_brachy.lib.retraining.gate import Decision, Verdict
from parotid_brachy.lib.retraining.job import Task
from parotid_brachy.lib.retraining.promoting import (
    THE_GATE,
    Registers,
    promote,
    reconcile,
    refuse,
    roll_back,
)
from parotid_brachy.lib.retraining.step_run import StepRun
from parotid_brachy.lib.segmentation.presets import Step

NAME = "20261124-030000-123456"


class NobodyWatches:
    """A step that is decided on has nothing to do."""

    def in_phase(self, phase, _share):
        pytest.fail(f"it went on with {phase}")

    after_epoch = before_iteration = in_phase


@pytest.fixture
def registers(tmp_path):
    registry = untrained_registry(tmp_path / "models", steps=(Step.GLAND,), name="first")
    desk = open_desk(tmp_path / "studies", cases=())
    found = Registers(registry, desk.store)
    reconcile(found)
    yield found
    desk.store.close()


def candidate(registers, root, decision):
    draft = write_untrained(root / "draft", Step.GLAND, seed=5)
    metrics = {"decision": decision.to_json()}
    return registers.registry.add(draft, name=NAME, metrics=metrics)


def run_again(registers, root):
    job = replace(job_of(Task.PAROTID_GLAND), id=NAME)
    return StepRun(job, Step.GLAND, root, registers, None, NobodyWatches()).run()


def entries(registers):
    own = [entry for entry in registers.store.journal() if entry.details.get("version") == NAME]
    return [entry.action for entry in own]


def test_a_promotion_is_not_made_again(registers, tmp_path):
    decision = Decision(Verdict.PROMOTE, ("not worse",))
    candidate(registers, tmp_path, decision)
    promote(registers, Step.GLAND, NAME, THE_GATE, decision=decision)
    result = run_again(registers, tmp_path)
    assert (result.version, result.promoted, result.reasons) == (NAME, True, ("not worse",))
    assert entries(registers) == ["promote_model"]


def test_what_a_person_has_rolled_back_since_is_not_promoted_again(registers, tmp_path):
    decision = Decision(Verdict.PROMOTE, ("not worse",))
    candidate(registers, tmp_path, decision)
    promote(registers, Step.GLAND, NAME, THE_GATE, decision=decision)
    roll_back(registers, Step.GLAND, ADMIN, reason="complaints")
    run_again(registers, tmp_path)
    assert registers.registry.champion_name(Step.GLAND) == "first"
    assert entries(registers) == ["promote_model"]


@pytest.mark.parametrize(
    ("verdict", "reasons"),
    [
        (Verdict.WAIT, ("too slow",)),
        (Verdict.PROMOTE, ("passes the gate; a person has to promote it", "too slow")),
    ],
)
def test_a_refusal_is_not_taken_back_by_another_measurement(registers, tmp_path, verdict, reasons):
    """Seconds differ from time to time."""
    decision = Decision(verdict, ("too slow",))
    version = candidate(registers, tmp_path, decision)
    refuse(registers.store, version, decision, THE_GATE)
    result = run_again(registers, tmp_path)
    assert (result.promoted, result.reasons) == (False, reasons)
    assert registers.registry.champion_name(Step.GLAND) == "first"
    assert entries(registers) == ["refuse_model"]
