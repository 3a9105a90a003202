import contextlib

import pytest
from tests.review.saves import ANN, SAM, add, approve, note_on

from parotid_brachy.lib.errors import NotFoundError, StoreError, UsageError
from parotid_brachy.lib.review.records import CaseFilter, HandOver, ReviewStatus, StoredFile
from parotid_brachy.lib.review.states import CaseState


def _put_in_state(store, case, state, **more):
    with store.writing() as writing, writing.change(ANN) as change:
        change.set_state(case, state, **more)


def _ids(page):
    return [case.id for case in page.items]


def test_cases_come_by_id_in_pages(store):
    store.register({name: f"{name}.nrrd" for name in ("b", "a", "B", "z_1", "Z", "é")})
    everything = ["B", "Z", "a", "b", "z_1", "é"]
    page = store.cases()
    assert (_ids(page), page.total, page.offset) == (everything, 6, 0)
    page = store.cases(offset=1, limit=2)
    assert (_ids(page), page.total, page.offset) == (everything[1:3], 6, 1)
    assert _ids(store.cases(offset=9)) == []


def test_cases_are_filtered_by_every_condition(store):
    store.register({name: f"{name}.nrrd" for name in ("head_1", "head_2", "Neck_1", "neck2")})
    _put_in_state(store, "head_1", CaseState.SUBMITTED, initial_author="Ann")
    _put_in_state(store, "Neck_1", CaseState.RETURNED, initial_author="Bea")
    with store.writing() as writing, writing.change(SAM) as change:
        change.set_consensus("head_2", True)

    def found(**only):
        return _ids(store.cases(CaseFilter(**only)))

    both = (CaseState.SUBMITTED, CaseState.RETURNED)
    assert found(states=both) == ["Neck_1", "head_1"]
    assert found(states=both, initial_author="Ann") == ["head_1"]
    assert found(contains="NECK") == ["Neck_1", "neck2"]
    assert found(contains="%") == []
    assert found(contains="_") == ["Neck_1", "head_1", "head_2"]
    assert found(is_consensus=True) == ["head_2"]
    assert found(is_consensus=False, contains="head") == ["head_1"]
    assert found(is_present=False) == ["a", "b"]
    assert len(found(is_present=None)) == 6


@pytest.mark.parametrize("hostile", ["\0", "\ud800", "' OR 1=1 --", "%", "x" * 100_000])
def test_hostile_words_find_nothing(store, hostile):
    for ask in (
        lambda: store.cases(CaseFilter(contains=hostile)).items,
        lambda: store.cases(CaseFilter(initial_author=hostile)).items,
        lambda: store.tagged(hostile, hostile),
        lambda: store.versions(hostile),
        lambda: store.journal(case=hostile),
        lambda: list(store.overview(hostile)),
    ):
        with contextlib.suppress(UsageError, NotFoundError):
            assert not ask()


def test_numbers_that_no_database_holds_find_nothing(store):
    for ask in (
        lambda: store.version("a", 10**30),
        lambda: store.cases(offset=10**30).items,
        lambda: store.journal(after=10**30),
    ):
        with contextlib.suppress(UsageError, NotFoundError):
            assert not ask()


def test_an_overview_has_what_clients_see(store):
    add(store, tag="original", content=b"draft")
    old = add(store, content=b"old")
    new = add(store, content=b"new")
    corrected = add(store, tag="version_1", content=b"corrected", reader=SAM)
    with store.writing() as writing, writing.change(SAM) as change:
        change.add_note(note_on(old, ReviewStatus.FLAGGED, comment="about the old one"))
        change.add_note(note_on(new, comment="first"))
        change.add_note(note_on(new, ReviewStatus.APPROVED, comment="second"))
        change.withdraw("a", "original")
    a, b = store.overview()
    assert (a.case, b.case) == (store.case("a"), store.case("b"))
    assert a.versions == {"final": new, "version_1": corrected}
    assert {tag: note.comment for tag, note in a.notes.items()} == {"final": "second"}
    assert (b.versions, b.notes) == ({}, {})
    assert list(store.overview("a")) == [a]
    assert list(store.overview("missing")) == []


def test_an_overview_leaves_absent_cases_out(store):
    store.register({"b": "b.nrrd"})
    assert [overview.case.id for overview in store.overview()] == ["b"]


def test_counts_are_of_present_cases(store):
    store.register({name: f"{name}.nrrd" for name in "abc"})
    for case in "abc":
        add(store, case)
        _put_in_state(store, case, CaseState.SUBMITTED)
    add(store, "a", tag="version_1")
    store.register({"a": "a.nrrd", "b": "b.nrrd", "d": "d.nrrd"})
    counts = store.counts()
    assert counts.by_tag == {"final": 2, "version_1": 1}
    assert {s: n for s, n in counts.by_state.items() if n} == {
        CaseState.NEW: 1,
        CaseState.SUBMITTED: 2,
    }
    assert set(counts.by_state) == set(CaseState)


def test_a_case_is_drawn_from_all_in_the_states_asked_for(store):
    names = [f"case_{number}" for number in range(8)]
    store.register({name: f"{name}.nrrd" for name in (*names, "done", "all_readers")})
    _put_in_state(store, names[3], CaseState.RETURNED)
    _put_in_state(store, "done", CaseState.SUBMITTED)
    with store.writing() as writing, writing.change(SAM) as change:
        change.set_consensus("all_readers", True)
    states = (CaseState.NEW, CaseState.RETURNED)
    assert {store.random_case(states) for _ in range(150)} == set(names)
    assert store.random_case((CaseState.SUBMITTED,)) == "done"
    assert store.random_case(states, is_consensus=True) == "all_readers"
    both = {store.random_case((CaseState.NEW,), is_consensus=None) for _ in range(150)}
    assert both == {*names, "all_readers"} - {names[3]}
    assert store.random_case((CaseState.APPROVED,)) is None
    assert store.random_case(()) is None


def test_every_one_of_many_cases_is_drawn_now_and_then(sqlite_store):
    names = {f"case_{number}" for number in range(30)}
    sqlite_store.register({name: f"{name}.nrrd" for name in names})
    assert {sqlite_store.random_case((CaseState.NEW,)) for _ in range(1500)} == names


def test_what_is_missing_is_named(store):
    for ask in (store.case, store.facts, store.versions, store.notes):
        with pytest.raises(NotFoundError, match="'missing'"):
            ask("missing")
    with pytest.raises(NotFoundError, match="a: there is no version 4"):
        store.version("a", 4)


def test_a_damaged_file_is_never_served(store):
    version = add(store)
    path = store.path_of(version.file)
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    for ask in (store.path_of, store.objects.read):
        with pytest.raises(StoreError, match="damaged"):
            ask(version.file)
    path.unlink()
    for ask in (store.path_of, store.objects.read):
        with pytest.raises(StoreError, match="cannot be read"):
            ask(version.file)


def test_no_file_outside_the_store_can_be_asked_for(store, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    for invented in (StoredFile("../../secret", 6, ""), StoredFile("0" * 64, 6, "/../../secret")):
        with pytest.raises(UsageError):
            store.path_of(invented)


def test_hand_overs_wait_until_their_agreement_is_kept(store):
    add(store, tag="original", content=b"draft 1")
    add(store, tag="original", content=b"draft 2")
    add(store, content=b"from draft 1", parent=1)
    newest = add(store, content=b"from the newest draft")
    add(store, "b", content=b"without a draft")
    corrected = add(store, tag="version_1", content=b"corrected", parent=newest.number, reader=SAM)
    approve(store, corrected)
    approve(store, corrected)
    expected = [
        HandOver("a", 1, 3, "draft_to_initial"),
        HandOver("a", 2, 4, "draft_to_initial"),
        HandOver("a", 4, 5, "initial_to_approved"),
    ]
    assert store.handovers_without_agreement() == expected
    assert store.handovers_without_agreement(1) == expected[:1]
    rows = [{"structure": "skin", "dsc": 0.9, "hd95_mm": None}]
    store.keep_agreement(expected[2], rows)
    store.keep_agreement(expected[0], [])
    assert store.handovers_without_agreement() == expected[1:2]
    page = store.agreements()
    assert [(kept.hand_over, kept.rows) for kept in page.items] == [
        (expected[0], []),
        (expected[2], rows),
    ]
    assert (page.total, store.agreements("b").total) == (2, 0)
    assert [kept.hand_over for kept in store.agreements("a", 1, 5).items] == expected[2:]
    with pytest.raises(NotFoundError, match="no hand-over"):
        store.keep_agreement(HandOver("a", 1, 5, "draft_to_initial"), [])


def test_the_journal_is_read_in_parts(store):
    for number in range(5):
        add(store, "ab"[number % 2], content=b"%d" % number)
    assert (store.journal_length(), store.journal_length("b")) == (6, 2)
    assert [entry.sequence for entry in store.journal(limit=2)] == [1, 2]
    assert [entry.sequence for entry in store.journal(after=2, limit=3)] == [3, 4, 5][:3]
    assert [entry.sequence for entry in store.journal(offset=4)] == [5, 6]
    assert [entry.sequence for entry in store.journal(case="b")] == [3, 5]
    assert [entry.sequence for entry in store.journal(case="b", offset=1)] == [5]
