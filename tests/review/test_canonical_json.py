import pytest

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.review.canonical_json import canonical_json, json_object


def test_equal_values_are_spelt_alike():
    assert canonical_json({"b": 1, "a": [1.5, None, True]}) == '{"a":[1.5,null,true],"b":1}'
    assert canonical_json({"a": [1.5, None, True], "b": 1}) == canonical_json(
        {"b": 1, "a": (1.5, None, True)}
    )


def test_every_text_is_spelt_in_ascii():
    assert canonical_json("ä\0\ud800") == '"\\u00e4\\u0000\\ud800"'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"x", {1}, {1: 2, "a": 3}, object()])
def test_what_json_cannot_say_is_refused_by_name(value):
    with pytest.raises(UsageError, match="the thing: holds more than JSON"):
        canonical_json({"x": value}, what="the thing")


def test_an_object_is_a_copy_of_plain_values():
    inner = [1]
    copy = json_object({"x": inner, "y": (2,)}, what="it")
    inner.append(2)
    assert copy == {"x": [1], "y": [2]}
