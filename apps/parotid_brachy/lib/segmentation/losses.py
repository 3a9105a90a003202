"""The protocol's loss, also for cases of which only some structures were contoured."""

from __future__ import annotations

import torch
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from torch import distributed, nn


class MarginalDiceAndCrossEntropy(nn.Module):
    """Dice + cross entropy, weights 1 and 1; what was not contoured counts as background.

    Where a reader did not contour a structure, background in the label map means "background or
    that structure". So its probability is added to the background's before both losses, sample by
    sample: the marginal loss of Shi et al., Marginal loss and exclusion loss for partially
    supervised multi-organ segmentation, Med Image Anal 2021;70:101979. Where everything was
    contoured, this is nnU-Net's ``DC_and_CE_loss`` and nothing else.

    Args:
        batch_dice: one Dice over the batch, not one a sample.
        ignore_label: voxels of this label count in neither loss; None where there is none.
        across_processes: the batch is spread over the processes of ``torch.distributed``.
    """

    def __init__(
        self, *, batch_dice: bool, ignore_label: int | None, across_processes: bool
    ) -> None:
        super().__init__()
        self._plain = DC_and_CE_loss(
            {
                "batch_dice": batch_dice,
                "smooth": 1e-5,
                "do_bg": False,
                "ddp": across_processes,
            },
            {},
            weight_ce=1,
            weight_dice=1,
            ignore_label=ignore_label,
            dice_class=MemoryEfficientSoftDiceLoss,
        )
        self._ignore_label = ignore_label
        self._batch_dice = batch_dice
        self._across_processes = across_processes
        self._unknown: torch.Tensor | None = None
        self._unjudged = 0

    def set_contoured(self, contoured: torch.Tensor, device: torch.device) -> None:
        """Says what was contoured in the batch that comes next.

        Args:
            contoured: of type bool, shape ``(batch, structures)``. Targets hold no voxel of a
                structure that was not contoured.
            device: of the network's output.
        """
        self._unknown = None if bool(contoured.all()) else (~contoured).to(device)
        if not self._batch_dice:
            self._unjudged = int((~contoured).sum())
            return
        in_any = contoured.any(dim=0)
        if self._across_processes:
            shared = in_any.to(device, torch.int32)
            distributed.all_reduce(shared, op=distributed.ReduceOp.MAX)
            in_any = shared.bool()
        self._unjudged = int((~in_any).sum())

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of one output.

        Args:
            logits: shape ``(batch, 1 + structures, z, y, x)``.
            target: labels, shape ``(batch, 1, z, y, x)``.
        """
        if self._unknown is None:
            plain: torch.Tensor = self._plain(logits, target)
            return plain
        merged = merge_into_background(logits, self._unknown)
        judged = None
        known = target
        if self._ignore_label is not None:
            judged = target != self._ignore_label
            known = torch.where(judged, target, 0)
        dice = self._plain.dc(merged, known, loss_mask=judged)
        # A structure that was not contoured is empty in the target and in the merged answer. Its
        # Dice is 1 whatever the network says: taken into the mean it would dilute the others'.
        terms = (logits.shape[1] - 1) * (1 if self._batch_dice else len(logits))
        dice = (dice * terms + self._unjudged) / max(1, terms - self._unjudged)
        if judged is not None and not judged.any():
            return torch.as_tensor(dice)
        return torch.as_tensor(dice + self._plain.ce(merged, target[:, 0]))


def merge_into_background(logits: torch.Tensor, unknown: torch.Tensor) -> torch.Tensor:
    """Adds the probability of some structures to the background's, in logits.

    Args:
        logits: shape ``(batch, 1 + structures, z, y, x)``.
        unknown: of type bool, shape ``(batch, structures)``: what to merge in which sample.

    Returns:
        Logits of the same shape; a merged structure's are minus infinity.
    """
    merged = torch.cat([torch.zeros_like(unknown[:, :1]), unknown], dim=1)[:, :, None, None, None]
    kept = logits.masked_fill(merged, -torch.inf)
    with_background = merged.clone()
    with_background[:, 0] = True
    background = logits.masked_fill(~with_background, -torch.inf).logsumexp(dim=1, keepdim=True)
    return torch.cat([background, kept[:, 1:]], dim=1)
