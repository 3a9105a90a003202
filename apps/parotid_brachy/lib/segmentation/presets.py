"""The presets of each step, as frozen configuration.

``paper`` is the protocol's configuration (J Contemp Brachytherapy 2022;14:527-535, "Model") and
wants a GPU. ``compact`` is for a CPU and small cards: coarser working grids, fewer features,
two intensity windows, and an optimiser that converges within an hour. ``unet3d`` and ``vnet`` are
the networks that the protocol compares with, in ``compact``'s framework: same working grid,
sampling, augmentation, optimiser and post-processing as its one step, another network.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK, STRUCTURES, Structure
from parotid_brachy.lib.errors import UsageError


class Step(enum.Enum):
    """What a network does in the two-step method, or instead of it."""

    GLAND = "gland"
    ORGANS_AT_RISK = "organs_at_risk"
    ONE_STEP = "one_step"

    @property
    def crops_to_roi(self) -> bool:
        """Whether the network sees the gland's region of interest, not the half head."""
        return self is Step.ORGANS_AT_RISK


class NetworkKind(enum.Enum):
    """What is trained; all but nnU-Net's answer at one resolution only."""

    NNUNET = "nnunet"
    UNET_3D = "unet3d"
    VNET = "vnet"

    @property
    def has_deep_supervision(self) -> bool:
        """Whether the coarser levels of the decoder answer too."""
        return self is NetworkKind.NNUNET


class Normalisation(enum.Enum):
    """Normalisation layer after each convolution."""

    BATCH = "batch"
    INSTANCE = "instance"
    ADAPTIVE_LAYER_INSTANCE = "adaptive_layer_instance"


class Optimiser(enum.Enum):
    """How weights are updated, with its learning-rate schedule."""

    SGD_POLY = "sgd_poly"
    ADAMW_COSINE = "adamw_cosine"


@dataclass(frozen=True)
class Window:
    """A channel made from CT numbers: clipped to a range, divided by a scale."""

    low_hu: float
    high_hu: float
    scale_hu: float

    def apply(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """The channel's values."""
        return np.asarray(np.clip(hu, self.low_hu, self.high_hu) / self.scale_hu, np.float32)


@dataclass(frozen=True)
class Preset:
    """How one step is sampled, trained and predicted.

    Attributes:
        name: ``paper``, ``compact``, ``unet3d`` or ``vnet``.
        step: which network of the method.
        network: what kind of network it is.
        spacing_kji_mm: working grid; None lets nnU-Net take the training data's median.
        patch_kji: patch in voxels of the working grid (z, y, x).
        features: feature maps per resolution level.
        normalisation: layer after each convolution.
        windows: input channels made from HU; empty means one channel with nnU-Net's CT scheme.
        structures: what the network labels, network value 1, 2, ... in this order.
        batch_size: patches per iteration.
        initial_lr: initial learning rate.
        optimiser: with its schedule.
        momentum: Nesterov momentum, for SGD.
        epochs: at most so many.
        iterations: per epoch.
        weight_averaging: decay of the running average of weights that is kept; None keeps the
            last weights.
        deep_supervision_weights: of the outputs, finest first; one per decoder level, or one for
            a network without deep supervision.
        tile_step: step of the sliding window, as a share of the patch.
        oversample_foreground: share of patches centred on a structure.
        strong_augmentation: wider spatial changes, and changes of appearance.
        virtual_surgery: part of the gland is taken away in some patches (docs/augmentation.md).
        field_of_view: the scan ends inside some patches.
    """

    name: str
    step: Step
    network: NetworkKind
    spacing_kji_mm: tuple[float, float, float] | None
    patch_kji: tuple[int, int, int]
    features: tuple[int, ...]
    normalisation: Normalisation
    windows: tuple[Window, ...]
    structures: tuple[Structure, ...]
    batch_size: int
    initial_lr: float
    optimiser: Optimiser
    momentum: float
    epochs: int
    iterations: int
    weight_averaging: float | None
    deep_supervision_weights: tuple[float, ...]
    tile_step: float
    oversample_foreground: float
    strong_augmentation: bool
    virtual_surgery: bool
    field_of_view: bool

    @property
    def channels(self) -> int:
        """Input channels of the network."""
        return max(1, len(self.windows))

    @property
    def classes(self) -> int:
        """Output channels of the network: background and the structures."""
        return 1 + len(self.structures)

    @property
    def strides(self) -> list[list[int]]:
        """By how much each level is coarser than the one before.

        nnU-Net halves an axis while it stays whole and is at least 8 voxels, so that the coarsest
        level keeps 4. The other networks halve every axis at every level.
        """
        strides = [[1, 1, 1]]
        if self.network is not NetworkKind.NNUNET:
            return strides + [[2, 2, 2]] * (len(self.features) - 1)
        size = list(self.patch_kji)
        for _ in self.features[1:]:
            step = [2 if n % 2 == 0 and n >= 8 else 1 for n in size]
            size = [n // s for n, s in zip(size, step, strict=True)]
            strides.append(step)
        return strides

    def scheduled_lr(self, epoch: int, epochs: int) -> float:
        """Learning rate of an epoch: poly with exponent 0.9 (nnU-Net's) or a cosine."""
        share = epoch / epochs
        if self.optimiser is Optimiser.SGD_POLY:
            return float(self.initial_lr * (1 - share) ** 0.9)
        return float(self.initial_lr * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * share))))


def halving_weights(outputs: int) -> tuple[float, ...]:
    """The protocol's deep-supervision weights, 1 / 2^(d - 1) for d = 1 ... outputs."""
    return tuple(1 / 2**d for d in range(outputs))


_WIDE_WINDOW = Window(-1000.0, 1500.0, 500.0)
_SOFT_TISSUE_WINDOW = Window(-200.0, 250.0, 100.0)


def _paper(step: Step, patch_kji: tuple[int, int, int], labels: Sequence[Structure]) -> Preset:
    return Preset(
        name="paper",
        step=step,
        network=NetworkKind.NNUNET,
        spacing_kji_mm=None,
        patch_kji=patch_kji,
        features=(32, 64, 128, 256, 320, 320),
        normalisation=Normalisation.ADAPTIVE_LAYER_INSTANCE,
        windows=(),
        structures=tuple(labels),
        batch_size=2,
        initial_lr=1e-3,
        optimiser=Optimiser.SGD_POLY,
        momentum=0.99,
        epochs=1000,
        iterations=250,
        weight_averaging=None,
        deep_supervision_weights=halving_weights(5),
        tile_step=0.5,
        oversample_foreground=0.33,
        strong_augmentation=False,
        virtual_surgery=False,
        field_of_view=False,
    )


def _compact(
    step: Step,
    spacing_kji_mm: tuple[float, float, float],
    patch_kji: tuple[int, int, int],
    labels: Sequence[Structure],
) -> Preset:
    return Preset(
        name="compact",
        step=step,
        network=NetworkKind.NNUNET,
        spacing_kji_mm=spacing_kji_mm,
        patch_kji=patch_kji,
        features=(16, 32, 64, 128, 160),
        normalisation=Normalisation.INSTANCE,
        windows=(_WIDE_WINDOW, _SOFT_TISSUE_WINDOW),
        structures=tuple(labels),
        batch_size=2,
        initial_lr=1.5e-3,
        optimiser=Optimiser.ADAMW_COSINE,
        momentum=0.0,
        epochs=40,
        iterations=50,
        weight_averaging=0.995,
        deep_supervision_weights=halving_weights(4),
        tile_step=0.5,
        oversample_foreground=0.5,
        strong_augmentation=True,
        virtual_surgery=True,
        field_of_view=True,
    )


_COMPACT_ONE_STEP: Final = _compact(Step.ONE_STEP, (1.5, 1.0, 1.0), (56, 72, 72), STRUCTURES)

PRESETS: Final = (
    _paper(Step.GLAND, (56, 256, 128), (GLAND,)),
    _paper(Step.ORGANS_AT_RISK, (32, 256, 160), ORGANS_AT_RISK),
    _paper(Step.ONE_STEP, (56, 256, 128), STRUCTURES),
    _compact(Step.GLAND, (2.5, 2.5, 2.5), (48, 64, 48), (GLAND,)),
    # The gland as a seventh class costs the six nothing and gives it a sharper outline.
    _compact(Step.ORGANS_AT_RISK, (1.5, 1.0, 1.0), (56, 72, 72), STRUCTURES),
    _COMPACT_ONE_STEP,
    # Cicek et al., 3D U-Net (MICCAI 2016).
    replace(
        _COMPACT_ONE_STEP,
        name="unet3d",
        network=NetworkKind.UNET_3D,
        patch_kji=(48, 64, 64),
        features=(16, 32, 64, 128, 256),
        deep_supervision_weights=(1.0,),
    ),
    # Milletari et al., V-Net (3DV 2016). Its kernels of 5 voxels cost several times as much.
    replace(
        _COMPACT_ONE_STEP,
        name="vnet",
        network=NetworkKind.VNET,
        patch_kji=(32, 64, 64),
        features=(16, 32, 64, 128, 256),
        normalisation=Normalisation.BATCH,
        deep_supervision_weights=(1.0,),
    ),
)

PRESET_NAMES: Final = tuple(dict.fromkeys(preset.name for preset in PRESETS))
TWO_STEP_PRESET_NAMES: Final = tuple(
    dict.fromkeys(preset.name for preset in PRESETS if preset.step.crops_to_roi)
)
"""The presets that both steps of the method have; the others are for the one step."""


def preset_for(name: str, step: Step) -> Preset:
    """The preset of a step.

    Raises:
        UsageError: there is no such preset.
    """
    for preset in PRESETS:
        if preset.name == name and preset.step is step:
            return preset
    known = ", ".join(preset.name for preset in PRESETS if preset.step is step)
    message = f"no preset {name!r} for step {step.value}; there are: {known}"
    raise UsageError(message)
