"""A short run of the measurement: a training keeps nobody from drafting."""

import pytest
from scripts.measure.inference_while_training import InferencePlan, measure, table
from tests.segmentation.versions import untrained_registry

pytestmark = [pytest.mark.e2e, pytest.mark.long]

SHORT = InferencePlan(count=3, task="parotid_gland", spacing_mm=(4.0, 4.0, 4.0), iterations=1)


def test_no_inference_fails_while_a_training_runs(tmp_path):
    untrained_registry(tmp_path / "models")
    found = measure(SHORT, tmp_path / "models", tmp_path / "run")
    assert found["failures_in_words"] == []
    assert [found[when]["n"] for when in ("no training", "during a training")] == [3, 3]
    assert "ratio" in table(found)
