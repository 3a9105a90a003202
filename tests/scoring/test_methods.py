import threading

import pytest
from tests.review.studies import ANNA, GRID, SENIOR, label_map, sent, write_head
from tests.segmentation.versions import untrained_registry

from parotid_brachy.lib.active_learning.scorers import APPEARANCE, EXPECTED_EDIT, MODEL_QUALITY
from parotid_brachy.lib.anatomy import GLAND, STRUCTURES
from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.errors import NotFoundError, UsageError
from parotid_brachy.lib.infers.catalogue import warm_models
from parotid_brachy.lib.review.intake import intake_of
from parotid_brachy.lib.review.records import Level, ReviewStatus
from parotid_brachy.lib.review.reviewing import Review
from parotid_brachy.lib.scoring.methods import AGREEMENT, scoring_methods
from parotid_brachy.lib.scoring.serving import ServingModels
from parotid_brachy.lib.segmentation.registry import Registry

CASES = ("case_a", "case_b", "case_c")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrained") / "model"
    untrained_registry(folder)
    return folder


@pytest.fixture
def studies(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    for case in CASES:
        write_head(folder, case)
    studies = Studies(folder)
    yield studies
    studies.store.close()


@pytest.fixture
def methods(models):
    return scoring_methods(ServingModels(warm_models(models)), threading.Lock())


def draft(studies, case):
    drafted = intake_of(label_map(GLAND.value, at=5), GRID, STRUCTURES, case=case)
    studies.workflow.keep_draft(case, drafted, ANNA, info={})


def approve(studies, case):
    studies.workflow.save(case, sent(), ANNA)
    review = Review(ReviewStatus.APPROVED, Level.NONE, "")
    studies.workflow.review(case, "final", review, SENIOR)


def told_of(found):
    """Cases in a result; whether untrained models find a gland in one is chance."""
    return sorted([*found["expected_edit_ml"], *found["no_gland_found"]])


def test_clients_are_told_what_each_method_is_for(methods):
    assert list(methods) == [AGREEMENT, EXPECTED_EDIT, APPEARANCE, MODEL_QUALITY]
    assert all(one.info()["description"] for one in methods.values())


def test_the_serving_models_score_what_waits(methods, studies, models):
    approve(studies, "case_a")
    found = methods[EXPECTED_EDIT]({"method": EXPECTED_EDIT}, studies)
    assert (found["scored"], found["refused"]) == (2, {})
    assert told_of(found) == ["case_b", "case_c"]
    champion = Registry(models).versions()[0]
    assert champion.name in found["models"]
    assert methods[EXPECTED_EDIT]({}, studies)["current"] == 2


def test_a_consensus_case_is_in_no_result(methods, studies):
    methods[EXPECTED_EDIT]({}, studies)
    studies.workflow.set_consensus("case_b", SENIOR, is_consensus=True)
    (studies.folder / "case_c.nii.gz").unlink()
    found = methods[EXPECTED_EDIT]({}, studies)
    assert (found["current"], told_of(found)) == (1, ["case_a"])


def test_what_serves_is_known_by_the_same_names_that_scores_are_made_by(models, tmp_path):
    serving = ServingModels(warm_models(models))
    for scorer in (serving.expected_edit(), serving.appearance(), serving.model_quality()):
        assert serving.made_by(scorer.method) == scorer.made_by
    assert ServingModels(warm_models(tmp_path / "none")).made_by(APPEARANCE) is None


def test_cases_are_described_whatever_their_state(methods, studies):
    for case in CASES:
        draft(studies, case)
    approve(studies, "case_a")
    found = methods[APPEARANCE]({}, studies)
    assert (found["scored"], found["refused"]) == (3, {})
    vectors = [one.values["vector"] for one in studies.scores.all_of(APPEARANCE).values()]
    assert len({len(vector) for vector in vectors}) == 1
    assert list(found["described"].values()) == [3]


def test_models_are_judged_on_approved_cases_that_they_never_saw(methods, studies, monkeypatch):
    approve(studies, "case_a")
    approve(studies, "case_b")
    monkeypatch.setattr(
        "parotid_brachy.lib.scoring.serving.seen_cases", lambda _: frozenset({"case_b", "else"})
    )
    found = methods[MODEL_QUALITY]({}, studies)
    assert (found["scored"], found["trained_on"]) == (1, ["case_b"])
    row = next(one for one in found["quality"] if one["structure"] == "parotid_gland")
    assert row["cases"] == 1
    assert 0 <= row["dsc_mean"] <= 1


def test_open_hand_overs_are_compared(methods, studies):
    draft(studies, "case_a")
    approve(studies, "case_a")
    found = methods[AGREEMENT]({}, studies)
    assert (found["scored"], found["refused"]) == (2, [])
    kinds = {one["kind"] for one in found["hand_overs"]["times"]}
    assert kinds == {"draft_to_initial", "initial_to_approved"}
    assert methods[AGREEMENT]({}, studies)["scored"] == 0


def test_hand_overs_that_cannot_be_compared_keep_no_others_waiting(methods, studies, monkeypatch):
    monkeypatch.setattr("parotid_brachy.lib.review.hand_over_agreement._AT_A_TIME", 1)
    for case in CASES:
        draft(studies, case)
        studies.workflow.save(case, sent(), ANNA)
    for case in ("case_a", "case_b"):
        (studies.folder / f"{case}.nii.gz").write_bytes(b"junk")
    found = methods[AGREEMENT]({}, studies)
    assert (found["scored"], found["refused"]) == (1, ["case_a", "case_b"])


def test_without_models_it_says_so(studies, tmp_path):
    methods = scoring_methods(ServingModels(warm_models(tmp_path / "none")), threading.Lock())
    with pytest.raises(NotFoundError, match="promoted"):
        methods[EXPECTED_EDIT]({}, studies)


@pytest.mark.parametrize("again", ["yes", 1, None])
def test_a_wish_that_makes_no_sense_is_refused_before_any_work(methods, studies, again):
    with pytest.raises(UsageError, match="again"):
        methods[EXPECTED_EDIT]({"again": again}, studies)
