import numpy as np
import pytest
import torch
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

from parotid_brachy.lib.segmentation.losses import (
    MarginalDiceAndCrossEntropy,
    merge_into_background,
)

STRUCTURES = 3
IGNORE = STRUCTURES + 1
CPU = torch.device("cpu")
both_kinds_of_dice = pytest.mark.parametrize("batch_dice", [True, False])
with_and_without_ignore = pytest.mark.parametrize("ignore", [None, IGNORE])


def batch(ignore, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, 1 + STRUCTURES, 3, 4, 5, generator=generator, dtype=torch.float64)
    highest = STRUCTURES + 1 + (ignore is not None)
    target = torch.randint(0, highest, (2, 1, 3, 4, 5), generator=generator).double()
    return logits, target


def loss_of(batch_dice, ignore):
    return MarginalDiceAndCrossEntropy(
        batch_dice=batch_dice, ignore_label=ignore, across_processes=False
    )


def by_the_formula(logits, target, contoured, batch_dice, ignore):
    """Marginal Dice + cross entropy, each sample's classes merged by hand."""
    exponentials = np.exp(logits.numpy())
    probability = exponentials / exponentials.sum(axis=1, keepdims=True)
    truth = target.numpy()[:, 0].astype(int)
    judged = np.ones(truth.shape, bool) if ignore is None else truth != ignore
    entropies, overlap = [], {}
    for n, own in enumerate(probability):
        background = own[0] + sum(own[v + 1] for v in range(STRUCTURES) if not contoured[n][v])
        for k, j, i in np.argwhere(judged[n]):
            value = truth[n, k, j, i]
            p = background[k, j, i] if value == 0 else own[value, k, j, i]
            entropies.append(-np.log(p))
        for v in range(STRUCTURES):
            if contoured[n][v]:
                p, reference = own[v + 1][judged[n]], truth[n][judged[n]] == v + 1
                key = v if batch_dice else (n, v)
                sums = overlap.setdefault(key, np.zeros(3))
                sums += (p[reference].sum(), p.sum(), reference.sum())
    dice = [(2 * both + 1e-5) / (a + b + 1e-5) for both, a, b in overlap.values()]
    return np.mean(entropies) - np.mean(dice)


@both_kinds_of_dice
@with_and_without_ignore
def test_where_all_is_contoured_it_is_nnunets_loss_to_the_bit(batch_dice, ignore):
    plain = DC_and_CE_loss(
        {"batch_dice": batch_dice, "smooth": 1e-5, "do_bg": False, "ddp": False},
        {},
        ignore_label=ignore,
        dice_class=MemoryEfficientSoftDiceLoss,
    )
    logits, target = batch(ignore)
    loss = loss_of(batch_dice, ignore)
    assert torch.equal(loss(logits, target), plain(logits, target))
    loss.set_contoured(torch.ones(2, STRUCTURES, dtype=torch.bool), CPU)
    assert torch.equal(loss(logits, target), plain(logits, target))


@both_kinds_of_dice
@with_and_without_ignore
@pytest.mark.parametrize(
    "contoured",
    [
        [[True, False, True], [True, True, True]],
        [[True, False, False], [False, True, False]],
        [[True, False, True], [True, False, True]],
    ],
    ids=["one sample lacks one", "each lacks others", "none has the second"],
)
def test_what_was_not_contoured_is_merged_with_background(batch_dice, ignore, contoured):
    logits, target = batch(ignore)
    for n, known in enumerate(contoured):
        for v, on in enumerate(known):
            if not on:
                target[n][target[n] == v + 1] = 0
    loss = loss_of(batch_dice, ignore)
    loss.set_contoured(torch.tensor(contoured), CPU)
    expected = by_the_formula(logits, target, contoured, batch_dice, ignore)
    assert float(loss(logits, target)) == pytest.approx(expected, abs=1e-6)


@both_kinds_of_dice
def test_a_structure_that_was_not_contoured_is_not_taught_to_be_background(batch_dice):
    """Moving probability from background to it changes nothing; without the merging it costs."""
    logits, target = batch(None)
    target[target == 2] = 0
    logits[:, 2] = -8.0
    bolder = logits.clone()
    total = torch.logsumexp(logits[:, [0, 2]], dim=1)
    bolder[:, 0] = bolder[:, 2] = total - np.log(2)
    loss = loss_of(batch_dice, None)
    assert float(loss(bolder, target)) > float(loss(logits, target)) + 0.1
    loss.set_contoured(torch.tensor([[True, False, True]] * 2), CPU)
    assert float(loss(bolder, target)) == pytest.approx(float(loss(logits, target)), abs=1e-6)


def test_gradients_stay_finite_and_do_not_tell_background_from_what_is_unknown():
    logits, target = batch(IGNORE)
    target[target == 2] = 0
    logits[0, 2] = -300.0
    logits.requires_grad_()
    loss = loss_of(False, IGNORE)
    loss.set_contoured(torch.tensor([[True, False, True]] * 2), CPU)
    loss(logits, target).backward()
    assert torch.isfinite(logits.grad).all()
    # Both get the same pull, in proportion to their probabilities.
    pull = logits.grad[1, [0, 2]] / torch.softmax(logits.detach()[1], dim=0)[[0, 2]]
    torch.testing.assert_close(pull[0], pull[1])


def test_a_batch_without_a_judged_voxel_gives_a_finite_loss():
    logits, target = batch(IGNORE)
    loss = loss_of(True, IGNORE)
    loss.set_contoured(torch.tensor([[True, False, True]] * 2), CPU)
    assert torch.isfinite(loss(logits, torch.full_like(target, IGNORE)))


def test_merging_adds_probabilities():
    logits, _ = batch(None)
    unknown = torch.tensor([[False, True, True], [False, False, False]])
    merged = torch.softmax(merge_into_background(logits, unknown), dim=1)
    plain = torch.softmax(logits, dim=1)
    torch.testing.assert_close(merged[0, 0], plain[0, [0, 2, 3]].sum(dim=0))
    torch.testing.assert_close(merged[0, 1], plain[0, 1])
    assert merged[0, 2:].abs().max() == 0
    torch.testing.assert_close(merged[1], plain[1])
