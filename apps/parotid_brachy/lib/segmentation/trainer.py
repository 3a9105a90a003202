"""nnU-Net's trainer with what the presets change, and nothing else."""

from __future__ import annotations

import io
import json
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import get_tp_fp_fn_tn
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from parotid_brachy.lib.anatomy import GLAND, MASTOID_PROCESS, Structure
from parotid_brachy.lib.errors import ModelRefusedError, TrainingError
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.segmentation.architectures import build_network
from parotid_brachy.lib.segmentation.augmentation import (
    Augmentations,
    Channel,
    Intensities,
    strong_transforms,
)
from parotid_brachy.lib.segmentation.losses import MarginalDiceAndCrossEntropy
from parotid_brachy.lib.segmentation.planning import switches
from parotid_brachy.lib.segmentation.presets import NetworkKind, Optimiser, Preset, Step, preset_for
from parotid_brachy.lib.segmentation.training_data import CONTOURED
from parotid_brachy.lib.segmentation.weights import distinct_names, put_weights

CHECKPOINT: Final = "checkpoint.pt"
PROGRESS: Final = "progress.json"
_UNREADABLE: Final = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    pickle.UnpicklingError,
)
_ROTATION_RAD: Final = np.deg2rad(25.0)


@dataclass(frozen=True)
class Progress:
    """What is known after an epoch; also written to disk, for whoever watches.

    Attributes:
        epoch: epochs done.
        epochs: epochs planned.
        train_loss: mean over the epoch.
        validation_loss: mean over the validation patches.
        dice: per structure, over the validation patches (nnU-Net's "pseudo Dice").
        seconds: of the epoch.
        seconds_left: at the mean speed so far.
    """

    epoch: int
    epochs: int
    train_loss: float
    validation_loss: float
    dice: dict[str, float]
    seconds: float
    seconds_left: float


class ParotidTrainer(nnUNetTrainer):
    """A preset's training.

    Differences to nnU-Net's: no mirroring (half heads are canonical, a mirrored one would be
    another side), the preset's network, loss weights, optimiser and schedule, a loss that knows
    which structures were contoured in each sample, bfloat16 on a CPU, safe and atomic checkpoints,
    progress on disk after each epoch.
    """

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int | str,
        dataset_json: dict[str, Any],
        device: torch.device,
    ) -> None:
        # nnU-Net inspects this signature, so the preset comes in with the plans.
        self._preset = preset_for(plans["preset"]["name"], Step(plans["preset"]["step"]))
        self._switches = {**switches(self._preset), **plans.get("augmentation", {})}
        self._contoured: dict[str, list[bool]] = {}
        self._intensities = Intensities(_channels(self._preset, plans))
        self._seconds: list[float] = []
        self._averaged: dict[str, torch.Tensor] = {}
        self._iterations_done = 0
        self.report_progress: Callable[[Progress], None] | None = None
        plans = {**plans, "continue_training": False}
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.my_init_kwargs: dict[str, Any] = {}
        self.initial_lr = self._preset.initial_lr
        self.oversample_foreground_percent = self._preset.oversample_foreground
        self.enable_deep_supervision = self._preset.network.has_deep_supervision
        self.disable_checkpointing = True  # nnU-Net's are pickles written in place; see below
        self.plan_length(epochs=self._preset.epochs, iterations=self._preset.iterations)

    def plan_length(self, *, epochs: int, iterations: int) -> None:
        """Sets how long to train; the learning rate follows the epochs."""
        self.num_epochs = epochs
        self.num_iterations_per_epoch = iterations
        self.num_val_iterations_per_epoch = max(1, min(50, iterations // 10))

    @property
    def checkpoint_path(self) -> Path:
        """Where the training can be continued from."""
        return Path(self.output_folder) / CHECKPOINT

    def print_to_log_file(self, *args: Any, **kwargs: Any) -> None:
        """Keeps nnU-Net's log file, without its prints."""
        kwargs["also_print_to_console"] = False
        super().print_to_log_file(*args, **kwargs)

    @staticmethod
    def build_network_architecture(
        plans_manager: Any,
        configuration_manager: Any,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> torch.nn.Module:
        """The network of the plans."""
        del plans_manager
        return build_network(
            configuration_manager.configuration["architecture"],
            channels=num_input_channels,
            classes=num_output_channels,
            deep_supervision=enable_deep_supervision,
        )

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        """nnU-Net's, for networks that have it."""
        if self.enable_deep_supervision:
            super().set_deep_supervision_enabled(enabled)

    def initialize(self) -> None:
        """Builds the network; channels last on a CPU, where that is faster."""
        super().initialize()
        self._contoured = self._read_contoured()
        if self.device.type == "cpu":
            self.network: Any = self.network.to(memory_format=torch.channels_last_3d)

    def plot_network_architecture(self) -> None:
        """Not wanted: needs graphviz."""

    def _save_debug_information(self) -> None:
        """Not wanted: it writes the machine's name."""

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:  # noqa: N802
        """nnU-Net's choice without mirroring; presets with strong augmentation turn by 25 deg."""
        rotation, dummy_2d, initial, _ = (
            super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        )
        if self._preset.strong_augmentation:
            rotation, dummy_2d = (-_ROTATION_RAD, _ROTATION_RAD), False
        self.inference_allowed_mirroring_axes = None
        return rotation, dummy_2d, initial, None

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> Any:
        """nnU-Net's transforms; ours (docs/augmentation.md) follow the spatial one."""
        composed = nnUNetTrainer.get_training_transforms(*args, **kwargs)
        transforms = composed.transforms
        if self._preset.strong_augmentation:
            transforms = [_strong_spatial_transform(args[0], args[1]), *transforms[1:]]
        # Where nnU-Net turns slices only, it goes to two dimensions and back for that.
        dummy_2d = args[4] if len(args) > 4 else kwargs["do_dummy_2d_data_aug"]
        spatial = 3 if dummy_2d else 1
        own = strong_transforms(
            self._intensities,
            Augmentations(appearance=self._preset.strong_augmentation, **self._switches),
            gland_value=self._value_of(GLAND),
            mastoid_value=self._value_of(MASTOID_PROCESS),
        )
        return ComposeTransforms([*transforms[:spatial], *own, *transforms[spatial:]])

    def _value_of(self, structure: Structure) -> int | None:
        structures = self._preset.structures
        return structures.index(structure) + 1 if structure in structures else None

    def _build_loss(self) -> Any:
        """Dice + cross entropy, weights 1 and 1, at every output with the preset's weights."""
        weights = self._preset.deep_supervision_weights
        outputs = len(self._get_deep_supervision_scales() or [None])
        if len(weights) != outputs:
            message = f"{self._preset.name}: {len(weights)} loss weights for {outputs} outputs"
            raise TrainingError(message)
        self._marginal = MarginalDiceAndCrossEntropy(
            batch_dice=self.configuration_manager.batch_dice,
            ignore_label=self.label_manager.ignore_label,
            across_processes=self.is_ddp,
        )
        if not self.enable_deep_supervision:
            return self._marginal
        return DeepSupervisionWrapper(self._marginal, weights)

    def _read_contoured(self) -> dict[str, list[bool]]:
        """Which of the preset's structures were contoured, for samples that lack some."""
        path = Path(self.preprocessed_dataset_folder_base) / CONTOURED
        if not path.is_file():
            return {}
        names = json.loads(path.read_text())
        structures = self._preset.structures
        return {key: [s.name in own for s in structures] for key, own in names.items()}

    def _contoured_in(self, keys: Sequence[str]) -> torch.Tensor:
        """Of type bool, shape (samples, structures)."""
        everything = [True] * len(self._preset.structures)
        return torch.tensor([self._contoured.get(str(key), everything) for key in keys])

    def _tell_loss(self, keys: Sequence[str]) -> None:
        if self._contoured:
            self._marginal.set_contoured(self._contoured_in(keys), self.device)

    def configure_optimizers(self) -> Any:
        """The preset's optimiser and schedule."""
        preset = self._preset
        parameters = self.network.parameters()
        optimiser: torch.optim.Optimizer
        if preset.optimiser is Optimiser.SGD_POLY:
            optimiser = torch.optim.SGD(
                parameters,
                preset.initial_lr,
                weight_decay=self.weight_decay,
                momentum=preset.momentum,
                nesterov=True,
            )
        else:
            optimiser = torch.optim.AdamW(
                parameters, preset.initial_lr, weight_decay=self.weight_decay
            )
        return optimiser, _Schedule(optimiser, preset, self.num_epochs)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One iteration; nnU-Net's own on a GPU, bfloat16 on a CPU."""
        self._tell_loss(batch.get("keys", ()))
        if self.device.type == "cpu":
            result = self._train_step_cpu(batch)
        else:
            result = super().train_step(batch)
        if not np.isfinite(result["loss"]):
            message = (
                f"loss is {result['loss']} in epoch {self.current_epoch}; the last checkpoint is "
                "kept. Continue with a lower learning rate, or look at the training images."
            )
            raise TrainingError(message)
        self._average_weights()
        return dict(result)

    @property
    def _is_stable_in_bfloat16(self) -> bool:
        """MONAI's networks give gradients that are no numbers now and then; nnU-Net's do not."""
        return self._preset.network is NetworkKind.NNUNET

    def _train_step_cpu(self, batch: dict[str, Any]) -> dict[str, Any]:
        data = batch["data"].contiguous(memory_format=torch.channels_last_3d)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._is_stable_in_bfloat16):
            output = self.network(data)
        whole = isinstance(output, torch.Tensor)
        levels = output.float() if whole else [level.float() for level in output]
        loss = self.loss(levels, batch["target"])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12)
        if torch.isfinite(norm):  # as a gradient scaler does on a GPU: such a step is left out
            self.optimizer.step()
        return {"loss": loss.detach().cpu().numpy()}

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's, in bfloat16 on a CPU; a structure's Dice counts samples that are about it."""
        kind = self.device.type
        dtype = torch.bfloat16 if kind == "cpu" else None
        with torch.autocast(kind, dtype=dtype, enabled=kind in ("cpu", "cuda")):
            if self._contoured:
                return self._validate_partly_contoured(batch)
            return dict(super().validation_step(batch))

    def _validate_partly_contoured(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's validation step, with counts of each sample's contoured structures only."""
        self._tell_loss(batch["keys"])
        levels = batch["target"] if self.enable_deep_supervision else [batch["target"]]
        targets = [level.to(self.device) for level in levels]
        output = self.network(batch["data"].to(self.device))
        deep = self.enable_deep_supervision
        loss = self.loss(output, targets) if deep else self.loss(output, targets[0])
        finest = output[0] if deep else output
        predicted = torch.zeros(finest.shape, device=finest.device)
        predicted.scatter_(1, finest.argmax(1, keepdim=True), 1)
        ignore = self.label_manager.ignore_label
        judged = torch.ones_like(targets[0]) if ignore is None else targets[0] != ignore
        counts = get_tp_fp_fn_tn(predicted, targets[0] * judged, axes=(2, 3, 4), mask=judged)
        contoured = self._contoured_in(batch["keys"]).to(self.device)
        names = ("tp_hard", "fp_hard", "fn_hard")
        result = {
            name: (count[:, 1:] * contoured).sum(0).cpu().numpy()
            for name, count in zip(names, counts[:3], strict=True)
        }
        return {"loss": loss.detach().float().cpu().numpy(), **result}

    def _average_weights(self) -> None:
        """Running average of the weights, with a short memory at the start."""
        if self._preset.weight_averaging is None:
            return
        self._iterations_done += 1
        done = self._iterations_done
        decay = min(self._preset.weight_averaging, (1 + done) / (10 + done))
        with torch.no_grad():
            weights = self._bare_network().state_dict()
            for name in distinct_names(self._bare_network()):
                if name not in self._averaged:
                    self._averaged[name] = weights[name].detach().clone()
                else:
                    self._averaged[name].lerp_(weights[name], 1 - decay)

    @property
    def seconds_total(self) -> float:
        """Seconds of all epochs, earlier sittings included."""
        return round(sum(self._seconds), 1)

    def _bare_network(self) -> torch.nn.Module:
        network = self.network.module if self.is_ddp else self.network
        bare: torch.nn.Module = getattr(network, "_orig_mod", network)
        return bare

    def final_weights(self) -> dict[str, torch.Tensor]:
        """The weights to keep: averaged ones where the preset averages.

        In half precision: inference computes in no more, and a version is half as large. The
        statistics of batch normalisation are few and may be large, and stay as they are.
        """
        network = self._bare_network()
        weights = self._averaged or network.state_dict()
        statistics = {name for name, _ in network.named_buffers()}
        kept = {name: weights[name].detach().cpu().contiguous() for name in distinct_names(network)}
        return {name: v if name in statistics else v.half() for name, v in kept.items()}

    def on_epoch_start(self) -> None:
        """Notes when the epoch began."""
        self._epoch_began = time.monotonic()
        super().on_epoch_start()

    def on_epoch_end(self) -> None:
        """Writes the checkpoint and the progress."""
        self.logger.log("epoch_end_timestamps", time.time(), self.current_epoch)
        self._seconds.append(time.monotonic() - self._epoch_began)
        self.current_epoch += 1
        self.write_checkpoint()
        progress = self._progress()
        path = Path(self.output_folder) / PROGRESS
        write_atomically(path, json.dumps(asdict(progress)).encode())
        if self.report_progress is not None:
            self.report_progress(progress)

    def _progress(self) -> Progress:
        last = self.logger.get_value
        dice = last("dice_per_class_or_region", step=-1)
        left = (self.num_epochs - self.current_epoch) * float(np.mean(self._seconds[-20:]))
        return Progress(
            epoch=self.current_epoch,
            epochs=self.num_epochs,
            train_loss=round(float(last("train_losses", step=-1)), 4),
            validation_loss=round(float(last("val_losses", step=-1)), 4),
            dice={
                structure.name: round(float(value), 4)
                for structure, value in zip(self._preset.structures, dice, strict=True)
                if np.isfinite(value)
            },
            seconds=round(self._seconds[-1], 1),
            seconds_left=round(left, 1),
        )

    def start_from(self, weights: dict[str, torch.Tensor]) -> None:
        """Takes another version's weights as the starting point.

        Raises:
            TrainingError: they are of another network.
        """
        if not self.was_initialized:
            self.initialize()
        try:
            put_weights(self._bare_network(), weights)
        except ModelRefusedError as error:
            message = f"the weights to start from are not of the preset's network: {error}"
            raise TrainingError(message) from error

    def write_checkpoint(self) -> None:
        """Writes what is needed to go on; tensors and plain values only, atomically."""
        state = {
            "network": self._bare_network().state_dict(),
            "averaged": self._averaged,
            "optimiser": self.optimizer.state_dict(),
            "epoch": self.current_epoch,
            "iterations_done": self._iterations_done,
            "seconds": list(self._seconds),
            "logging": json.dumps(self.logger.get_checkpoint(), default=float),
        }
        stream = io.BytesIO()
        torch.save(state, stream)
        write_atomically(self.checkpoint_path, stream.getvalue())

    def read_checkpoint(self) -> None:
        """Goes on from the last checkpoint.

        Raises:
            TrainingError: there is none, or it cannot be read.
        """
        if not self.was_initialized:
            self.initialize()
        try:
            state = torch.load(self.checkpoint_path, map_location=self.device, weights_only=True)
            self._bare_network().load_state_dict(state["network"])
            self._averaged = state["averaged"]
            self.optimizer.load_state_dict(state["optimiser"])
            self.current_epoch = state["epoch"]
            self._iterations_done = state["iterations_done"]
            self._seconds = state["seconds"]
            self.logger.load_checkpoint(json.loads(state["logging"]))
        except _UNREADABLE as error:
            message = (
                f"{self.checkpoint_path}: no checkpoint of this training ({error}). "
                "Remove it to begin with the first epoch."
            )
            raise TrainingError(message) from error


class _Schedule:
    """Sets the preset's learning rate; nnU-Net calls ``step`` with the epoch."""

    def __init__(self, optimiser: torch.optim.Optimizer, preset: Preset, epochs: int) -> None:
        self._optimiser = optimiser
        self._preset = preset
        self._epochs = epochs

    def step(self, epoch: int) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = self._preset.scheduled_lr(epoch, self._epochs)


def _strong_spatial_transform(patch_kji: Sequence[int], rotation: Any) -> SpatialTransform:
    return SpatialTransform(
        patch_kji,
        patch_center_dist_from_border=0,
        random_crop=False,
        p_elastic_deform=0.1,
        p_rotation=0.5,
        rotation=rotation,
        p_scaling=0.4,
        scaling=(0.8, 1.25),
        p_synchronize_scaling_across_axes=0.7,
        bg_style_seg_sampling=False,
        border_mode_seg="constant",
        padding_value_seg=-1,
    )


def _channels(preset: Preset, plans: dict[str, Any]) -> tuple[Channel, ...]:
    if preset.windows:
        return tuple(Channel.of_window(window) for window in preset.windows)
    properties = plans["foreground_intensity_properties_per_channel"]["0"]
    return (Channel.of_ct_scheme(properties),)
