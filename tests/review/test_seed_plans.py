import pytest
from tests.review.saves import ANN, SAM, tamper

from parotid_brachy.lib.errors import NotFoundError, StoreError
from parotid_brachy.lib.review.objects import described
from parotid_brachy.lib.review.recovery import recover
from parotid_brachy.lib.review.seed_plans import NewSeedPlan
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.verification import verify


def give(store, case="a", content=b"seeds", *, reader=SAM):
    with store.writing() as writing:
        file = writing.put(content, ".csv")
        with writing.change(reader) as change:
            return change.add_seed_plan(case, NewSeedPlan(file, ".dcm", "0" * 64, "6711", 12))


def test_plans_are_numbered_and_none_is_ever_lost(store, folder, database_url):
    first, second = give(store), give(store, content=b"other seeds", reader=ANN)
    assert (first.number, second.number, second.author) == (1, 2, "Ann")
    assert store.seed_plans("a") == [first, second]
    assert store.seed_plans("b") == []
    again = VersionStore.open(folder, database_url=database_url)
    assert again.seed_plan("a", 1) == first
    assert again.objects.read(first.plan.file) == b"seeds"
    assert verify(again).faults == ()
    again.close()


def test_the_same_plan_given_twice_is_two_entries_of_one_file(store):
    give(store)
    give(store)
    assert [one.plan.file.sha256 for one in store.seed_plans("a")] == [
        described(b"seeds", ".csv").sha256
    ] * 2
    assert recover(store.database, store.objects, store.folder / "aside").orphans == ()
    assert verify(store).faults == ()


def test_the_journal_tells_who_gave_which_plan(store):
    given = give(store)
    (entry,) = store.journal(case="a")
    assert (entry.actor, entry.action) == ("Sam", "set_seed_plan")
    assert entry.details == {
        "seed_plan": 1,
        "sha256": given.plan.file.sha256,
        "received_as": ".dcm",
        "received_sha256": "0" * 64,
        "model": "6711",
        "seeds": 12,
    }


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE seed_plans SET seeds = 13", "a: seed plan 1 is not the one that the journal"),
        ("UPDATE seed_plans SET author = 'Ann'", "a: seed plan 1 is not the one"),
        ("DELETE FROM seed_plans WHERE number = 2", "a: seed plan 2 is missing"),
    ],
)
def test_plans_that_were_changed_behind_the_stores_back_are_found(
    store, database_url, statement, told
):
    give(store)
    give(store, content=b"other")
    tamper(store, database_url, statement)
    assert any(fault.startswith(told) for fault in verify(store).faults)


def test_a_damaged_entry_is_told_and_breaks_nothing_else(store, database_url):
    give(store)
    tamper(store, database_url, "UPDATE journal SET details = '['")
    faults = verify(store).faults
    assert any("seed plan 1 is not the one" in fault for fault in faults)
    assert any("entry 1 was changed" in fault for fault in faults)


def test_no_case_no_plan_and_no_file_are_refused(store):
    with pytest.raises(NotFoundError, match="nowhere"):
        store.seed_plans("nowhere")
    with pytest.raises(NotFoundError, match="a: there is no seed plan 1"):
        store.seed_plan("a", 1)
    with pytest.raises(NotFoundError, match="nowhere"):
        give(store, "nowhere")
    plan = NewSeedPlan(described(b"never put", ".csv"), ".csv", "0" * 64, "6711", 1)
    with (
        pytest.raises(StoreError, match="durable"),
        store.writing() as writing,
        writing.change(SAM) as change,
    ):
        change.add_seed_plan("a", plan)
    assert store.seed_plans("a") == []
    assert store.journal(case="a") == []
