"""What a case looks like to the step-2 network, as one vector.

Two cases are told apart by what the network's levels make of them: mean and spread of each feature
map before it is normalised, in one patch round the gland. These statistics are what instance
normalisation takes out again, and so just what differs between scanners, protocols and anatomies
(as statistics of feature maps do between styles of images: Li et al., "Demystifying Neural Style
Transfer", IJCAI 2017).
"""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.errors import ModelRefusedError
from parotid_brachy.lib.imaging.roi import Box, canonical_grid
from parotid_brachy.lib.imaging.sampling import AIR_HU, sample_ct
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.networks import AdaptiveLayerInstanceNorm

_NORMALISATIONS: Final = (nn.InstanceNorm3d, AdaptiveLayerInstanceNorm)


class Appearance:
    """Describes cases by a model's features.

    Args:
        model: of the second step.

    Raises:
        ModelRefusedError: its network has no levels that could be looked at.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._network = model.torch_network().to(model.device)
        self._lock = threading.Lock()
        self._seen: list[torch.Tensor] = []
        for stage in getattr(getattr(self._network, "encoder", None), "stages", ()):
            # Of each level its last convolution, which has seen most.
            layers = [one for one in stage.modules() if isinstance(one, _NORMALISATIONS)]
            for layer in layers[-1:]:
                layer.register_forward_pre_hook(self._look)
                self._seen.append(torch.empty(0))
        if not self._seen:
            message = f"{model.name}: its network has no levels to describe a case by"
            raise ModelRefusedError(message)
        self._seen.clear()

    @property
    def made_by(self) -> str:
        """The model version; vectors of different ones cannot be compared."""
        return self._model.name

    def of(self, volume: Volume, gland: Box, side: Side) -> NDArray[np.float32]:
        """The vector of a case.

        Args:
            volume: the CT.
            gland: its box, in the middle of which the patch lies.
            side: of the gland.

        Returns:
            One dimension; always as long for one model version.

        Raises:
            ModelRefusedError: the network answers with values that are not finite.
        """
        patch, spacing = np.asarray(self._model.patch_kji), self._model.spacing_kji_mm
        extent_mm = (patch * spacing)[::-1]
        middle = (np.asarray(gland.low_lps_mm) + np.asarray(gland.high_lps_mm)) / 2
        box = Box.of(middle - extent_mm / 2, middle + extent_mm / 2)
        i, j, k = spacing[::-1]
        hu = sample_ct(volume, canonical_grid(box, side=side, spacing_mm=(i, j, k)))
        hu = _fitted(hu, self._model.patch_kji)
        data = torch.from_numpy(self._model.channels(hu))[None].to(self._model.device)
        with self._lock, torch.inference_mode():
            self._seen.clear()
            self._network(data)
            vector = torch.cat(self._seen).float().cpu().numpy()
            self._seen.clear()
        if not np.isfinite(vector).all():
            message = f"{self.made_by}: its features of {volume.case} are not finite"
            raise ModelRefusedError(message)
        return np.asarray(vector, dtype=np.float32)

    def _look(self, layer: nn.Module, given: tuple[Any, ...]) -> None:
        del layer
        features: torch.Tensor = given[0].float()
        spread, mean = torch.std_mean(features, dim=(0, 2, 3, 4))
        self._seen.extend((mean, spread))


def _fitted(hu: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Cut or filled with air at its ends: rounding may make a grid a voxel too long or short."""
    result = np.full(shape, AIR_HU, dtype=np.float32)
    part = tuple(slice(min(a, b)) for a, b in zip(hu.shape, shape, strict=True))
    result[part] = hu[part]
    return result
