"""Which model versions a command's options choose, and their loading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.errors import NotFoundError, UsageError
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.segmentation.backends import best_backend, best_device
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.presets import TWO_STEP_PRESET_NAMES, Step
from parotid_brachy.lib.segmentation.registry import ModelVersion, Registry
from parotid_brachy.lib.segmentation.two_step import GlandOnly, OneStep, TwoStep, TwoStepOptions

_TWO_STEPS: Final = (Step.GLAND, Step.ORGANS_AT_RISK)


def load_labeller(root: Path, *, preset: str | None, models: Sequence[str]) -> TwoStep | OneStep:
    """Loads the models that the options choose.

    Args:
        root: of the registry.
        preset: newest versions of this preset; None takes the champions.
        models: versions, ``NAME`` or ``STEP=NAME``; a step without one takes its champion.

    Raises:
        UsageError: an unknown step or preset, or one model for one step and another beside it.
        NotFoundError: no such version.
        ModelRefusedError: a version that must not be loaded.
    """
    registry = Registry(root)
    chosen = choose_versions(registry, preset=preset, models=models)
    device = best_device()
    loaded = {}
    for step, version in chosen.items():
        registry.verify(version)
        loaded[step] = Model(version, device, best_backend(device))
    if Step.ONE_STEP in loaded:
        return OneStep(loaded[Step.ONE_STEP])
    return TwoStep(loaded[Step.GLAND], loaded[Step.ORGANS_AT_RISK])


def load_gland_finder(root: Path) -> Callable[[Volume], NDArray[np.uint8]]:
    """Loads the champion gland model, to label both glands of a CT.

    Args:
        root: of the registry.

    Returns:
        CT in, label map on its grid out; a gland that is not found is not in it.

    Raises:
        NotFoundError: there is no gland model.
        ModelRefusedError: it must not be loaded.
    """
    registry = Registry(root)
    version = registry.champion(Step.GLAND)
    registry.verify(version)
    device = best_device()
    one_gland = GlandOnly(Model(version, device, best_backend(device)))

    def both_glands(volume: Volume) -> NDArray[np.uint8]:
        sides = [one_gland.run(volume, TwoStepOptions(side=side)).labels for side in Side]
        return np.maximum(*sides)

    return both_glands


def choose_versions(
    registry: Registry, *, preset: str | None, models: Sequence[str]
) -> dict[Step, ModelVersion]:
    """The versions that options choose: those of the two steps, or one of the one step.

    Raises:
        UsageError: an unknown step or preset, or a one-step model beside others.
        NotFoundError: no such version.
    """
    if preset is not None:
        if preset not in TWO_STEP_PRESET_NAMES:
            message = f"no preset '{preset}'; there are: {', '.join(TWO_STEP_PRESET_NAMES)}"
            raise UsageError(message)
        return {step: _newest(registry, step, preset) for step in _TWO_STEPS}
    chosen: dict[Step, ModelVersion] = {}
    for text in models:
        for version in _named(registry, text):
            if version.step in chosen:
                message = f"two versions for the {version.step.value} model; give one"
                raise UsageError(message)
            chosen[version.step] = version
    if Step.ONE_STEP in chosen:
        if len(chosen) > 1:
            message = "a one_step model works alone; give no other model beside it"
            raise UsageError(message)
        return chosen
    return {step: chosen.get(step) or registry.champion(step) for step in _TWO_STEPS}


def _newest(registry: Registry, step: Step, preset: str) -> ModelVersion:
    found = [v for v in registry.versions(step) if v.manifest.get("preset") == preset]
    if not found:
        message = f"no {step.value} model of preset '{preset}'; see parotid models list"
        raise NotFoundError(message)
    return found[-1]


def _named(registry: Registry, text: str) -> list[ModelVersion]:
    stated, sign, name = text.partition("=")
    if sign:
        if stated not in {step.value for step in Step}:
            message = (
                f"--model {text}: no step '{stated}'; there are: {', '.join(s.value for s in Step)}"
            )
            raise UsageError(message)
        return [registry.version(Step(stated), name)]
    found = [version for version in registry.versions() if version.name == text]
    two_steps = [version for version in found if version.step is not Step.ONE_STEP]
    if not found:
        message = f"no model version '{text}'; see parotid models list"
        raise NotFoundError(message)
    return two_steps or found
