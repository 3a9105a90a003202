from pathlib import Path

import pytest

from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.errors import TrainingError
from parotid_brachy.lib.segmentation import training
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.progress import Progress


@pytest.fixture
def asked(monkeypatch):
    """The plans that reach the core; a test sets what becomes of them."""
    calls = []

    def train(plan, *, resume, on_progress, on_case):
        calls.append((plan, resume))
        on_case(1, 2)
        on_case(2, 2)
        on_progress(Progress(1, 2, 0.5, 0.25, {"skin": 0.75}, 30.0, 120.0, 1e-3))
        if train.outcome is not None:
            raise train.outcome
        return plan.output / "version"

    train.outcome = None
    calls_of = type("Calls", (), {"calls": calls, "train": train})
    monkeypatch.setattr(training, "train", train)
    return calls_of


NEEDED = ("--images", "i", "--labels", "l", "--output", "o u t")


def test_the_version_is_printed_and_progress_goes_to_stderr(asked, capsys):
    assert main(["train", "--step", "gland", *NEEDED]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{Path('o u t') / 'version'}\n"
    assert "epoch 1/2, 2 min left, loss 0.500, DSC skin 0.75" in captured.err


def test_defaults_are_compacts_and_reproducible(asked):
    main(["train", "--step", "organs_at_risk", *NEEDED])
    ((plan, resume),) = asked.calls
    assert (plan.preset.name, plan.preset.step) == ("compact", Step.ORGANS_AT_RISK)
    assert (plan.epochs, plan.iterations, plan.processes, plan.seed) == (None, None, 0, 0)
    assert plan.start_from is None
    assert not resume


def test_every_option_reaches_the_plan(asked):
    options = (
        *("--preset", "paper", "--epochs", "3", "--iterations", "4", "--resume"),
        *("--hold-out", "a", "--hold-out", "b", "--start-from", "s", "--processes", "2"),
        *("--seed", "9", "--images", "j", "--labels", "m", "--repeat", "1", "--repeat", "3"),
        *("--validation-share", "0"),
    )
    assert main(["train", "--step", "gland", *NEEDED, *options, "--provenance", "a b"]) == 0
    ((plan, resume),) = asked.calls
    assert resume
    assert plan.preset.name == "paper"
    assert (plan.images, plan.labels) == ((Path("i"), Path("j")), (Path("l"), Path("m")))
    assert (plan.epochs, plan.iterations, plan.processes, plan.seed) == (3, 4, 2, 9)
    assert (plan.held_out, plan.start_from) == (("a", "b"), Path("s"))
    assert (plan.repeats, plan.validation_share) == ((1, 3), 0)
    assert plan.provenance == "a b"


@pytest.mark.parametrize("name", ["unet3d", "vnet"])
def test_the_protocols_comparisons_are_trained_as_the_one_step(asked, capsys, name):
    assert main(["train", "--step", "one_step", "--preset", name, *NEEDED]) == 0
    ((plan, _),) = asked.calls
    assert (plan.preset.name, plan.preset.step) == (name, Step.ONE_STEP)
    assert main(["train", "--step", "gland", "--preset", name, *NEEDED]) != 0
    assert f"no preset '{name}' for step gland" in capsys.readouterr().err
    assert len(asked.calls) == 1


@pytest.mark.parametrize(
    ("options", "surgery", "field_of_view"),
    [
        ((), True, True),
        (("--no-virtual-surgery",), False, True),
        (("--no-field-of-view",), True, False),
        (("--preset", "paper"), False, False),
        (("--preset", "paper", "--virtual-surgery"), True, False),
    ],
)
def test_surgery_and_field_of_view_are_switched(asked, options, surgery, field_of_view):
    main(["train", "--step", "gland", *NEEDED, *options])
    ((plan, _),) = asked.calls
    assert (plan.preset.virtual_surgery, plan.preset.field_of_view) == (surgery, field_of_view)


def test_stopping_says_how_to_go_on(asked, capsys):
    asked.train.outcome = KeyboardInterrupt()
    assert main(["train", "--step", "gland", *NEEDED]) == 1
    assert "go on with --resume (output: o u t)" in capsys.readouterr().err


def test_a_refusal_is_told_without_a_traceback(asked, capsys):
    asked.train.outcome = TrainingError("x: holds a training already")
    assert main(["train", "--step", "gland", *NEEDED]) == 1
    captured = capsys.readouterr()
    assert "parotid: x: holds a training already" in captured.err
    assert "Traceback" not in captured.err


def test_folders_that_are_missing_are_refused_by_name(tmp_path, capsys):
    folders = ("--images", str(tmp_path / "none"), "--labels", str(tmp_path))
    assert main(["train", "--step", "gland", *folders, "--output", str(tmp_path / "o")]) == 1
    assert f"{tmp_path / 'none'}: no such folder" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--step", "heart"), "invalid choice: 'heart'"),
        (("--step", "gland", "--preset", "huge"), "invalid choice: 'huge'"),
        (("--step", "gland", "--epochs", "0"), "0 is not a positive number"),
        (("--step", "gland", "--iterations", "-5"), "-5 is not a positive number"),
        (("--step", "gland", "--epochs", "many"), "invalid"),
        (("--step", "gland", "--seed", "-1"), "-1 is not in 0"),
        (("--step", "gland", "--processes", "-1"), "-1 is not in 0"),
        (("--step", "gland", "--repeat", "0"), "0 is not a positive number"),
        (("--step", "gland", "--validation-share", "1"), "1 is not in 0 ... 1"),
        (("--step", "gland", "--validation-share", "nan"), "nan is not in 0 ... 1"),
        ((), "--step"),
    ],
)
def test_a_wrong_call_is_told_and_nothing_is_trained(asked, capsys, arguments, message):
    assert main(["train", *arguments, *NEEDED]) == 2
    assert message in capsys.readouterr().err
    assert asked.calls == []
