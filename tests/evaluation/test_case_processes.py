import os
from functools import partial

import pytest

from parotid_brachy.lib.evaluation.case_processes import each_in_processes


def _work(item, *, doomed=()):
    if item in doomed:
        os._exit(9)
    return f"done {item}"


def _lost(item):
    return f"lost {item}"


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_item_has_its_result(jobs):
    found = each_in_processes(_work, [1, 2, 3, 4], jobs=jobs, lost=_lost)
    assert sorted(found) == [f"done {one}" for one in (1, 2, 3, 4)]


def test_what_a_dead_process_had_is_told_as_lost():
    work = partial(_work, doomed=(2,))
    found = list(each_in_processes(work, [1, 2, 3], jobs=2, lost=_lost))
    assert len(found) == 3
    assert "lost 2" in found


def test_nothing_to_do_is_done_at_once():
    assert list(each_in_processes(_work, [], jobs=2, lost=_lost)) == []
