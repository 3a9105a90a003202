import logging

import pytest

from parotid_brachy.lib.errors import TrainingError
from parotid_brachy.lib.segmentation.steps_left_out import MOST_IN_A_ROW, StepsLeftOut


def test_a_few_are_told_in_the_log(caplog):
    steps = StepsLeftOut(scaled=False)
    for taken in (True, False, True, False):
        steps.count(taken=taken)
    with caplog.at_level(logging.WARNING):
        steps.end_epoch(4)
    assert "2 of 4 steps left out" in caplog.text
    caplog.clear()
    steps.count(taken=True)
    steps.end_epoch(1)
    assert caplog.text == ""


def test_an_epoch_without_any_step_is_refused():
    steps = StepsLeftOut(scaled=False)
    for _ in range(3):
        steps.count(taken=False)
    with pytest.raises(TrainingError, match="none of the epoch's 3 iterations"):
        steps.end_epoch(3)


def test_a_gradient_scaler_may_need_the_first_steps():
    steps = StepsLeftOut(scaled=True)
    for _ in range(2):
        steps.count(taken=False)
    steps.end_epoch(2)


@pytest.mark.parametrize("scaled", [True, False])
def test_too_many_in_a_row_are_refused_before_the_epoch_ends(scaled):
    steps = StepsLeftOut(scaled=scaled)
    steps.count(taken=False)
    steps.count(taken=True)  # begins anew
    for _ in range(MOST_IN_A_ROW - 1):
        steps.count(taken=False)
    with pytest.raises(TrainingError, match=f"in {MOST_IN_A_ROW} iterations in a row"):
        steps.count(taken=False)
