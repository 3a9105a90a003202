"""How a network is run: torch (the plain path, and CUDA) or OpenVINO (the fast path on a CPU)."""

from __future__ import annotations

import enum
import importlib.util
import logging
from typing import Any

import torch
from torch import nn

logger = logging.getLogger(__name__)


class Backend(enum.Enum):
    """What computes a network's forward pass."""

    TORCH = "torch"
    OPENVINO = "openvino"


def best_backend(device: torch.device) -> Backend:
    """OpenVINO on a CPU where it is installed, torch everywhere else."""
    if device.type != "cpu":
        return Backend.TORCH
    if importlib.util.find_spec("openvino") is None:
        logger.warning("OpenVINO is not installed: networks run through torch, which is slower")
        return Backend.TORCH
    return Backend.OPENVINO


def best_device() -> torch.device:
    """The first GPU that torch sees, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class OpenVinoNetwork(nn.Module):
    """A network compiled by OpenVINO for one patch size, in the clothes of a torch module.

    Precision is bfloat16 where the CPU computes in it natively, else float32.

    Args:
        network: the torch network, with its weights, on the CPU.
        shape: of one input, ``(1, channels, z, y, x)``.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        import openvino  # noqa: PLC0415  (optional: torch serves without it)

        core = openvino.Core()
        fast = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision = "bf16" if fast else "f32"
        network.eval()
        with torch.no_grad():
            model = openvino.convert_model(network, example_input=torch.zeros(shape))
        model.reshape(list(shape))
        hints = {"INFERENCE_PRECISION_HINT": self.precision, "PERFORMANCE_HINT": "LATENCY"}
        self._compiled: Any = core.compile_model(model, "CPU", hints)
        self._request: Any = self._compiled.create_infer_request()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The network's output for one patch."""
        output = self._request.infer([x.contiguous().numpy()], share_inputs=True)[0]
        return torch.from_numpy(output)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Does nothing: the weights are compiled in, and nnU-Net's predictor reloads at will."""
        del args, kwargs
        return None
