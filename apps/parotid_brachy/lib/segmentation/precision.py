"""The precision that networks are trained and validated in: one place decides for both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode


@contextmanager
def mixed_precision(device: torch.device) -> Iterator[None]:
    """Computes in float16 on a GPU (nnU-Net's choice) and in bfloat16 on a CPU."""
    if device.type == "cpu":
        with torch.autocast("cpu", dtype=torch.bfloat16), _SmallConvolutionsInFloat32():
            yield
    else:
        with torch.autocast(device.type, enabled=device.type == "cuda"):
            yield


class _SmallConvolutionsInFloat32(TorchFunctionMode):
    """Keeps convolutions whose kernel is larger than their input out of bfloat16.

    oneDNN's ``jit_bf16:avx512_core_bf16`` (torch 2.13) computes the gradient of such a kernel from
    memory that nobody wrote: 3 x 3 x 3 over 2 slices, 5 x 5 x 5 over 2 to 4. It is often no number,
    and wrong where it is one; in either memory format. The deepest levels of a V-Net, or of a
    U-Net with small patches, are so small, and cost next to nothing in float32. nnU-Net's planner
    leaves 4 voxels to kernels of 3.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is functional.conv3d and _is_small(*args[:2]):
            with torch.autocast("cpu", enabled=False):
                return func(*(_in_float32(each) for each in args), **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _is_small(image: torch.Tensor, kernel: torch.Tensor) -> bool:
    return any(n < k for n, k in zip(image.shape[2:], kernel.shape[2:], strict=True))


def _in_float32(argument: Any) -> Any:
    return argument.float() if isinstance(argument, torch.Tensor) else argument
