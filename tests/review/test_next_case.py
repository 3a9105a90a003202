from dataclasses import replace

import pytest
from tests.review.studies import ANNA, BERT, GRID, SENIOR, label_map, open_desk, sent

from parotid_brachy.lib.anatomy import GLAND, SKIN, STRUCTURES
from parotid_brachy.lib.review.intake import intake_of
from parotid_brachy.lib.review.next_case import CaseOrder, next_case
from parotid_brachy.lib.review.records import Level, ReviewStatus
from parotid_brachy.lib.review.reviewing import Review

FLAGGED = Review(ReviewStatus.FLAGGED, Level.NONE, "again, please")
APPROVED = Review(ReviewStatus.APPROVED, Level.NONE, "")


@pytest.fixture
def desk(tmp_path):
    desk = open_desk(tmp_path / "studies", cases=("a", "b", "c", "d"))
    yield desk
    desk.store.close()


def draft(desk, case, *glands):
    drafted = intake_of(label_map(*glands, SKIN.value), GRID, STRUCTURES, case=case)
    desk.workflow.keep_draft(case, drafted, ANNA, info={})


def offered(desk, order):
    offer = next_case(desk.store.overview(), order)
    return None if offer is None else offer.case


def test_the_first_is_the_first_that_waits_for_reader_1(desk):
    assert offered(desk, CaseOrder.FIRST) == "a"
    desk.workflow.save("a", sent(), ANNA)
    assert offered(desk, CaseOrder.FIRST) == "b"


def test_a_returned_case_comes_before_new_ones(desk):
    desk.workflow.save("c", sent(), ANNA)
    desk.workflow.review("c", "final", FLAGGED, SENIOR)
    assert desk.state("c") == "returned"
    assert offered(desk, CaseOrder.FIRST) == "c"


def test_the_smallest_gland_of_the_drafts_comes_first(desk):
    draft(desk, "b", GLAND.value, GLAND.value, GLAND.value)
    draft(desk, "c", GLAND.value)
    draft(desk, "d", GLAND.value, GLAND.value)
    order = []
    while (case := offered(desk, CaseOrder.SMALLEST_GLAND)) is not None:
        order.append(case)
        desk.workflow.save(case, sent(), ANNA)
    assert order == ["c", "d", "b", "a"], "a has no draft"


def test_a_draft_without_a_gland_needs_a_person_most(desk):
    draft(desk, "b", GLAND.value)
    draft(desk, "d")
    offer = next_case(desk.store.overview(), CaseOrder.SMALLEST_GLAND)
    assert (offer.case, offer.reason) == ("d", "no gland in its draft")


def test_seniors_get_what_was_submitted_longest_ago(desk):
    assert offered(desk, CaseOrder.OLDEST_SUBMISSION) is None
    for case in ("d", "b", "c"):
        desk.workflow.save(case, sent(), BERT)
    order = []
    while (case := offered(desk, CaseOrder.OLDEST_SUBMISSION)) is not None:
        order.append(case)
        desk.workflow.review(case, "final", APPROVED, SENIOR)
    assert order == ["d", "b", "c"]


def test_a_reopened_case_waits_for_a_senior(desk):
    desk.workflow.save("c", sent(), BERT)
    desk.workflow.review("c", "final", APPROVED, SENIOR)
    desk.workflow.reopen("c", "the mastoid is cut off", SENIOR)
    assert offered(desk, CaseOrder.OLDEST_SUBMISSION) == "c"
    desk.workflow.review("c", "final", APPROVED, SENIOR)
    assert offered(desk, CaseOrder.OLDEST_SUBMISSION) is None


@pytest.mark.parametrize("order", CaseOrder, ids=lambda order: order.value)
def test_consensus_cases_are_never_offered(desk, order):
    desk.workflow.save("b", sent(), ANNA)
    hidden = [
        replace(one, case=replace(one.case, is_consensus=True)) for one in desk.store.overview()
    ]
    assert next_case(desk.store.overview(), order) is not None
    assert next_case(hidden, order) is None
