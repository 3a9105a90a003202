import pytest

from parotid_brachy.lib.case_dose.bounded_cache import BoundedCache


@pytest.fixture
def made():
    return []


@pytest.fixture
def ask(made):
    cache = BoundedCache(len, largest=10)

    def ask(key, size):
        def make():
            made.append(key)
            return "x" * size

        return cache.get(key, make)

    return ask


def test_what_was_made_is_not_made_again(ask, made):
    assert ask("a", 3) == ask("a", 3) == "xxx"
    assert made == ["a"]


def test_what_was_not_asked_for_longest_goes_first(ask, made):
    for key in ("a", "b", "a", "c", "a", "b"):
        ask(key, 4)
    assert made == ["a", "b", "c", "b"]


def test_what_is_too_large_is_made_each_time_and_drives_nothing_out(ask, made):
    ask("a", 4)
    ask("large", 11)
    ask("large", 11)
    ask("a", 4)
    assert made == ["a", "large", "large"]


def test_what_fails_is_tried_again(made):
    cache = BoundedCache(len, largest=10)

    def fail():
        made.append("try")
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            cache.get("a", fail)
    assert made == ["try", "try"]
