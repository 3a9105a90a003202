import json
import pickle

import numpy as np
import pytest
import torch
from tests.segmentation.versions import (
    SMALL,
    Size,
    description_of,
    network_of,
    plans_of,
    weights_of,
)

from parotid_brachy.lib.errors import TrainingError
from parotid_brachy.lib.segmentation.planning import CONFIGURATION, workspace_for
from parotid_brachy.lib.segmentation.presets import Step, preset_for
from parotid_brachy.lib.segmentation.trainer import ParotidTrainer

NARROW_PAPER = Size((2,) * 6, (2.0, 1.0, 1.0), (32, 64, 64))


@pytest.fixture
def trainer_of(tmp_path, monkeypatch):
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", "")  # restored afterwards

    def make(name, step, **augmentation):
        preset = preset_for(name, step)
        size = SMALL[step] if name == "compact" else NARROW_PAPER
        workspace = workspace_for(tmp_path, preset)
        workspace.activate()
        plans, description = plans_of(preset, size), description_of(preset)
        plans["augmentation"].update(augmentation)
        samples = workspace.preprocessed / "nnUNetPlans_3d_fullres"
        samples.mkdir(parents=True, exist_ok=True)
        (samples / "case.b2nd").touch()  # nnU-Net tells from the names how samples are stored
        return ParotidTrainer(plans, CONFIGURATION, 0, description, torch.device("cpu"))

    return make


def _dice_and_cross_entropy(logits, target, ignore):
    """Protocol's loss of one output, written out: -Dice + CE over the judged voxels."""
    classes = logits.shape[1]
    judged = np.ones(target.shape, bool) if ignore is None else target != ignore
    shifted = logits - logits.max(axis=1, keepdims=True)
    probability = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    dice = []
    for sample in range(len(logits)):
        for value in range(1, classes):
            own = (target[sample] == value) & judged[sample]
            p = probability[sample, value] * judged[sample]
            dice.append((2 * p[own].sum() + 1e-5) / (p.sum() + own.sum() + 1e-5))
    truth = np.where(judged, target, 0)
    entropy = -np.log(np.take_along_axis(probability, truth[:, None], axis=1)[:, 0])
    return entropy[judged].mean() - np.mean(dice)


@pytest.mark.parametrize("name", ["paper", "compact"])
@pytest.mark.parametrize("step", [Step.GLAND, Step.ORGANS_AT_RISK])
def test_the_loss_is_dice_and_cross_entropy_at_every_output_halving(trainer_of, name, step):
    trainer = trainer_of(name, step)
    trainer.initialize()
    outputs = 5 if name == "paper" else 4
    classes = 1 + len(preset_for(name, step).structures)
    ignore = classes if step is Step.ORGANS_AT_RISK else None
    rng = np.random.default_rng(0)
    logits = [rng.normal(0, 2, (2, classes, 2 + n, 4, 5)) for n in range(outputs)]
    highest = classes + (ignore is not None)
    targets = [rng.integers(0, highest, (2, 2 + n, 4, 5)) for n in range(outputs)]
    expected = sum(
        _dice_and_cross_entropy(own, target, ignore) / 2**n
        for n, (own, target) in enumerate(zip(logits, targets, strict=True))
    )
    result = trainer.loss(
        [torch.from_numpy(own) for own in logits],
        [torch.from_numpy(target[:, None]).float() for target in targets],
    )
    assert float(result) == pytest.approx(expected, abs=1e-4)


def test_what_is_ignored_has_no_influence(trainer_of):
    trainer = trainer_of("compact", Step.ORGANS_AT_RISK)
    trainer.initialize()
    target = torch.randint(0, 9, (2, 1, 4, 5, 6)).float()
    logits = torch.randn(2, 8, 4, 5, 6)
    other = torch.where(target == 8, torch.randn(2, 8, 4, 5, 6) * 9, logits)
    assert not torch.equal(logits, other)
    losses = [float(trainer.loss([each] * 4, [target] * 4)) for each in (logits, other)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_the_papers_optimiser_and_schedule_are_the_protocols(trainer_of):
    trainer = trainer_of("paper", Step.GLAND)
    trainer.initialize()
    (group,) = trainer.optimizer.param_groups
    assert isinstance(trainer.optimizer, torch.optim.SGD)
    assert (group["lr"], group["momentum"], group["nesterov"]) == (1e-3, 0.99, True)
    assert (trainer.num_epochs, trainer.num_iterations_per_epoch) == (1000, 250)
    assert trainer.batch_size == 2
    trainer.lr_scheduler.step(500)
    assert group["lr"] == pytest.approx(1e-3 * 0.5**0.9)


def test_compacts_schedule_follows_the_epochs_that_are_asked_for(trainer_of):
    trainer = trainer_of("compact", Step.GLAND)
    trainer.plan_length(epochs=10, iterations=20)
    trainer.initialize()
    (group,) = trainer.optimizer.param_groups
    assert isinstance(trainer.optimizer, torch.optim.AdamW)
    trainer.lr_scheduler.step(5)
    assert group["lr"] == pytest.approx(1.5e-3 * 0.505)
    assert trainer.num_val_iterations_per_epoch == 2


@pytest.mark.parametrize("name", ["paper", "compact"])
def test_nothing_is_mirrored(trainer_of, name):
    """Half heads are canonical; a mirrored one would be another side."""
    trainer = trainer_of(name, Step.GLAND)
    rotation, _, _, mirror = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert mirror is None
    assert trainer.inference_allowed_mirroring_axes is None
    if name == "compact":
        assert np.rad2deg(rotation) == pytest.approx((-25, 25))


def _transforms_of(trainer):
    trainer.initialize()
    rotation, dummy_2d, _, mirror = (
        trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    )
    composed = trainer.get_training_transforms(
        trainer.configuration_manager.patch_size,
        rotation,
        trainer._get_deep_supervision_scales(),
        mirror,
        dummy_2d,
        ignore_label=trainer.label_manager.ignore_label,
    )
    return [type(transform).__name__ for transform in composed.transforms]


def test_strong_augmentation_follows_the_spatial_one(trainer_of):
    names = {n: _transforms_of(trainer_of(n, Step.ORGANS_AT_RISK)) for n in ("paper", "compact")}
    assert names["compact"][:6] == [
        "SpatialTransform",
        "VirtualSurgery",
        "OpaqueMastoid",
        "MetalStreaks",
        "MaskStrands",
        "FieldOfViewCrop",
    ]
    ours = set(names["compact"][1:6])
    assert not ours & set(names["paper"])
    assert not any("Mirror" in each for each in (*names["paper"], *names["compact"]))


def test_surgery_and_field_of_view_are_switched_off_in_the_plans(trainer_of):
    trainer = trainer_of("compact", Step.GLAND, virtual_surgery=False, field_of_view=False)
    names = _transforms_of(trainer)
    assert names[:3] == ["SpatialTransform", "MetalStreaks", "MaskStrands"]
    assert not {"VirtualSurgery", "FieldOfViewCrop"} & set(names)


def test_the_paper_can_be_given_surgery_after_its_spatial_changes(trainer_of):
    names = _transforms_of(trainer_of("paper", Step.GLAND, virtual_surgery=True))
    place = names.index("VirtualSurgery")
    assert names[place - 1] in ("SpatialTransform", "Convert2DTo3DTransform")
    assert names.count("SpatialTransform") == names[:place].count("SpatialTransform") == 1
    assert "MetalStreaks" not in names


def _validated(trainer, contoured):
    """Counts of one validation step whose answers and targets are known, by structure."""
    trainer.initialize()
    trainer._contoured = contoured
    classes = trainer._preset.classes
    answer = torch.zeros(2, classes, 4, 4, 4)
    answer[:, 1] = 1.0  # the first structure everywhere
    answer[:, 2, 0] = 2.0  # the second in the first slice
    trainer.network = lambda data: [answer.clone() for _ in range(4)]
    target = torch.zeros(2, 1, 4, 4, 4)
    target[:, :, 0] = 2
    target[1, :, 1] = 1
    batch = {"data": torch.zeros(2, 2, 4, 4, 4), "keys": ["a", "b"]}
    result = trainer.validation_step({**batch, "target": [target.clone() for _ in range(4)]})
    return {name: result[name][:2].tolist() for name in ("tp_hard", "fp_hard", "fn_hard")}


def test_a_structures_dice_counts_only_samples_that_are_about_it(trainer_of):
    trainer = trainer_of("compact", Step.ORGANS_AT_RISK)
    names = [structure.name for structure in trainer._preset.structures]
    assert _validated(trainer, {}) == {
        "tp_hard": [16, 32],
        "fp_hard": [48 + 32, 0],
        "fn_hard": [0, 0],
    }
    everything = [True] * len(names)
    without_first = [False, *everything[1:]]
    other = trainer_of("compact", Step.ORGANS_AT_RISK)
    assert _validated(other, {"a": without_first}) == {
        "tp_hard": [16, 32],
        "fp_hard": [32, 0],
        "fn_hard": [0, 0],
    }
    last = trainer_of("compact", Step.ORGANS_AT_RISK)
    # As plainly counted, where no sample of the batch lacks anything.
    assert _validated(last, {"elsewhere": without_first})["fp_hard"] == [80, 0]


def test_a_loss_that_is_not_finite_stops_the_training(trainer_of):
    trainer = trainer_of("compact", Step.GLAND)
    trainer.initialize()
    trainer.loss = lambda output, target: output[0].sum() * torch.nan
    batch = {"data": torch.zeros(2, 2, 32, 32, 32), "target": []}
    with pytest.raises(TrainingError, match=r"loss is nan in epoch 0.*checkpoint is kept"):
        trainer.train_step(batch)


def test_the_kept_weights_are_a_running_average(trainer_of):
    trainer = trainer_of("compact", Step.GLAND)
    trainer.initialize()
    parameter = next(trainer.network.parameters())
    name = next(iter(trainer.final_weights()))
    expected = None
    for done, value in enumerate((1.0, 5.0, -2.0), start=1):
        with torch.no_grad():
            parameter.fill_(value)
        trainer._average_weights()
        decay = min(0.995, (1 + done) / (10 + done))
        expected = value if expected is None else decay * expected + (1 - decay) * value
    kept = trainer.final_weights()[name]
    torch.testing.assert_close(kept.float(), torch.full(kept.shape, expected), rtol=1e-3, atol=0)


def test_paper_keeps_the_last_weights_each_once_in_half_precision(trainer_of):
    trainer = trainer_of("paper", Step.GLAND)
    trainer.initialize()
    kept = trainer.final_weights()
    own = dict(trainer.network.named_parameters())
    assert set(kept) == set(own)
    assert [name for name in own if not torch.equal(kept[name], own[name].half())] == []


def test_a_training_starts_from_a_versions_weights(trainer_of):
    trainer = trainer_of("compact", Step.GLAND)
    preset = preset_for("compact", Step.GLAND)
    weights = weights_of(network_of(preset, plans_of(preset, SMALL[Step.GLAND]), seed=5))
    trainer.start_from(weights)
    own = dict(trainer.network.named_parameters())
    assert all(torch.equal(own[name], value) for name, value in weights.items())
    with pytest.raises(TrainingError, match="not of the preset's network"):
        trainer.start_from(dict(list(weights.items())[1:]))


class _Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


@pytest.mark.parametrize(
    "content",
    [b"", b"no checkpoint", pickle.dumps(_Bomb()), None, {"network": {}}, {}],
    ids=["empty", "text", "pickle", "missing", "another network", "no network"],
)
def test_a_checkpoint_that_is_none_is_refused(trainer_of, content):
    trainer = trainer_of("compact", Step.GLAND)
    trainer.initialize()
    trainer.checkpoint_path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        torch.save(content, trainer.checkpoint_path)
    elif content is not None:
        trainer.checkpoint_path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"checkpoint\.pt: no checkpoint of this training"):
        trainer.read_checkpoint()


def test_a_bomb_inside_a_checkpoint_is_not_run(trainer_of):
    trainer = trainer_of("compact", Step.GLAND)
    trainer.initialize()
    torch.save({"network": _Bomb()}, trainer.checkpoint_path)
    with pytest.raises(TrainingError, match="no checkpoint of this training"):
        trainer.read_checkpoint()


def test_the_plans_carry_the_preset_as_json(trainer_of):
    trainer = trainer_of("paper", Step.ORGANS_AT_RISK)
    plans = json.loads(json.dumps(trainer.plans_manager.plans))
    assert plans["preset"] == {"name": "paper", "step": "organs_at_risk"}


def _batch(trainer, value=0.0):
    size = trainer.configuration_manager.patch_size
    targets = [torch.zeros(2, 1, *(n // 2**level for n in size)) for level in range(4)]
    return {"data": torch.full((2, 2, *size), value), "target": targets}


def test_a_step_whose_gradient_is_no_number_changes_no_weight(trainer_of):
    trainer = trainer_of("compact", Step.GLAND)
    trainer.initialize()
    before = {name: value.clone() for name, value in trainer.network.named_parameters()}
    parameter = next(trainer.network.parameters())
    hook = parameter.register_hook(lambda gradient: gradient * torch.nan)
    outcome = trainer.train_step(_batch(trainer, 1.0))
    assert np.isfinite(outcome["loss"])
    assert all(torch.equal(before[name], v) for name, v in trainer.network.named_parameters())
    with pytest.raises(TrainingError, match="none of the epoch's 1 iterations"):
        trainer.on_train_epoch_end([outcome])
    hook.remove()
    trainer.train_step(_batch(trainer, 1.0))
    assert not torch.equal(before[next(iter(before))], parameter)


def test_who_asks_before_an_iteration_can_end_the_training(trainer_of):
    trainer = trainer_of("compact", Step.GLAND)
    trainer.initialize()
    asked = []

    def stop_at_the_second():
        asked.append(trainer._average.iterations)
        if len(asked) == 2:
            raise KeyboardInterrupt

    trainer.before_iteration = stop_at_the_second
    trainer.train_step(_batch(trainer))
    with pytest.raises(KeyboardInterrupt):
        trainer.train_step(_batch(trainer))
    assert asked == [0, 1]
