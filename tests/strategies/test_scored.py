from datetime import datetime, timezone

import pytest
from tests.review.studies import write_head

from parotid_brachy.lib.active_learning.score_folder import CaseScore
from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.strategies.scored import scored_strategies


@pytest.fixture
def studies(tmp_path):
    for case in ("case_a", "case_b"):
        write_head(tmp_path, case)
    studies = Studies(tmp_path)
    yield studies
    studies.store.close()


def test_each_order_is_offered_to_clients_with_a_description():
    strategies = scored_strategies(lambda method: None)
    assert list(strategies) == [
        "largest_expected_edit",
        "most_different",
        "least_certain_submission",
    ]
    assert all(one.info()["description"] for one in strategies.values())


def test_what_scoring_kept_decides(studies):
    at = datetime(2026, 11, 1, tzinfo=timezone.utc)
    score = CaseScore("case_b", "m", None, at, {"expected_edit_ml": 3.0})
    studies.scores.keep("expected_edit", score)
    answer = scored_strategies(lambda method: None)["largest_expected_edit"]({}, studies)
    assert answer == {"id": "case_b", "reason": "3.0 ml are expected to change"}


def test_nothing_is_offered_where_nobody_waits(studies):
    assert scored_strategies(lambda method: None)["least_certain_submission"]({}, studies) is None


def test_scores_of_models_that_serve_no_more_are_told(studies):
    at = datetime(2026, 11, 1, tzinfo=timezone.utc)
    for case, made_by, ml in (("case_a", "new", 1.0), ("case_b", "old", 3.0)):
        studies.scores.keep(
            "expected_edit", CaseScore(case, made_by, None, at, {"expected_edit_ml": ml})
        )
    asked = []
    strategy = scored_strategies(lambda method: asked.append(method) or "new")
    assert strategy["largest_expected_edit"]({}, studies)["id"] == "case_a"
    assert asked == ["expected_edit"]
    strategy = scored_strategies(lambda method: "newer")
    assert strategy["largest_expected_edit"]({}, studies) == {
        "id": "case_b",
        "reason": "3.0 ml are expected to change, by models that serve no more",
    }
