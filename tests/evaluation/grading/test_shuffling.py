import itertools

import pytest

from parotid_brachy.lib.evaluation.grading.shuffling import grading_order

ITEMS = {f"case {c}": [f"{c}-{m}" for m in range(4)] for c in range(10)}
SECRET = b"\1" * 32


def case_of(item):
    return item.partition("-")[0]


def test_every_item_comes_once_and_the_order_is_reproducible():
    order = grading_order(ITEMS, secret=SECRET, grader="a")
    assert sorted(order) == sorted(item for own in ITEMS.values() for item in own)
    assert order == grading_order(ITEMS, secret=SECRET, grader="a")


def test_graders_and_secrets_have_orders_of_their_own():
    orders = {
        grading_order(ITEMS, secret=secret, grader=grader)
        for secret in (SECRET, b"\2" * 32)
        for grader in ("a", "b")
    }
    assert len(orders) == 4


@pytest.mark.parametrize("cases", [2, 3, 10])
def test_no_case_follows_itself(cases):
    few = {case: ITEMS[case] for case in list(ITEMS)[:cases]}
    for number in range(50):
        order = grading_order(few, secret=number.to_bytes(32, "big"), grader="a")
        assert all(case_of(one) != case_of(other) for one, other in itertools.pairwise(order))


def test_methods_come_in_every_place():
    first = {grading_order(ITEMS, secret=bytes([n]) * 32, grader="a")[0][-1] for n in range(60)}
    assert first == set("0123")


def test_one_case_and_none_have_orders_too():
    assert sorted(grading_order({"a": ["x", "y"]}, secret=SECRET, grader="a")) == ["x", "y"]
    assert grading_order({}, secret=SECRET, grader="a") == ()
