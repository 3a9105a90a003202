import pytest
from tests.review.saves import tamper

from parotid_brachy.lib.errors import ConflictError, NotFoundError
from parotid_brachy.lib.review.archive import export
from parotid_brachy.lib.review.restoring import restore
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.splits import Part, Placing
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.verification import verify

ADAM = Reader("adam", Role.ADMIN)


def place(store, *placings):
    return store.place(lambda _: [Placing(*one) for one in placings], ADAM)


def test_what_is_placed_is_told_by_case(store):
    added = place(store, ("a", "Erika", Part.TEST), ("b", "b", Part.TRAIN))
    assert store.placed() == {one.case: one for one in added}
    assert store.placed()["a"].part is Part.TEST
    assert verify(store).faults == ()


@pytest.mark.parametrize(
    "second", [("a", "Erika", Part.TRAIN), ("a", "Erika", Part.TEST), ("b", "Erika", Part.TRAIN)]
)
def test_nobody_is_moved_and_nothing_is_left_half_done(store, second):
    place(store, ("a", "Erika", Part.TEST))
    before, length = store.placed(), store.journal_length()
    with pytest.raises(ConflictError, match="in test for ever"):
        place(store, second)
    assert (store.placed(), store.journal_length()) == (before, length)


def test_a_case_that_is_not_there_is_not_placed(store):
    with pytest.raises(NotFoundError):
        place(store, ("nobody", "nobody", Part.TEST))


def test_parts_survive_an_export_and_a_restore(store, tmp_path):
    place(store, ("a", "Erika", Part.TEST), ("b", "b", Part.VALIDATION))
    export(store, tmp_path / "store.tar")
    other = VersionStore.open(tmp_path / "other" / ".parotid")
    restore(other, tmp_path / "store.tar")
    assert other.placed() == store.placed()
    assert verify(other).faults == ()
    other.close()


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE split_patients SET part = 'train'", "a: in train, but the journal does not"),
        ("UPDATE split_patients SET patient = 'Max'", "a: in test, but the journal does not"),
        ("DELETE FROM split_patients", "a: the part of the trainings that the journal tells of"),
    ],
)
def test_who_was_moved_behind_the_stores_back_is_found(store, database_url, statement, fault):
    place(store, ("a", "Erika", Part.TEST))
    tamper(store, database_url, statement)
    (found,) = verify(store).faults
    assert found.startswith(fault)
