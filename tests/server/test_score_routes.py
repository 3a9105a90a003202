from datetime import datetime, timezone

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.review.studies import ANNA, SENIOR, sent, write_head

from parotid_brachy.lib.active_learning.score_folder import CaseScore
from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.review.records import Level, ReviewStatus
from parotid_brachy.lib.review.reviewing import Review
from parotid_brachy.lib.server import label_routes, refusals, score_routes

AT = datetime(2026, 11, 1, tzinfo=timezone.utc)


class App:
    def __init__(self, studies):
        self._studies = studies

    def datastore(self):
        return self._studies


@pytest.fixture
def studies(tmp_path):
    for case in ("case_a", "case_b"):
        write_head(tmp_path, case)
    studies = Studies(tmp_path)
    yield studies
    studies.store.close()


@pytest.fixture
def api(studies, monkeypatch):
    monkeypatch.setattr(label_routes, "app_instance", lambda: App(studies))
    app = FastAPI()
    refusals.install(app)
    app.include_router(score_routes.router())
    return TestClient(app, raise_server_exceptions=False)


def keep(studies, case, method="expected_edit", **values):
    studies.scores.keep(method, CaseScore(case, "gland/a", None, AT, values))


def test_scores_come_by_case_with_what_they_were_made_by(api, studies):
    keep(studies, "case_a", expected_edit_ml=1.5)
    found = api.get("/review/scores/expected_edit").json()
    assert found["summary"] == {"expected_edit_ml": {"case_a": 1.5}, "no_gland_found": []}
    assert found["cases"] == [
        {
            "case": "case_a",
            "made_by": "gland/a",
            "version": None,
            "at": "2026-11-01T00:00:00Z",
            "is_outdated": False,
            "values": {"expected_edit_ml": 1.5},
        }
    ]


def test_a_case_that_went_or_became_a_consensus_case_is_not_shown(api, studies):
    keep(studies, "case_a", expected_edit_ml=1.5)
    keep(studies, "case_b", expected_edit_ml=2.5)
    keep(studies, "gone", expected_edit_ml=3.5)
    studies.workflow.set_consensus("case_b", SENIOR, is_consensus=True)
    found = api.get("/review/scores/expected_edit").json()
    assert [one["case"] for one in found["cases"]] == ["case_a"]
    assert found["summary"] == {"expected_edit_ml": {"case_a": 1.5}, "no_gland_found": []}


def test_what_was_told_of_other_contours_is_in_no_summary(api, studies):
    keep(studies, "case_a", expected_edit_ml=1.5)
    keep(studies, "case_b", expected_edit_ml=2.5)
    studies.workflow.save("case_b", sent(), ANNA)
    found = api.get("/review/scores/expected_edit").json()
    assert [one["is_outdated"] for one in found["cases"]] == [False, True]
    assert found["summary"]["expected_edit_ml"] == {"case_a": 1.5}


def test_quality_is_told_of_contours_that_are_approved_now(api, studies):
    for case in ("case_a", "case_b"):
        studies.workflow.save(case, sent(), ANNA)
        review = Review(ReviewStatus.APPROVED, Level.NONE, "")
        studies.workflow.review(case, "final", review, SENIOR)
        skin = {"status": "scored", "dsc": 0.5, "hd95_mm": 1.0, "surface_dsc_1mm": 0.5}
        score = CaseScore(case, "gland/a", 1, AT, {"structures": {"skin": skin}})
        studies.scores.keep("model_quality", score)
    studies.workflow.reopen("case_b", "look again", SENIOR)
    found = api.get("/review/scores/model_quality").json()
    assert [one["is_outdated"] for one in found["cases"]] == [False, True]
    (row,) = [one for one in found["summary"]["quality"] if one["structure"] == "skin"]
    assert row["cases"] == 1


def test_vectors_stay_in_the_server(api, studies):
    keep(studies, "case_a", "appearance", vector=[1.0, 2.0])
    found = api.get("/review/scores/appearance").json()
    assert found["cases"][0]["values"] == {}
    assert found["summary"] == {"described": {"gland/a": 1}}


def test_an_unknown_method_is_not_found(api):
    answer = api.get("/review/scores/dice")
    assert answer.status_code == 404
    assert "model_quality" in answer.text
