"""The models that serve, as what scores cases."""

from __future__ import annotations

from parotid_brachy.lib.active_learning.scorers import (
    APPEARANCE,
    AppearanceScorer,
    ExpectedEditScorer,
    ModelQualityScorer,
)
from parotid_brachy.lib.infers.models import WarmModels
from parotid_brachy.lib.segmentation.appearance import Appearance
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import seen_cases
from parotid_brachy.lib.segmentation.two_step import TwoStep


class ServingModels:
    """Makes scorers of the champions; each keeps the versions that it began with.

    Args:
        models: the versions that infer tasks use.
    """

    def __init__(self, models: WarmModels[Model]) -> None:
        self._models = models

    def expected_edit(self) -> ExpectedEditScorer:
        """What a reader may expect to change.

        Raises:
            NotFoundError: no version serves.
        """
        gland, organs = self._champions()
        return ExpectedEditScorer(TwoStep(gland, organs).run, _names(gland, organs))

    def appearance(self) -> AppearanceScorer:
        """What a case looks like to the second step.

        Raises:
            NotFoundError: no version serves.
            ModelRefusedError: the second step's network has no levels to look at.
        """
        gland, organs = self._champions()
        appearance = Appearance(organs)
        return AppearanceScorer(TwoStep(gland, organs).run, appearance.of, appearance.made_by)

    def model_quality(self) -> ModelQualityScorer:
        """How near both steps come to approved contours.

        Raises:
            NotFoundError: no version serves.
        """
        gland, organs = self._champions()
        seen = seen_cases(gland.version) | seen_cases(organs.version)
        return ModelQualityScorer(TwoStep(gland, organs).run, _names(gland, organs), seen)

    def made_by(self, method: str) -> str | None:
        """What a score by the models that serve now is made by; None: none serve."""
        names = [
            f"{step.value}/{names[0]}"
            for step in (Step.GLAND, Step.ORGANS_AT_RISK)
            if (names := self._models.names(step))
        ]
        if len(names) < 2:
            return None
        return names[1] if method == APPEARANCE else ", ".join(names)

    def _champions(self) -> tuple[Model, Model]:
        return self._models.get(Step.GLAND, {}), self._models.get(Step.ORGANS_AT_RISK, {})


def _names(gland: Model, organs: Model) -> str:
    return f"{_name(gland)}, {_name(organs)}"


def _name(model: Model) -> str:
    return f"{model.version.step.value}/{model.version.name}"
