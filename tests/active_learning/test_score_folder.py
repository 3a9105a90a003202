import json
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from parotid_brachy.lib.active_learning.score_folder import CaseScore, ScoreFolder
from parotid_brachy.lib.errors import StoreFullError

AT = datetime(2026, 11, 1, 12, 30, tzinfo=timezone.utc)
SCORE = CaseScore("Fall 1, ä", "gland/a", 3, AT, {"expected_edit_ml": 1.5})


@pytest.fixture
def scores(tmp_path):
    return ScoreFolder(tmp_path / "scores")


def damaged(scores, **changes):
    path = scores.folder / "expected_edit" / f"{SCORE.case}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_is_kept_is_found_again_as_it_was(scores):
    scores.keep("expected_edit", SCORE)
    assert scores.find("expected_edit", SCORE.case) == SCORE
    assert scores.all_of("expected_edit") == {SCORE.case: SCORE}


def test_what_it_was_found_out_from_is_kept_and_older_scores_do_not_say(scores):
    known = replace(SCORE, image="12 34", side="left")
    scores.keep("expected_edit", known)
    assert scores.find("expected_edit", SCORE.case) == known
    path = scores.folder / "expected_edit" / f"{SCORE.case}.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({key: told[key] for key in told if key not in {"image", "side"}}))
    assert scores.find("expected_edit", SCORE.case) == SCORE


def test_methods_and_cases_are_kept_apart(scores):
    scores.keep("expected_edit", SCORE)
    assert scores.find("appearance", SCORE.case) is None
    assert scores.find("expected_edit", "another") is None
    assert scores.all_of("appearance") == {}


def test_a_new_score_takes_the_place_of_the_old_one(scores):
    scores.keep("expected_edit", SCORE)
    newer = CaseScore(SCORE.case, "gland/b", None, AT, {})
    scores.keep("expected_edit", newer)
    assert scores.all_of("expected_edit") == {SCORE.case: newer}


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "another"},
        {"case": "another"},
        {"version": "3"},
        {"version": True},
        {"at": "yesterday"},
        {"at": "2026-11-01T12:30:00"},
        {"at": None},
        {"values": [1]},
    ],
    ids=str,
)
def test_a_damaged_score_counts_as_none(scores, changes):
    scores.keep("expected_edit", SCORE)
    damaged(scores, **changes)
    assert scores.find("expected_edit", SCORE.case) is None
    assert scores.all_of("expected_edit") == {}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 100_000, b" " * 1_048_577])
def test_whatever_lies_there_harms_nobody(scores, content):
    scores.keep("expected_edit", SCORE)
    (scores.folder / "expected_edit" / "broken.json").write_bytes(content)
    (scores.folder / "expected_edit" / ".half.json").write_bytes(content)
    (scores.folder / "expected_edit" / "folder.json").mkdir()
    assert list(scores.all_of("expected_edit")) == [SCORE.case]


def test_where_nothing_can_be_written_it_is_said(scores):
    scores.folder.write_text("no folder")
    with pytest.raises(StoreFullError, match="Fall 1"):
        scores.keep("expected_edit", SCORE)
