import time

from parotid_brachy.lib.strategies.random import RandomStrategy


class Cases:
    """A datastore of unlabelled cases, with when each was last offered."""

    def __init__(self, **offered):
        self._offered = offered

    def get_unlabeled_images(self):
        return list(self._offered)

    def get_image_info(self, case):
        ts = self._offered[case]
        return {"strategy": {"random": {"ts": ts}}} if ts else {}


REQUEST = {"strategy": "random"}


def test_cases_that_were_all_offered_just_now_are_offered_again():
    now = int(time.time()) + 60
    assert RandomStrategy()(REQUEST, Cases(a=now, b=now))["id"] in {"a", "b"}


def test_a_case_never_offered_comes_before_one_just_offered():
    cases = Cases(fresh=int(time.time()), new=0)
    assert {RandomStrategy()(REQUEST, cases)["id"] for _ in range(20)} == {"new"}


def test_nothing_is_offered_when_all_is_labelled():
    assert RandomStrategy()(REQUEST, Cases()) is None
