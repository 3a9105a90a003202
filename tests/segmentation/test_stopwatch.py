import time

import pytest

from parotid_brachy.lib.segmentation.stopwatch import Stopwatch


def test_seconds_of_a_stage_add_up_in_the_order_of_first_use(monkeypatch):
    clock = iter([10.0, 11.5, 20.0, 20.25, 30.0, 32.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    watch = Stopwatch()
    for stage in ("b", "a", "b"):
        with watch(stage):
            pass
    assert list(watch.seconds.items()) == [("b", 3.5), ("a", 0.25)]


def test_a_stage_that_fails_is_timed_too():
    watch = Stopwatch()
    with pytest.raises(ValueError, match="broken"), watch("network"):
        raise ValueError("broken")
    assert list(watch.seconds) == ["network"]
