import os
import signal

import pytest

from parotid_brachy.lib.comparison.child import run_in_child
from parotid_brachy.lib.errors import InputRefusedError, TrainingError

MIB = 2**20


def takes_memory(mib, report):
    held = bytearray(mib * MIB)
    held[::4096] = b"x" * len(held[::4096])
    report(("held", len(held)))
    return os.getpid()


def refuses(report):
    del report
    message = "case a: refused"
    raise InputRefusedError(message)


class UnpicklableError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def fails(report):
    del report
    raise UnpicklableError("of", "ours")


def dies(report):
    report("begun")
    os.kill(os.getpid(), signal.SIGKILL)


def test_work_is_done_elsewhere_and_its_memory_is_told():
    told = []
    pid, small = run_in_child(takes_memory, 1, on_report=told.append)
    _, large = run_in_child(takes_memory, 401, on_report=told.append)
    assert pid != os.getpid()
    assert told == [("held", MIB), ("held", 401 * MIB)]
    assert large.resident_mib - small.resident_mib == pytest.approx(400, abs=60)


def test_a_refusal_comes_back_as_it_is():
    with pytest.raises(InputRefusedError, match="case a: refused"):
        run_in_child(refuses, on_report=lambda told: None)


def test_any_error_comes_back_with_its_text():
    with pytest.raises(TrainingError, match="UnpicklableError: of ours"):
        run_in_child(fails, on_report=lambda told: None)


def test_a_process_that_was_ended_is_named():
    told = []
    with pytest.raises(TrainingError, match="ended from outside"):
        run_in_child(dies, on_report=told.append)
    assert told == ["begun"]


def test_what_is_told_can_end_it(tmp_path):
    def stop(told):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_child(takes_memory, 1, on_report=stop)
