import logging
import threading

import pytest

from parotid_brachy.lib.errors import StoreError
from parotid_brachy.lib.server.periodic_worker import PeriodicWorker


class Worker(PeriodicWorker):
    def __init__(self, *faults):
        super().__init__("counting", 0.001)
        self.faults = list(faults)
        self.looks = 0
        self.has_looked_often = threading.Event()

    def _look(self):
        self.looks += 1
        if self.looks > 5:
            self.has_looked_often.set()
        if self.faults:
            raise self.faults.pop(0)


@pytest.mark.parametrize(
    "fault",
    [StoreError("the disk has gone"), OSError(28, "no space"), KeyError("a fault of ours")],
    ids=["refusal", "system", "fault"],
)
def test_no_fault_of_one_look_ends_the_work(fault, caplog):
    worker = Worker(fault)
    worker.start()
    assert worker.has_looked_often.wait(30)
    worker.stop()
    assert "counting" in caplog.text


def test_a_refusal_is_told_in_one_line_and_a_fault_of_ours_with_its_traceback(caplog):
    worker = Worker(StoreError("the disk has gone"), KeyError("ours"))
    worker.look()
    worker.look()
    told, failed = caplog.records
    assert (told.levelno, told.exc_info) == (logging.WARNING, None)
    assert failed.exc_info is not None


def test_a_worker_that_was_stopped_has_ended():
    worker = Worker()
    worker.start()
    assert worker.has_looked_often.wait(30)
    worker.stop()
    assert not worker._thread.is_alive()
