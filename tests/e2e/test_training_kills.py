"""A short run of the kills' measurement: a training comes to its right end whoever is killed."""

import pytest
from scripts.measure.training_kills_run import KillPlan, run_kills

pytestmark = [pytest.mark.e2e, pytest.mark.long]

# The trainer, then the server; each start takes seconds.
SHORT = KillPlan(who="both", kills=2, ends=0, epochs=6, iterations=1, heads=4)


def test_a_training_goes_on_from_its_last_whole_epoch_and_ends_once(tmp_path):
    found = run_kills(SHORT, tmp_path / "run")
    assert found["faults_in_words"] == {}
    assert found["kills"] == 2
    assert found["inferences"] == 3
    assert found["whole_epochs_lost"] == 0
    assert all(len(row["journal"]) == 1 for row in found["decisions"])
