"""How far a training is, for whoever watches it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from parotid_brachy.lib.imaging.atomic import write_atomically

PROGRESS: Final = "progress.json"


@dataclass(frozen=True)
class Progress:
    """What is known after an epoch; also written to disk.

    Attributes:
        epoch: epochs done.
        epochs: epochs planned.
        train_loss: mean over the epoch.
        validation_loss: mean over the validation patches.
        dice: per structure, over the validation patches (nnU-Net's "pseudo Dice").
        seconds: of the epoch.
        seconds_left: at the mean speed so far.
        learning_rate: of the epoch.
    """

    epoch: int
    epochs: int
    train_loss: float
    validation_loss: float
    dice: dict[str, float]
    seconds: float
    seconds_left: float
    learning_rate: float


def write_progress(progress: Progress, folder: Path) -> None:
    """Writes ``progress.json``, whole at any time.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    write_atomically(folder / PROGRESS, json.dumps(asdict(progress)).encode())
