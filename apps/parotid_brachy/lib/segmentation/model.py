"""A model version, loaded once and kept warm."""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray
from torch import nn

from parotid_brachy.lib.anatomy import Structure
from parotid_brachy.lib.errors import ModelRefusedError
from parotid_brachy.lib.segmentation.architectures import build_network
from parotid_brachy.lib.segmentation.backends import Backend, OpenVinoNetwork
from parotid_brachy.lib.segmentation.planning import CONFIGURATION, quiet
from parotid_brachy.lib.segmentation.registry import DATASET, PLANS, ModelVersion, load_weights
from parotid_brachy.lib.segmentation.trusted_plans import require_trusted
from parotid_brachy.lib.segmentation.weights import put_weights

logger = logging.getLogger(__name__)


class Model:
    """One version's network behind nnU-Net's predictor.

    Predictions of one model wait for each other: nnU-Net's predictor is not re-entrant.

    Args:
        version: a verified version (see ``Registry.verify``).
        device: where to run.
        backend: torch or OpenVINO.

    Raises:
        ModelRefusedError: plans or weights are not what the version's preset can have.
    """

    def __init__(self, version: ModelVersion, device: torch.device, backend: Backend) -> None:
        self.version = version
        self.preset = version.preset
        self.device = device
        self.backend = backend
        plans, description = version.read_json(PLANS), version.read_json(DATASET)
        try:
            require_trusted(plans, description, self.preset)
        except ModelRefusedError as error:
            message = f"{self.name}: {error}. Restore the version, or promote another one."
            raise ModelRefusedError(message) from error
        manager = PlansManager(plans)
        configuration = manager.get_configuration(CONFIGURATION)
        self.patch_kji = tuple(int(n) for n in configuration.patch_size)
        z, y, x = configuration.spacing
        self.spacing_kji_mm = (float(z), float(y), float(x))
        self._intensities = plans["foreground_intensity_properties_per_channel"].get("0", {})
        self._lock = threading.Lock()
        self._architecture: dict[str, Any] = plans["configurations"][CONFIGURATION]["architecture"]
        network = self.torch_network()
        if backend is Backend.OPENVINO:
            network = OpenVinoNetwork(network, (1, self.preset.channels, *self.patch_kji))
        with quiet():
            self._predictor = nnUNetPredictor(
                tile_step_size=self.preset.tile_step,
                use_gaussian=True,
                use_mirroring=False,
                device=device,
                allow_tqdm=False,
            )
        self._predictor.manual_initialization(
            network, manager, configuration, None, description, "nnUNetTrainer", None
        )

    @property
    def name(self) -> str:
        """Step and version, for reports."""
        return f"{self.version.step.value}/{self.version.name}"

    def value_of(self, structure: Structure) -> int | None:
        """The network's value of a structure, None where it does not label it."""
        structures = self.preset.structures
        return structures.index(structure) + 1 if structure in structures else None

    def torch_network(self) -> nn.Module:
        """The network itself with its weights, built anew, on the CPU; whatever the backend is."""
        return _network(self.version, self._architecture)

    def probabilities(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities.

        Args:
            hu: CT numbers on a canonical grid of this model's spacing, shape (z, y, x).

        Returns:
            Shape ``(1 + structures, z, y, x)``, background first, summing to 1.

        Raises:
            ModelRefusedError: the network answers with values that are not finite.
        """
        data = torch.from_numpy(self.channels(hu))
        with self._lock:
            logits = self._logits(data)
        with torch.inference_mode():
            result = torch.softmax(logits.float(), dim=0).cpu().numpy()
        if not np.isfinite(result).all():
            raise ModelRefusedError(self._not_finite())
        return np.asarray(result, dtype=np.float32)

    def _logits(self, data: torch.Tensor) -> torch.Tensor:
        try:
            logits: torch.Tensor = self._predictor.predict_sliding_window_return_logits(data)
        except RuntimeError as error:
            if "Encountered inf" in str(error):  # nnU-Net's own check, which NaN passes
                raise ModelRefusedError(self._not_finite()) from error
            raise
        return logits

    def _not_finite(self) -> str:
        return (
            f"{self.name}: its answer holds values that are not finite. "
            "Promote another version, and train this one again."
        )

    def channels(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network is given for CT numbers: shape ``(channels, *hu.shape)``."""
        if self.preset.windows:
            return np.stack([window.apply(hu) for window in self.preset.windows])
        # nnU-Net's CTNormalization, with the training data's statistics from the plans.
        p = self._intensities
        clipped = np.clip(hu, p["percentile_00_5"], p["percentile_99_5"])
        return np.asarray((clipped - p["mean"]) / max(p["std"], 1e-8), dtype=np.float32)[None]


def _network(version: ModelVersion, architecture: dict[str, Any]) -> nn.Module:
    preset = version.preset
    network = build_network(
        architecture, channels=preset.channels, classes=preset.classes, initialise=False
    )
    try:
        put_weights(network, load_weights(version.folder))
    except ModelRefusedError as error:
        message = (
            f"{version.step.value}/{version.name}: its weights do not fit the network of its "
            f"plans: {error}. Restore the version, or promote another one."
        )
        raise ModelRefusedError(message) from error
    return network.eval()
