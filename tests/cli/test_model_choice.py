import json
from pathlib import Path

import pytest

from parotid_brachy.lib.cli.model_choice import choose_versions
from parotid_brachy.lib.errors import NotFoundError, UsageError
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import Registry


@pytest.fixture
def registry(tmp_path) -> Registry:
    """Versions of all steps by manifest only: nothing is loaded here."""
    for step, name, preset, day in (
        (Step.GLAND, "one", "compact", 1),
        (Step.GLAND, "two", "compact", 2),
        (Step.GLAND, "big", "paper", 3),
        (Step.ORGANS_AT_RISK, "one", "compact", 1),
        (Step.ORGANS_AT_RISK, "big", "paper", 2),
        (Step.ONE_STEP, "whole", "compact", 1),
        (Step.ONE_STEP, "two", "compact", 1),
    ):
        folder = Path(tmp_path) / step.value / name
        folder.mkdir(parents=True)
        manifest = {"step": step.value, "preset": preset, "created": f"2026-01-0{day}"}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    for step in (Step.GLAND, Step.ORGANS_AT_RISK):
        (tmp_path / step.value / "champion.json").write_text('{"history": ["one"]}')
    return Registry(tmp_path)


def chosen(registry, preset=None, models=()) -> dict[str, str]:
    found = choose_versions(registry, preset=preset, models=models)
    return {step.value: version.name for step, version in found.items()}


def test_without_options_the_champions_serve(registry):
    assert chosen(registry) == {"gland": "one", "organs_at_risk": "one"}


def test_a_preset_takes_its_newest_versions(registry):
    assert chosen(registry, "paper") == {"gland": "big", "organs_at_risk": "big"}
    assert chosen(registry, "compact") == {"gland": "two", "organs_at_risk": "one"}


def test_a_version_takes_every_step_that_has_it(registry):
    assert chosen(registry, models=["big"]) == {"gland": "big", "organs_at_risk": "big"}
    assert chosen(registry, models=["two"]) == {"gland": "two", "organs_at_risk": "one"}
    assert chosen(registry, models=["whole"]) == {"one_step": "whole"}


def test_a_version_can_be_stated_for_a_step(registry):
    assert chosen(registry, models=["gland=two", "organs_at_risk=big"]) == {
        "gland": "two",
        "organs_at_risk": "big",
    }
    assert chosen(registry, models=["one_step=two"]) == {"one_step": "two"}


@pytest.mark.parametrize(
    ("preset", "models", "error"),
    [
        ("huge", (), UsageError),
        (None, ["three"], NotFoundError),
        (None, ["gland=three"], NotFoundError),
        (None, ["liver=one"], UsageError),
        (None, ["gland=one", "gland=two"], UsageError),
        (None, ["whole", "gland=two"], UsageError),
        (None, ["gland=../one"], NotFoundError),
    ],
)
def test_what_does_not_exist_or_fit_is_refused(registry, preset, models, error):
    with pytest.raises(error):
        chosen(registry, preset, models)
