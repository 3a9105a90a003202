"""nnU-Net's trainer with what the presets change, and nothing else."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from parotid_brachy.lib.errors import ModelRefusedError, TrainingError
from parotid_brachy.lib.segmentation import checkpoints
from parotid_brachy.lib.segmentation.architectures import build_network
from parotid_brachy.lib.segmentation.averaging import RunningAverage
from parotid_brachy.lib.segmentation.losses import MarginalDiceAndCrossEntropy
from parotid_brachy.lib.segmentation.optimisers import Schedule, optimiser_of
from parotid_brachy.lib.segmentation.precision import mixed_precision
from parotid_brachy.lib.segmentation.presets import Step, preset_for
from parotid_brachy.lib.segmentation.progress import Progress, write_progress
from parotid_brachy.lib.segmentation.steps_left_out import StepsLeftOut
from parotid_brachy.lib.segmentation.training_cases import CONTOURED
from parotid_brachy.lib.segmentation.training_transforms import ROTATION_RAD, with_own_transforms
from parotid_brachy.lib.segmentation.validation_counts import counts_of_contoured
from parotid_brachy.lib.segmentation.weights import distinct_names, put_weights


class ParotidTrainer(nnUNetTrainer):
    """A preset's training.

    Differences to nnU-Net's: no mirroring (half heads are canonical, a mirrored one would be
    another side), the preset's network, loss weights, optimiser and schedule, a loss that knows
    which structures were contoured in each sample, bfloat16 on a CPU, safe and atomic checkpoints,
    progress on disk after each epoch.

    Attributes:
        report_progress: called after each epoch.
        before_iteration: called before each training step; what it raises ends the training.
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
        self._contoured: dict[str, list[bool]] = {}
        self._seconds: list[float] = []
        self._average = RunningAverage(self._preset.weight_averaging or 0.0)
        self._left_out = StepsLeftOut(scaled=device.type == "cuda")
        self.report_progress: Callable[[Progress], None] | None = None
        self.before_iteration: Callable[[], None] | None = None
        plans = {**plans, "continue_training": False}
        super().__init__(plans, configuration, fold, dataset_json, device)
        if device.type == "cpu":  # several processes are on GPUs, nnU-Net thinks
            self.device = device
            self.grad_scaler: Any = None
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
        return Path(self.output_folder) / checkpoints.CHECKPOINT

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
        among_others: bool = distributed.is_initialized()
        self.is_ddp = False
        super().initialize()
        self._contoured = self._read_contoured()
        if self.device.type == "cpu":
            self.network: Any = self.network.to(memory_format=torch.channels_last_3d)
        if among_others:
            self.is_ddp = True
            self._work_with_others()

    def _work_with_others(self) -> None:
        """As nnU-Net does, which can do it on GPUs only."""
        self._set_batch_size_and_oversample()
        gpus = None
        if self.device.type == "cuda":
            self.network = nn.SyncBatchNorm.convert_sync_batchnorm(self.network)
            gpus = [self.local_rank]
        self.network = DistributedDataParallel(self.network, device_ids=gpus)
        self.loss = self._build_loss()

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
            rotation, dummy_2d = (-ROTATION_RAD, ROTATION_RAD), False
        self.inference_allowed_mirroring_axes = None
        return rotation, dummy_2d, initial, None

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> Any:
        """nnU-Net's transforms; ours (docs/augmentation.md) follow the spatial one."""
        names = inspect.signature(nnUNetTrainer.get_training_transforms).bind(*args, **kwargs)
        return with_own_transforms(
            nnUNetTrainer.get_training_transforms(*args, **kwargs),
            self._preset,
            self.plans_manager.plans,
            patch_kji=names.arguments["patch_size"],
            rotation=names.arguments["rotation_for_DA"],
            dummy_2d=names.arguments["do_dummy_2d_data_aug"],
        )

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
        optimiser = optimiser_of(
            self._preset, self.network.parameters(), weight_decay=self.weight_decay
        )
        return optimiser, Schedule(optimiser, self._preset, self.num_epochs)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One iteration; nnU-Net's own on a GPU, bfloat16 on a CPU."""
        if self.before_iteration is not None:
            self.before_iteration()
        self._tell_loss(batch.get("keys", ()))
        if self.device.type == "cpu":
            result = self._train_step_cpu(batch)
        else:
            result = self._train_step_gpu(batch)
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
        with mixed_precision(self.device):
            output = self.network(data)
        whole = isinstance(output, torch.Tensor)
        levels = output.float() if whole else [level.float() for level in output]
        loss = self.loss(levels, batch["target"])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12)
        taken = bool(torch.isfinite(norm))  # as a gradient scaler decides on a GPU
        if taken:
            self.optimizer.step()
        self._left_out.count(taken=taken)
        return {"loss": loss.detach().cpu().numpy()}

    def _train_step_gpu(self, batch: dict[str, Any]) -> dict[str, Any]:
        scale = self.grad_scaler.get_scale()
        result = super().train_step(batch)
        # The scaler falls when it leaves out a step, and only then.
        self._left_out.count(taken=self.grad_scaler.get_scale() >= scale)
        return dict(result)

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """nnU-Net's; refuses an epoch in which nothing could be learnt."""
        super().on_train_epoch_end(train_outputs)
        self._left_out.end_epoch(len(train_outputs))

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's, in our precision; a structure's Dice counts samples that are about it."""
        with mixed_precision(self.device):
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
        counts = counts_of_contoured(
            finest,
            targets[0],
            self._contoured_in(batch["keys"]).to(self.device),
            ignore_label=self.label_manager.ignore_label,
        )
        return {"loss": loss.detach().float().cpu().numpy(), **counts}

    def _average_weights(self) -> None:
        if self._preset.weight_averaging is not None and self.local_rank == 0:
            self._average.add(self._bare_network())

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
        weights = self._average.weights or network.state_dict()
        statistics = {name for name, _ in network.named_buffers()}
        kept = {name: weights[name].detach().cpu().contiguous() for name in distinct_names(network)}
        return {name: v if name in statistics else v.half() for name, v in kept.items()}

    def on_epoch_start(self) -> None:
        """Notes when the epoch began."""
        self._epoch_began = time.monotonic()
        super().on_epoch_start()

    def on_epoch_end(self) -> None:
        """Writes the checkpoint and the progress; the first process, where there are several."""
        self.logger.log("epoch_end_timestamps", time.time(), self.current_epoch)
        self._seconds.append(time.monotonic() - self._epoch_began)
        self.current_epoch += 1
        if self.local_rank != 0:
            return
        self.write_checkpoint()
        progress = self._progress()
        write_progress(progress, Path(self.output_folder))
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
            learning_rate=float(last("lrs", step=-1)),
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
            "averaged": self._average.weights,
            "optimiser": self.optimizer.state_dict(),
            "epoch": self.current_epoch,
            "iterations_done": self._average.iterations,
            "seconds": list(self._seconds),
            "logging": json.dumps(self.logger.get_checkpoint(), default=float),
        }
        checkpoints.write_checkpoint(self.checkpoint_path, state)

    def read_checkpoint(self) -> None:
        """Goes on from the last checkpoint.

        Raises:
            TrainingError: there is none, or it cannot be read.
        """
        if not self.was_initialized:
            self.initialize()
        with checkpoints.reading_checkpoint(self.checkpoint_path, self.device) as state:
            self._bare_network().load_state_dict(state["network"])
            self._average.restore(state["averaged"], state["iterations_done"])
            self.optimizer.load_state_dict(state["optimiser"])
            self.current_epoch = state["epoch"]
            self._seconds = state["seconds"]
            self.logger.load_checkpoint(json.loads(state["logging"]))
