import pytest
from tests.review.studies import ANNA, sent, write_head

from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.strategies.ordered import ordered_strategies


@pytest.fixture
def studies(tmp_path):
    for case in ("case_a", "case_b"):
        write_head(tmp_path, case)
    studies = Studies(tmp_path)
    yield studies
    studies.store.close()


def test_each_order_is_offered_to_clients_with_a_description():
    strategies = ordered_strategies()
    assert list(strategies) == ["first", "smallest_gland", "oldest_submission"]
    assert all(one.info()["description"] for one in strategies.values())


def test_the_next_case_comes_with_the_reason(studies):
    strategies = ordered_strategies()
    assert strategies["first"]({}, studies) == {"id": "case_a", "reason": "by its id"}
    studies.workflow.save("case_a", sent(), ANNA)
    assert strategies["first"]({}, studies)["id"] == "case_b"
    answer = strategies["oldest_submission"]({}, studies)
    assert answer["id"] == "case_a"
    assert answer["reason"].startswith("submitted 20")


def test_nothing_is_offered_where_nobody_waits(studies):
    assert ordered_strategies()["oldest_submission"]({}, studies) is None
