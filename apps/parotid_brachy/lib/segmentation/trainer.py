"""nnU-Net's trainer with what the presets change, and nothing else."""

from __future__ import annotations

import io
import json
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from parotid_brachy.lib.anatomy import GLAND, MASTOID_PROCESS, Structure
from parotid_brachy.lib.errors import ModelRefusedError, TrainingError
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.segmentation.augmentation import Channel, Intensities, strong_transforms
from parotid_brachy.lib.segmentation.presets import Optimiser, Preset, Step, preset_for
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
    another side), the preset's loss weights, optimiser and schedule, bfloat16 on a CPU, safe and
    atomic checkpoints, progress on disk after each epoch.
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

    def initialize(self) -> None:
        """Builds the network; channels last on a CPU, where that is faster."""
        super().initialize()
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
        """nnU-Net's transforms; strong augmentation follows the spatial one."""
        composed = nnUNetTrainer.get_training_transforms(*args, **kwargs)
        if not self._preset.strong_augmentation:
            return composed
        patch_size, rotation = args[0], args[1]
        spatial = SpatialTransform(
            patch_size,
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
        strong = strong_transforms(
            self._intensities,
            gland_value=self._value_of(GLAND),
            mastoid_value=self._value_of(MASTOID_PROCESS),
        )
        return ComposeTransforms([spatial, *strong, *composed.transforms[1:]])

    def _value_of(self, structure: Structure) -> int | None:
        structures = self._preset.structures
        return structures.index(structure) + 1 if structure in structures else None

    def _build_loss(self) -> Any:
        """Dice + cross entropy, weights 1 and 1, at every output with the preset's weights."""
        weights = self._preset.deep_supervision_weights
        outputs = len(self._get_deep_supervision_scales())
        if len(weights) != outputs:
            message = f"{self._preset.name}: {len(weights)} loss weights for {outputs} outputs"
            raise TrainingError(message)
        loss = DC_and_CE_loss(
            {
                "batch_dice": self.configuration_manager.batch_dice,
                "smooth": 1e-5,
                "do_bg": False,
                "ddp": self.is_ddp,
            },
            {},
            weight_ce=1,
            weight_dice=1,
            ignore_label=self.label_manager.ignore_label,
            dice_class=MemoryEfficientSoftDiceLoss,
        )
        return DeepSupervisionWrapper(loss, weights)

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

    def _train_step_cpu(self, batch: dict[str, Any]) -> dict[str, Any]:
        data = batch["data"].contiguous(memory_format=torch.channels_last_3d)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = self.network(data)
        loss = self.loss([level.float() for level in output], batch["target"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12)
        self.optimizer.step()
        return {"loss": loss.detach().cpu().numpy()}

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's, in bfloat16 on a CPU."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.device.type == "cpu"):
            return dict(super().validation_step(batch))

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

        In half precision: inference computes in no more, and a version is half as large.
        """
        network = self._bare_network()
        weights = self._averaged or network.state_dict()
        return {
            name: weights[name].detach().half().cpu().contiguous()
            for name in distinct_names(network)
        }

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


def _channels(preset: Preset, plans: dict[str, Any]) -> tuple[Channel, ...]:
    if preset.windows:
        return tuple(Channel.of_window(window) for window in preset.windows)
    properties = plans["foreground_intensity_properties_per_channel"]["0"]
    return (Channel.of_ct_scheme(properties),)
