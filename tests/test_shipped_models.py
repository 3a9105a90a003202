"""The shipped models, on a phantom that none of them has seen: loadable, small, and useful."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import parotid_brachy
from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK, STRUCTURES, Side
from parotid_brachy.lib.phantom.draw import Phantom, draw_phantom
from parotid_brachy.lib.phantom.truth import Extent
from parotid_brachy.lib.segmentation.backends import best_backend
from parotid_brachy.lib.segmentation.findings import PreLabel
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import WEIGHTS, Registry
from parotid_brachy.lib.segmentation.two_step import TwoStep, TwoStepOptions

UNSEEN_SEED = 910_001
STEPS = (Step.GLAND, Step.ORGANS_AT_RISK)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry(Path(parotid_brachy.__file__).parent / "model")


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return draw_phantom(
        UNSEEN_SEED, after_surgery=Side.RIGHT, spacing_mm=(0.9, 0.9, 2.0), compact=True
    )


@pytest.fixture(scope="module")
def two_step(registry: Registry) -> TwoStep:
    device = torch.device("cpu")
    gland, organs = (Model(registry.champion(step), device, best_backend(device)) for step in STEPS)
    return TwoStep(gland, organs)


@pytest.fixture(scope="module")
def draft(two_step: TwoStep, phantom: Phantom) -> PreLabel:
    return two_step.run(phantom.volume, TwoStepOptions(side=Side.LEFT))


@pytest.mark.parametrize("step", STEPS)
def test_the_champion_is_what_its_manifest_says(registry: Registry, step: Step) -> None:
    registry.verify(registry.champion(step))


@pytest.mark.parametrize("step", STEPS)
def test_the_manifest_tells_what_it_was_trained_on_and_how_well_it_did(
    registry: Registry, step: Step
) -> None:
    manifest = registry.champion(step).manifest
    assert manifest["training"]["cases"]
    assert len(manifest["training"]["provenance"]) > 40
    assert manifest["metrics"]


def test_no_validation_case_was_trained_on(registry: Registry) -> None:
    validation = {f"pt_{number}" for number in range(201, 241)}
    for step in STEPS:
        manifest = registry.champion(step).manifest
        trained = set(manifest["training"]["cases"])
        parent = manifest["training"]["started_from"]
        while parent:
            trained |= set(parent["training"]["cases"])
            parent = parent["training"].get("started_from")
        assert not trained & validation


def test_all_shipped_weights_together_are_small(registry: Registry) -> None:
    total = sum((v.folder / WEIGHTS).stat().st_size for v in registry.versions())
    assert total <= 50e6


def test_the_intact_side_of_an_unseen_phantom_is_pre_labelled(
    draft: PreLabel, phantom: Phantom
) -> None:
    truth = phantom.truth[Side.LEFT][Extent.ROI17]
    for structure, least in ((GLAND, 0.6), *((organ, 0.3) for organ in ORGANS_AT_RISK)):
        ours, reference = draft.labels == structure.value, truth == structure.value
        dsc = 2 * np.sum(ours & reference) / (np.sum(ours) + np.sum(reference))
        assert dsc > least, structure.name


def test_the_draft_lies_on_the_stated_side_and_on_the_images_grid(
    draft: PreLabel, phantom: Phantom
) -> None:
    assert draft.labels.shape == phantom.volume.grid.shape_kji
    assert draft.report.side == "left"
    index = np.argwhere(draft.labels == GLAND.value)[:, ::-1].mean(axis=0)
    assert phantom.volume.grid.to_lps_mm(index)[0] > 0
    assert set(draft.report.structures) == {structure.name for structure in STRUCTURES}
