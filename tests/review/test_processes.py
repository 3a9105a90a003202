"""Several processes on one store, and processes that are killed in the middle of anything."""

import random
import time

from tests.review.saves import durable_names, row_names
from tests.review.saving_process import CASES, start_saving, told_saves

from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.verification import verify


def _require_whole(folder, database_url, told):
    """Nothing that somebody was told to be kept is missing, and nothing is damaged or left over."""
    store = VersionStore.open(folder, database_url=database_url)
    try:
        assert verify(store).faults == ()
        assert durable_names(store) == row_names(store)
        kept = {case: {v.number: v.file for v in store.versions(case)} for case in CASES}
        for numbers in kept.values():
            assert sorted(numbers) == list(range(1, len(numbers) + 1))
        for case, number, sha256 in told_saves(told):
            assert kept[case][number].sha256 == sha256
        for case, files in kept.items():
            if files:
                published = folder.parent / "labels" / "final" / f"{case}.seg.nrrd"
                assert published.read_bytes() == store.objects.read(files[max(files)])
        # A very first start that is killed may leave its mark half written, which nobody reads.
        left = [p for p in folder.parent.rglob("*.tmp") if not p.name.startswith(".store.id.")]
        assert left == []
        return sum(len(files) for files in kept.values())
    finally:
        store.close()


def test_two_processes_save_into_one_new_store_at_once(folder, database_url, tmp_path):
    told = tmp_path / "told"
    processes = [
        start_saving(folder, database_url, name, told=told, saves=15) for name in ("one", "two")
    ]
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert len(told_saves(told)) == 60
    assert _require_whole(folder, database_url, told) == 60


def test_saves_outlast_kills_at_any_moment(folder, database_url, tmp_path):
    told = tmp_path / "told"
    until = time.monotonic() + 5
    killed = 0
    while time.monotonic() < until or killed < 6:
        processes = [
            start_saving(folder, database_url, f"{name}{killed}", told=told)
            for name in ("one", "two")
        ]
        for process in processes:
            time.sleep(random.uniform(0.0, 0.8))
            process.kill()
            killed += 1
        for process in processes:
            process.join(30)
    assert told_saves(told), "killed before anything was saved: the test shows nothing"
    kept = _require_whole(folder, database_url, told)
    # What was committed in the moment of a kill is kept too, though nobody was told any more.
    assert 0 <= kept - len(told_saves(told)) <= 2 * killed
