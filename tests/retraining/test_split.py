import threading
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parotid_brachy.lib.retraining.split import (
    Newcomer,
    part_for_next,
    patient_of,
    placings,
    split_with,
)
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.splits import Part, Placed
from parotid_brachy.lib.review.store import VersionStore

ADAM = Reader("adam", Role.ADMIN)
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
TRAIN, VALIDATION, TEST = Part


def after(minutes):
    return START + timedelta(minutes=minutes)


def newcomers(*cases):
    """Cases that were approved one minute after the other."""
    return [Newcomer(case, case, after(n)) for n, case in enumerate(cases)]


@pytest.fixture
def store(tmp_path):
    store = VersionStore.open(tmp_path / ".parotid")
    store.register({f"c{n:03}": f"c{n:03}.nii.gz" for n in range(60)})
    yield store
    store.close()


def test_patients_fill_the_part_that_is_farthest_below_its_share():
    counts, order = Counter(), []
    for _ in range(10):
        part = part_for_next(counts)
        counts[part] += 1
        order.append(part)
    letters = "".join(part.value[:2] for part in order)
    assert letters == "trtrvatrtetrtrtrvatr"


def test_two_hundred_patients_are_split_as_the_protocol_split_them():
    counts = Counter()
    for _ in range(200):
        counts[part_for_next(counts)] += 1
    assert counts == {TRAIN: 140, VALIDATION: 30, TEST: 30}


def test_the_first_approved_comes_first_whatever_it_is_called(store):
    late, early = Newcomer("c000", "c000", after(9)), Newcomer("c007", "c007", after(1))
    third = Newcomer("c003", "c003", after(20))
    split = split_with(store, [late, third, early], ADAM)
    assert split.parts == {"c007": TRAIN, "c000": TRAIN, "c003": VALIDATION}
    assert [entry.case for entry in store.journal() if entry.action == "assign_patient"] == [
        "c007",
        "c000",
        "c003",
    ]


def test_every_placing_is_journalled_with_who_asked_for_it(store):
    split_with(store, newcomers("c000"), ADAM)
    entry = store.journal()[-1]
    assert (entry.actor, entry.action, entry.case) == ("adam", "assign_patient", "c000")
    assert entry.details == {"patient": "c000", "part": "train"}


def test_nobody_is_moved_by_those_who_come_later(store):
    first = split_with(store, newcomers("c000", "c001", "c002", "c003", "c004"), ADAM).parts
    later = split_with(store, newcomers(*(f"c{n:03}" for n in range(59, -1, -1))), ADAM).parts
    assert {case: later[case] for case in first} == first
    assert Counter(later.values()) == {TRAIN: 42, VALIDATION: 9, TEST: 9}


def test_who_is_not_approved_any_more_keeps_the_part(store):
    before = split_with(store, newcomers("c000", "c001", "c002"), ADAM).parts
    store.register({"c003": "c003.nii.gz"})
    assert split_with(store, [], ADAM).parts == before
    length = store.journal_length()
    assert split_with(store, newcomers("c002", "c001", "c000"), ADAM).parts == before
    assert store.journal_length() == length


def test_cases_of_one_patient_never_part(store):
    for case in ("c000", "c005", "c009"):
        store.keep_image_info(case, {"patient": "Erika"})
    cases = [
        Newcomer(case, patient_of(store.case(case)), after(n))
        for n, case in enumerate(("c000", "c001", "c002", "c003", "c005", "c004"))
    ]
    split = split_with(store, cases, ADAM)
    assert split.parts["c000"] is split.parts["c005"] is TRAIN
    assert split.parts["c004"] is TEST, "the patient with two cases counts once"
    late = [Newcomer("c009", "Erika", after(99))]
    assert split_with(store, late, ADAM).parts["c009"] is TRAIN


def test_a_patient_who_is_known_only_later_follows_the_case_that_was_placed(store):
    split_with(store, newcomers("c000", "c001", "c002"), ADAM)
    for case in ("c002", "c010"):
        store.keep_image_info(case, {"patient": "Erika"})
    split = split_with(store, [Newcomer("c010", "Erika", after(9))], ADAM)
    assert split.parts["c002"] is split.parts["c010"] is VALIDATION
    assert split.patients["c002"] == split.patients["c010"] == "Erika"


def test_a_patient_who_turns_out_to_be_in_two_parts_is_left_out_of_all(store):
    split_with(store, newcomers("c000", "c001", "c002"), ADAM)
    for case in ("c000", "c002", "c010"):
        store.keep_image_info(case, {"patient": "Erika"})
    split = split_with(store, [Newcomer("c010", "Erika", after(9))], ADAM)
    assert split.parts == {"c001": TRAIN}
    assert split.torn == {"c000", "c002", "c010"}
    assert set(store.placed()) == {"c000", "c001", "c002"}


def test_a_consensus_case_takes_no_part(store):
    with store.writing() as writing, writing.change(ADAM) as change:
        change.set_consensus("c000", True)
    assert split_with(store, newcomers("c000", "c001"), ADAM).parts == {"c001": TRAIN}


@pytest.mark.parametrize("noted", [None, 7, "", "  ", "a\nb", "x" * 201, ["Erika"]])
def test_what_is_no_name_of_a_patient_is_not_taken_for_one(store, noted):
    store.keep_image_info("c000", {"patient": noted})
    assert patient_of(store.case("c000")) == "c000"


def test_two_who_ask_at_once_place_everybody_once(store, tmp_path):
    other = VersionStore.open(tmp_path / ".parotid")
    cases = newcomers(*(f"c{n:03}" for n in range(40)))
    threads = [
        threading.Thread(target=split_with, args=(one, cases, ADAM)) for one in (store, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert Counter(one.part for one in store.placed().values()) == {
        TRAIN: 28,
        VALIDATION: 6,
        TEST: 6,
    }
    assert len(store.newest_entries(("assign_patient",), limit=100)) == 40


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=8), max_size=8)
)
def test_however_cases_come_no_patient_is_ever_in_two_parts(rounds):
    placed, patients = {}, {}
    for number, cases in enumerate(rounds):
        new = []
        for case, patient in cases:
            name = patients.setdefault(f"c{case}", f"p{patient}")
            new.append(Newcomer(f"c{case}", name, after(number)))
        for one in placings(new, placed, patients):
            assert one.case not in placed
            placed[one.case] = Placed(one.case, one.patient, one.part, after(number))
    parts = {}
    for one in placed.values():
        parts.setdefault(one.patient, set()).add(one.part)
    assert all(len(own) == 1 for own in parts.values())
    assert set(placed) == set(patients)
