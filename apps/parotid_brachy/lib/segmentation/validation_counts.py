"""What validation counts, where not every structure was contoured in every sample."""

from __future__ import annotations

from typing import Any

import torch
from nnunetv2.training.loss.dice import get_tp_fp_fn_tn
from numpy.typing import NDArray


def counts_of_contoured(
    logits: torch.Tensor,
    target: torch.Tensor,
    contoured: torch.Tensor,
    *,
    ignore_label: int | None,
) -> dict[str, NDArray[Any]]:
    """True and false voxels per structure, over the samples that are about it.

    Args:
        logits: shape ``(batch, 1 + structures, z, y, x)``.
        target: labels, shape ``(batch, 1, z, y, x)``.
        contoured: of type bool, shape ``(batch, structures)``.
        ignore_label: voxels of this label do not count; None where there is none.

    Returns:
        ``tp_hard``, ``fp_hard`` and ``fn_hard`` (nnU-Net's names), each of shape
        ``(structures,)``.
    """
    predicted = torch.zeros(logits.shape, device=logits.device)
    predicted.scatter_(1, logits.argmax(1, keepdim=True), 1)
    judged = torch.ones_like(target) if ignore_label is None else target != ignore_label
    counts = get_tp_fp_fn_tn(predicted, target * judged, axes=(2, 3, 4), mask=judged)
    names = ("tp_hard", "fp_hard", "fn_hard")
    return {
        name: (count[:, 1:] * contoured).sum(0).cpu().numpy()
        for name, count in zip(names, counts[:3], strict=True)
    }
