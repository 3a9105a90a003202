"""The models that are measured: a registry's champions, loaded as the product loads them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.segmentation.backends import Backend, best_backend, best_device
from parotid_brachy.lib.segmentation.findings import PreLabel
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import Registry
from parotid_brachy.lib.segmentation.two_step import TwoStep, TwoStepOptions

SHIPPED = Path(__file__).resolve().parents[2] / "apps" / "parotid_brachy" / "model"


@dataclass(frozen=True)
class Networks:
    """The models of both steps."""

    gland: Model
    organs: Model

    def two_step(self, volume: Volume, options: TwoStepOptions) -> PreLabel:
        """Runs both steps."""
        return TwoStep(self.gland, self.organs).run(volume, options)

    @property
    def names(self) -> str:
        """Both versions, for reports."""
        return f"{self.gland.name}, {self.organs.name}, {self.gland.backend.value}"


def load_champion(registry: Path, step: Step, backend: Backend | None = None) -> Model:
    """A step's champion, verified and loaded.

    Args:
        registry: folder of model versions.
        step: which.
        backend: None takes the best for this machine.

    Raises:
        NotFoundError: no version has been promoted.
        ModelRefusedError: its files are not the manifest's.
    """
    versions = Registry(registry)
    version = versions.champion(step)
    versions.verify(version)
    device = best_device()
    return Model(version, device, backend or best_backend(device))


@lru_cache(maxsize=4)
def load_networks(registry: Path, backend: Backend | None = None) -> Networks:
    """Both steps' champions of a registry; the last few registries stay loaded."""
    return Networks(
        load_champion(registry, Step.GLAND, backend),
        load_champion(registry, Step.ORGANS_AT_RISK, backend),
    )
