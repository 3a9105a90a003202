"""A training's checkpoint on disk: tensors and plain values, no objects; whole at any time.

nnU-Net's own are pickles, written in place.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch

from parotid_brachy.lib.errors import TrainingError
from parotid_brachy.lib.imaging.atomic import write_atomically

CHECKPOINT: Final = "checkpoint.pt"
_UNREADABLE: Final = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    UnpicklingError,
)


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Writes a training's state.

    Raises:
        OSError: the disk is full or cannot be written; the checkpoint before is still there.
    """
    stream = io.BytesIO()
    torch.save(dict(state), stream)
    write_atomically(path, stream.getvalue())


@contextmanager
def reading_checkpoint(path: Path, device: torch.device) -> Iterator[dict[str, Any]]:
    """Reads a training's state, for as long as it takes to put it in place.

    Raises:
        TrainingError: there is none, or it cannot be read, or the body cannot use it.
    """
    try:
        yield torch.load(path, map_location=device, weights_only=True)
    except _UNREADABLE as error:
        message = (
            f"{path}: no checkpoint of this training ({error}). "
            "Remove it to begin with the first epoch."
        )
        raise TrainingError(message) from error
