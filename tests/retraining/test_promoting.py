import json

import pytest
from tests.retraining.painted_cases import compared, painted_cases, stub
from tests.review.studies import ADMIN, SENIOR, open_desk
from tests.segmentation.versions import untrained_registry, write_untrained

from parotid_brachy.lib.errors import (
    ConflictError,
    ModelRefusedError,
    NotAllowedError,
    NotFoundError,
    StoreError,
    UsageError,
)
from parotid_brachy.lib.retraining import promoting
from parotid_brachy.lib.retraining.gate import judge
from parotid_brachy.lib.retraining.promoting import (
    THE_GATE,
    Registers,
    promote,
    reconcile,
    refuse,
    roll_back,
)
from parotid_brachy.lib.review.verification import verify
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import PLANS, Registry


class KilledError(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def decision():
    return judge(compared(stub(name="second"), stub(name="first"), cases=painted_cases(3)))


@pytest.fixture
def registers(tmp_path):
    """A champion ``first``, which the journal knows, and a candidate ``second``."""
    registry = untrained_registry(tmp_path / "model", steps=(Step.GLAND,), name="first")
    registry.add(write_untrained(tmp_path / "draft", Step.GLAND, seed=3), name="second")
    desk = open_desk(tmp_path / "studies", cases=())
    registers = Registers(registry, desk.store)
    reconcile(registers)
    yield registers
    desk.store.close()


def told(registers):
    """What the journal tells of the gland's models: action, actor, version, version before."""
    return [
        (entry.action, entry.actor, entry.details["version"], entry.details.get("before"))
        for entry in registers.store.journal()
        if entry.action.endswith(("model", "champion"))
    ]


START = ("found_champion", "server", "first", None)


def champion(registers):
    return registers.registry.champion_name(Step.GLAND)


def test_a_promotion_is_journalled_with_who_why_and_the_table(registers, decision):
    promote(registers, Step.GLAND, "second", ADMIN, decision=decision, reason="better")
    assert champion(registers) == "second"
    assert told(registers) == [START, ("promote_model", "adam", "second", "first")]
    details = registers.store.journal()[-1].details
    assert details["reason"] == "better"
    assert details["decision"] == decision.to_json()
    assert len(details["decision"]["comparison"]["rows"]) == 6
    assert verify(registers.store).faults == ()


def test_a_rollback_is_journalled_and_goes_back_one_champion(registers):
    promote(registers, Step.GLAND, "second", THE_GATE)
    roll_back(registers, Step.GLAND, ADMIN, reason="complaints")
    assert champion(registers) == "first"
    assert told(registers)[1:] == [
        ("promote_model", "server", "second", "first"),
        ("roll_back_model", "adam", "first", "second"),
    ]
    assert reconcile(registers) == []
    with pytest.raises(UsageError, match="no earlier champion"):
        roll_back(registers, Step.GLAND, ADMIN)


def test_a_refusal_is_journalled_and_moves_nothing(registers, decision):
    version = registers.registry.version(Step.GLAND, "second")
    entry = refuse(registers.store, version, decision, THE_GATE)
    assert (entry.action, entry.actor) == ("refuse_model", "server")
    assert entry.details["decision"] == decision.to_json()
    assert champion(registers) == "first"
    assert reconcile(registers) == []


def test_only_an_admin_changes_what_serves(registers):
    for move in (
        lambda: promote(registers, Step.GLAND, "second", SENIOR),
        lambda: roll_back(registers, Step.GLAND, SENIOR),
    ):
        with pytest.raises(NotAllowedError, match="sofia is reviewer"):
            move()
    assert (champion(registers), told(registers)) == ("first", [START])


def test_what_cannot_serve_is_neither_promoted_nor_journalled(registers):
    folder = registers.registry.root / "gland" / "second"
    (folder / PLANS).write_text("{}")
    for name, error in (
        ("second", ModelRefusedError),
        ("third", NotFoundError),
        ("first", ConflictError),
    ):
        with pytest.raises(error):
            promote(registers, Step.GLAND, name, ADMIN)
    assert (champion(registers), told(registers)) == ("first", [START])
    assert promoting.intended(registers.registry, Step.GLAND) is None


def _killed_at(monkeypatch, place):
    """Lets the next promotion end at a place: before or after the pointer, after the entry."""

    def killed(*_args, **_more):
        raise KilledError

    if place == "before the pointer":
        monkeypatch.setattr(promoting, "_move", killed)
    elif place == "at the pointer":
        monkeypatch.setattr(Registry, "promote", killed)
        monkeypatch.setattr(Registry, "rollback", killed)
    elif place == "before the entry":
        monkeypatch.setattr(promoting, "_record", killed)
    else:
        record = promoting._record

        def record_and_die(*args):
            record(*args)
            raise KilledError

        monkeypatch.setattr(promoting, "_record", record_and_die)


PLACES = {
    "before the pointer": False,
    "at the pointer": False,
    "before the entry": True,
    "after the entry": True,
}


@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_the_journal_ends_where_the_pointer_is(
    registers, decision, monkeypatch, place
):
    with monkeypatch.context() as patched:
        _killed_at(patched, place)
        with pytest.raises(KilledError):
            promote(registers, Step.GLAND, "second", ADMIN, decision=decision, reason="why")
    has_moved = PLACES[place]
    assert champion(registers) == ("second" if has_moved else "first")
    written = reconcile(registers)
    assert len(written) == (place == "before the entry")
    assert reconcile(registers) == []
    entry = ("promote_model", "adam", "second", "first")
    assert told(registers) == ([START, entry] if has_moved else [START])
    if has_moved:
        details = registers.store.journal()[-1].details
        assert (details["reason"], details["decision"]) == ("why", decision.to_json())
    assert promoting.intended(registers.registry, Step.GLAND) is None


@pytest.mark.parametrize("place", PLACES)
def test_a_rollback_that_is_killed_is_cleared_up_by_the_next_promotion(
    registers, monkeypatch, place
):
    promote(registers, Step.GLAND, "second", ADMIN)
    with monkeypatch.context() as patched:
        _killed_at(patched, place)
        with pytest.raises(KilledError):
            roll_back(registers, Step.GLAND, ADMIN)
    if PLACES[place]:
        promote(registers, Step.GLAND, "second", ADMIN)
        assert told(registers)[2:] == [
            ("roll_back_model", "adam", "first", "second"),
            ("promote_model", "adam", "second", "first"),
        ]
    else:
        roll_back(registers, Step.GLAND, ADMIN)
        assert told(registers)[2:] == [("roll_back_model", "adam", "first", "second")]


def test_an_intent_that_outlived_a_loss_of_power_before_the_pointer_is_dropped(registers):
    path = registers.registry.root / "gland" / "promotion.json"
    details = {"step": "gland", "version": "second", "before": "first", "promotion": "x"}
    intent = {"action": "promote_model", "actor": "adam", "role": "admin", "details": details}
    path.write_text(json.dumps(intent))
    assert reconcile(registers) == []
    assert not path.exists()
    assert told(registers) == [START]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"details": 5}', "[" * 100_000, '{"details": {}, "action": "x"}']
)
def test_an_intent_that_cannot_be_read_hides_nothing(registers, content):
    (registers.registry.root / "gland" / "promotion.json").write_text(content)
    registers.registry.promote(Step.GLAND, "second")
    (entry,) = reconcile(registers)
    assert (entry.action, entry.details["version"]) == ("found_champion", "second")
    assert promote(registers, Step.GLAND, "first", ADMIN).name == "first"


def test_a_pointer_that_was_moved_without_a_word_is_told_at_the_next_start(registers):
    registers.registry.promote(Step.GLAND, "second")
    (entry,) = reconcile(registers)
    assert (entry.action, entry.actor) == ("found_champion", "server")
    assert (entry.details["version"], entry.details["before"]) == ("second", "first")
    assert reconcile(registers) == []


def test_while_the_journal_cannot_be_written_the_promotion_is_told_later(registers, monkeypatch):
    def full(*_args):
        message = "full"
        raise StoreError(message)

    with monkeypatch.context() as patched:
        patched.setattr(promoting, "_record", full)
        with pytest.raises(StoreError):
            promote(registers, Step.GLAND, "second", ADMIN)
    (entry,) = reconcile(registers)
    assert (entry.action, entry.actor) == ("promote_model", "adam")
