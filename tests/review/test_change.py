from dataclasses import replace
from datetime import datetime, timezone

import pytest
from tests.review.saves import ANN, SAM, add, approve, note_on

from parotid_brachy.lib.errors import NotFoundError, StoreError, UsageError
from parotid_brachy.lib.review.records import Kind, ReviewStatus, StoredFile
from parotid_brachy.lib.review.states import CaseState


def test_versions_are_numbered_by_case_and_the_tag_points_at_the_newest(store):
    add(store, tag="original")
    add(store, content=b"first")
    newest = add(store, content=b"second", info={"label_info": [{"name": "skin"}]}, parent=1)
    add(store, "b")
    assert [version.number for version in store.versions("a")] == [1, 2, 3]
    assert [version.number for version in store.versions("b")] == [1]
    assert store.tagged("a", "final") == newest == store.version("a", 3)
    assert store.tagged("a", "version_1") is None
    assert (newest.kind, newest.author, newest.parent) == (Kind.INITIAL, "Ann", 1)
    assert newest.volumes_ml == {"skin": 1.5, "mastoid_process": 0.0}
    assert newest.info == {"label_info": [{"name": "skin"}]}
    assert newest.created.tzinfo is not None


def test_equal_content_is_one_file_of_two_versions(store):
    first, second = add(store, "a"), add(store, "b")
    assert first.file == second.file


def test_a_version_needs_a_file_that_was_put(store):
    invented = StoredFile("0" * 64, 5, ".seg.nrrd")
    with (
        pytest.raises(StoreError, match="put it first"),
        store.writing() as writing,
        writing.change(ANN) as change,
    ):
        change.add_version(
            "a",
            tag="final",
            kind=Kind.INITIAL,
            author="Ann",
            file=invented,
            received=None,
            volumes_ml={},
        )
    assert store.versions("a") == []


@pytest.mark.parametrize("tag", ["", ".", "..", "../final", "a/b", "a\\b", "a\0b", "x" * 65, "é"])
def test_a_tag_is_a_plain_name(sqlite_store, tag):
    with pytest.raises(UsageError, match="tag"):
        add(sqlite_store, tag=tag)


def test_a_case_that_is_not_there_is_named(store):
    with pytest.raises(NotFoundError, match="'missing'"):
        add(store, "missing")


def test_corrections_get_tags_that_were_never_used(store):
    def following():
        with store.writing() as writing, writing.change(SAM) as change:
            return change.next_correction_tag("a")

    assert following() == "version_1"
    add(store, tag="version_1", reader=SAM)
    add(store, tag="version_9", reader=SAM)
    add(store, "b", tag="version_20", reader=SAM)
    assert following() == "version_10"
    with store.writing() as writing, writing.change(SAM) as change:
        change.withdraw("a", "version_9")
    assert following() == "version_10"


def test_a_withdrawn_version_is_out_of_sight_and_still_there(store):
    add(store, content=b"first")
    add(store, content=b"second")
    with store.writing() as writing, writing.change(SAM) as change:
        withdrawn = change.withdraw("a", "final")
    assert (withdrawn.number, withdrawn.is_withdrawn) == (2, True)
    assert store.tagged("a", "final") is None
    assert [version.is_withdrawn for version in store.versions("a")] == [False, True]
    assert store.path_of(withdrawn.file).read_bytes() == b"second"
    with (
        pytest.raises(NotFoundError, match="under 'final'"),
        store.writing() as writing,
        writing.change(SAM) as change,
    ):
        change.withdraw("a", "final")
    assert add(store, content=b"third").number == 3


def test_an_approval_says_who_when_and_which_and_ends_with_its_state(store):
    version = add(store)
    approve(store, version)
    case = store.case("a")
    assert (case.state, case.approved_by, case.approved_version) == (CaseState.APPROVED, "Sam", 1)
    assert case.approved_at is not None
    with store.writing() as writing, writing.change(SAM) as change:
        change.set_state("a", CaseState.APPROVED, reviewer="Sam")  # a comment on what is approved
        assert change.case("a").approved_version == 1
        change.set_state("a", CaseState.REOPENED)
        facts = change.facts("a")
    assert (facts.state, facts.approved_by, facts.approved_at) == (CaseState.REOPENED, None, None)
    assert facts.reviewer == "Sam"
    assert store.case("a").approved_version is None


def test_an_approval_names_a_version_that_is_there(store):
    add(store)
    for number, error in ((None, StoreError), (7, NotFoundError)):
        with pytest.raises(error), store.writing() as writing, writing.change(SAM) as change:
            change.set_state("a", CaseState.APPROVED, approved_version=number)
    assert store.case("a").state is CaseState.NEW


def test_names_are_left_alone_unless_they_are_given(store):
    with store.writing() as writing, writing.change(ANN) as change:
        change.set_state("a", CaseState.SUBMITTED, initial_author="Ann", reviewer="Sam")
        change.set_state("a", CaseState.IN_REVIEW)
        assert change.facts("a").initial_author == "Ann"
        change.set_state("a", CaseState.NEW, initial_author=None)
    case = store.case("a")
    assert (case.initial_author, case.reviewer) == (None, "Sam")


def test_the_newest_note_counts(store):
    final = add(store)
    corrected = add(store, tag="version_1", reader=SAM)
    with store.writing() as writing, writing.change(SAM) as change:
        assert change.newest_note(final) is None
        change.add_note(note_on(final, ReviewStatus.FLAGGED, comment="the ramus"))
        change.add_note(note_on(corrected, comment="mine"))
        change.add_note(note_on(final, ReviewStatus.APPROVED, comment="fine"))
        assert change.newest_note(final).comment == "fine"
        assert {tag: note.comment for tag, note in change.current_notes("a").items()} == {
            "final": "fine",
            "version_1": "mine",
        }
        assert change.current_notes("b") == {}
    assert [note.comment for note in store.notes("a")] == ["the ramus", "mine", "fine"]


def test_a_change_sees_what_it_did_and_nobody_else_does_before_its_end(store):
    with store.writing() as writing:
        file = writing.put(b"new", ".seg.nrrd")
        with writing.change(ANN) as change:
            added = change.add_version(
                "a",
                tag="final",
                kind=Kind.INITIAL,
                author="Ann",
                file=file,
                received=None,
                volumes_ml={},
            )
            assert change.tagged("a", "final") == added
            assert store.tagged("a", "final") is None
        assert store.tagged("a", "final") == added


def test_what_is_brought_in_keeps_its_time(store):
    then = datetime(2021, 3, 4, 5, 6, 7, 890, tzinfo=timezone.utc)
    assert add(store, created=then).created == then
    assert store.version("a", 1).created == then


def test_the_consensus_set_is_left_and_joined(store):
    for is_consensus in (True, False):
        with store.writing() as writing, writing.change(SAM) as change:
            change.set_consensus("a", is_consensus)
            assert change.facts("a").is_consensus is is_consensus
        assert store.case("a").is_consensus is is_consensus


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_that_no_database_holds_is_the_callers_fault(store, text):
    version = add(store)
    note = replace(note_on(version), comment=text)
    try:
        with store.writing() as writing, writing.change(SAM) as change:
            change.add_note(note)
    except UsageError:
        assert store.notes("a") == []
    else:
        assert store.notes("a") == [note]


def test_information_that_is_no_json_is_refused(sqlite_store):
    deep = {}
    for _ in range(100_000):
        deep = {"deeper": deep}
    for info in ({"x": float("inf")}, {"x": b"bytes"}, deep):
        with pytest.raises(UsageError, match="JSON"):
            add(sqlite_store, info=info)
    assert sqlite_store.versions("a") == []
