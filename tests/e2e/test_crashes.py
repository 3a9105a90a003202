"""A short run of the crash measurement: killed servers lose nothing that they acknowledged."""

import pytest
from scripts.measure.crash import MUST_BE_NONE
from scripts.measure.crash_run import CrashPlan, run_crashes

pytestmark = pytest.mark.e2e

# Two kills, and each start takes seconds; clients save all the time.
SHORT = CrashPlan(minutes=0.1, kills=2, clients=4, cases=4, size=24)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request):
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else None


def test_what_was_acknowledged_outlasts_kills(database, tmp_path):
    found = run_crashes(SHORT, tmp_path / "run", database)
    assert found["kills"] == SHORT.kills
    assert found["acknowledged_saves"] > 0
    assert {key: found[key] for key in MUST_BE_NONE if found[key]} == {}, found["faults_in_words"]
