import pytest

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.retraining.job import Beginning, Task, TrainingChoice
from parotid_brachy.lib.trainers.options import parse_choice, shown_options


def parsed(**request):
    return parse_choice(Task.TWO_STEP, request, default_preset="compact")


def test_what_is_shown_can_be_sent_back_as_it_is():
    """3D Slicer sends every option, with the whole list where nobody has chosen from it."""
    for task in Task:
        shown = shown_options(task, "compact")
        choice = parse_choice(task, {**shown, "model": task.value}, default_preset="compact")
        assert choice == TrainingChoice(
            task, "compact", epochs=40, iterations=50, virtual_surgery=True, field_of_view=True
        )


def test_the_preset_that_serves_is_offered_first():
    assert shown_options(Task.TWO_STEP, "paper")["preset"] == ["paper", "compact"]
    assert shown_options(Task.TWO_STEP, "paper")["max_epochs"] == 1000


def test_nothing_chosen_is_the_presets_defaults():
    assert parsed() == TrainingChoice(Task.TWO_STEP)


def test_options_come_as_text_too():
    assert parsed(
        preset="paper", max_epochs="3", iterations=4.0, pretrained="false", field_of_view="true"
    ) == TrainingChoice(
        Task.TWO_STEP,
        "paper",
        epochs=3,
        iterations=4,
        beginning=Beginning.SCRATCH,
        field_of_view=True,
    )


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"epochs": 3}, "no option 'epochs' of a training; there are: preset, pretrained"),
        ({"max_epochs": "many"}, "max_epochs: 'many' is not a whole number"),
        ({"max_epochs": True}, "max_epochs: 'True' is not a whole number"),
        ({"max_epochs": 1.5}, "'1.5' is not a whole number"),
        ({"max_epochs": float("nan")}, "'nan' is not a whole number"),
        ({"max_epochs": float("inf")}, "'inf' is not a whole number"),
        ({"max_epochs": [1]}, "is not a whole number"),
        ({"max_epochs": 0}, "0 epochs"),
        ({"pretrained": "maybe"}, "pretrained: 'maybe' is not true or false"),
        ({"preset": "unet3d"}, "preset: 'unet3d' is not one of paper, compact"),
        ({"preset": [["compact"]]}, "is not one of"),
        ({"train_ds": "/etc/passwd"}, "no option 'train_ds'"),
    ],
)
def test_nonsense_is_refused_with_what_there_is(request_, words):
    with pytest.raises(UsageError, match=words):
        parsed(**request_)
