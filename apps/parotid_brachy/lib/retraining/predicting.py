"""How a model version labels a case that it is judged on, step by step."""

from __future__ import annotations

import gc
import time

import torch

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK, STRUCTURES, Structure
from parotid_brachy.lib.retraining.comparison import Contender
from parotid_brachy.lib.retraining.reference import Labels, ReferenceCase
from parotid_brachy.lib.segmentation.backends import best_backend, best_device
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import ModelVersion
from parotid_brachy.lib.segmentation.two_step import (
    GlandOnly,
    OneStep,
    OrgansOnly,
    TwoStepOptions,
)


def judged_structures(step: Step) -> tuple[Structure, ...]:
    """What a step's versions are compared on.

    The second step is given the reference's gland, so that it is judged on what it adds.
    """
    return {
        Step.GLAND: (GLAND,),
        Step.ORGANS_AT_RISK: ORGANS_AT_RISK,
        Step.ONE_STEP: STRUCTURES,
    }[step]


def contender(model: Model) -> Contender:
    """A loaded model as what is compared: on the side that the reference is of."""
    step = model.version.step

    def predict(case: ReferenceCase) -> tuple[Labels, float]:
        options = TwoStepOptions(side=case.side)
        start = time.perf_counter()
        if step is Step.ORGANS_AT_RISK:
            answer = OrgansOnly(model).run(case.volume, case.gland, options)
        elif step is Step.GLAND:
            answer = GlandOnly(model).run(case.volume, options)
        else:
            answer = OneStep(model).run(case.volume, options)
        return answer.labels, time.perf_counter() - start

    return Contender(model.version.name, predict)


def loaded(version: ModelVersion) -> Model:
    """A version, ready to predict on the best device."""
    device = best_device()
    return Model(version, device, best_backend(device))


def release_memory() -> None:
    """Gives back what a training has taken on the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
