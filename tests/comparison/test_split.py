from dataclasses import replace
from pathlib import Path

import pytest

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.comparison.split import (
    SETTLED,
    Terms,
    hash_labels,
    settle,
    split_patients,
)
from parotid_brachy.lib.errors import ConflictError, UsageError
from parotid_brachy.lib.segmentation.training_cases import TrainingCase

TERMS = Terms(("a", "b"), ("c",), "compact", 3, None, 0, {"a/any": "00"})


def patients(count, sides=(Side.LEFT, Side.RIGHT)):
    return [
        TrainingCase(f"p{n:02}", side, Path(f"p{n}.nii.gz"), Path(f"p{n}.nii.gz"))
        for n in range(count)
        for side in sides
    ]


def test_both_sides_of_a_patient_stay_together():
    train, test = split_patients(patients(10), test=(), test_share=0.3, seed=1)
    assert len(test) == 3
    assert sorted((*train, *test)) == [f"p{n:02}" for n in range(10)]


def test_the_draw_follows_from_the_seed_alone():
    draws = {
        seed: split_patients(patients(20), test=(), test_share=0.3, seed=seed) for seed in (1, 2)
    }
    assert draws[1] != draws[2]
    again = split_patients(list(reversed(patients(20))), test=(), test_share=0.3, seed=1)
    assert again == draws[1]


def test_stated_test_cases_are_taken():
    train, test = split_patients(patients(3), test=("p01",), test_share=0.9, seed=0)
    assert (train, test) == (("p00", "p02"), ("p01",))


@pytest.mark.parametrize(
    ("count", "test", "share", "says"),
    [
        (3, ("p07",), 0.3, "test case p07"),
        (1, (), 0.3, "none is left to train"),
        (2, ("p00", "p01"), 0.3, "none is left to train"),
    ],
)
def test_a_split_that_cannot_be_is_refused(count, test, share, says):
    with pytest.raises(UsageError, match=says):
        split_patients(patients(count), test=test, test_share=share, seed=0)


def test_terms_that_are_the_same_are_taken_again(tmp_path):
    settle(TERMS, tmp_path / "new")
    settle(TERMS, tmp_path / "new")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"test": ("b",), "train": ("a", "c")}, "train, test"),
        ({"epochs": None}, "epochs"),
        ({"label_sha256": {"a/any": "01"}}, "label_sha256"),
    ],
)
def test_other_terms_are_refused_and_the_first_stay(tmp_path, change, names):
    settle(TERMS, tmp_path)
    before = (tmp_path / SETTLED).read_bytes()
    with pytest.raises(ConflictError, match=rf"\({names} differ\)"):
        settle(replace(TERMS, **change), tmp_path)
    assert (tmp_path / SETTLED).read_bytes() == before


@pytest.mark.parametrize("content", ["", "[]", "{", '{"train": 3}', "[" * 100_000])
def test_a_damaged_record_is_refused(tmp_path, content):
    (tmp_path / SETTLED).write_text(content)
    with pytest.raises(ConflictError, match="another output folder"):
        settle(TERMS, tmp_path)


def test_label_maps_are_known_by_their_content(tmp_path):
    case = TrainingCase("a", None, tmp_path / "i", tmp_path / "l")
    case.labels.write_bytes(b"one")
    first = hash_labels([case])
    case.labels.write_bytes(b"two")
    assert list(first) == ["a/any"]
    assert hash_labels([case]) != first
