"""The model versions that infer tasks offer and use, kept warm between requests."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from parotid_brachy.lib.errors import ModelRefusedError
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import ModelVersion, Registry

logger = logging.getLogger(__name__)

M = TypeVar("M")


class WarmModels(Generic[M]):
    """Loads model versions when they are first needed and keeps the newest of each step.

    An inference that has begun keeps the version that it began with, whatever is promoted or
    loaded meanwhile.

    Args:
        registry: where the versions are.
        load: makes a version ready to predict.
    """

    def __init__(self, registry: Registry, load: Callable[[ModelVersion], M]) -> None:
        self._registry = registry
        self._load = load
        self._loading = threading.Lock()
        self._warm: dict[Step, tuple[str, M]] = {}

    def serves(self, step: Step) -> bool:
        """Whether a version of the step is there to serve."""
        try:
            return self._registry.has_champion(step)
        except ModelRefusedError as error:
            logger.warning("%s", error)
            return False

    def names(self, step: Step) -> list[str]:
        """The step's versions, the champion first, then from the newest to the oldest."""
        if not self.serves(step):
            return []
        try:
            champion = self._registry.champion(step).name
            others = [version.name for version in reversed(self._registry.versions(step))]
        except ModelRefusedError as error:
            logger.warning("%s", error)
            return []
        return [champion, *(name for name in others if name != champion)]

    def get(self, step: Step, versions: Mapping[Step, str]) -> M:
        """The model of a step, in the version named or else the champion.

        Raises:
            NotFoundError: no such version, or none serves.
            ModelRefusedError: the version must not be loaded.
        """
        name = versions.get(step)
        version = self._registry.version(step, name) if name else self._registry.champion(step)
        with self._loading:
            warm = self._warm.get(step)
            if warm is None or warm[0] != version.name:
                self._registry.verify(version)
                warm = (version.name, self._load(version))
                self._warm[step] = warm
            return warm[1]
