"""From a preprocessed workspace to a trainer that is ready to run, in whatever process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parotid_brachy.lib.segmentation.planning import CONFIGURATION, Workspace, quiet
from parotid_brachy.lib.segmentation.registry import load_weights
from parotid_brachy.lib.segmentation.trainer import ParotidTrainer


@dataclass(frozen=True)
class TrainerSetup:
    """What a trainer is made from; plain values only, so that it can go to other processes.

    Attributes:
        plans: of the workspace.
        description: nnU-Net's ``dataset.json``.
        workspace: preprocessed samples, and where the checkpoint goes.
        epochs: how many.
        iterations: per epoch.
        seed: of initial weights and augmentation.
        processes: worker processes for augmentation; 0 augments in process.
        start_from: a version's folder whose weights the training starts with; None starts afresh.
    """

    plans: dict[str, Any]
    description: dict[str, Any]
    workspace: Workspace
    epochs: int
    iterations: int
    seed: int
    processes: int
    start_from: Path | None

    def trainer(self, device: torch.device, *, rank: int = 0) -> ParotidTrainer:
        """Builds the trainer, where its checkpoint or the weights to start from leave it.

        Args:
            device: to train on.
            rank: of this process among those that train together; each draws other patches.

        Raises:
            TrainingError: the checkpoint cannot be read, or the weights are of another network.
            ModelRefusedError: the version to start from cannot be read.
        """
        self.workspace.activate()
        os.environ["nnUNet_n_proc_DA"] = str(self.processes)  # noqa: SIM112
        if self.processes == 0:
            # Only without worker processes is the stream of random numbers the seed's alone.
            seed = (self.seed + rank) % 2**32
            np.random.seed(seed)  # noqa: NPY002  (nnU-Net draws from the global state)
        torch.manual_seed(self.seed + rank)
        with quiet():
            trainer = ParotidTrainer(self.plans, CONFIGURATION, 0, self.description, device)
            trainer.plan_length(epochs=self.epochs, iterations=self.iterations)
            if trainer.checkpoint_path.exists():
                trainer.read_checkpoint()
            elif self.start_from is not None:
                trainer.start_from(load_weights(self.start_from))
        return trainer
