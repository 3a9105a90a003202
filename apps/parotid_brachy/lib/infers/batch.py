"""MONAI Label's batch inference, on the device that the models are on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monailabel.interfaces.tasks.batch_infer import BatchInferTask


class OneDeviceBatchInfer(BatchInferTask):
    """All cases one after the other.

    The framework's own asks by default for all GPUs, and divides by their number, which may be 0.
    """

    def __call__(
        self, request: dict[str, Any], datastore: Any, infer: Callable[..., Any]
    ) -> dict[str, Any]:
        """Runs the batch; returns the result of each case by its id."""
        return dict(super().__call__({**request, "multi_gpu": False}, datastore, infer))
