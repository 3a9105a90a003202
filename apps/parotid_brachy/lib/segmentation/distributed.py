"""Training on several GPUs: nnU-Net's own data-parallel training, a process for each.

The batch is spread over the processes, which average their gradients after every iteration
(``torch.distributed``: NCCL between GPUs, Gloo between processes on a CPU). The first one writes
the checkpoint, the progress and the log. They live and die together.
"""

from __future__ import annotations

import contextlib
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final

import torch
import torch.multiprocessing
from torch import distributed
from torch.multiprocessing.spawn import ProcessException, start_processes

from parotid_brachy.lib.errors import TrainingError
from parotid_brachy.lib.segmentation.planning import quiet
from parotid_brachy.lib.segmentation.progress import Progress
from parotid_brachy.lib.segmentation.trainer_setup import TrainerSetup

_POLL_S: Final = 0.2
_GRACE_S: Final = 20.0


class _StoppedError(Exception):
    """The process that started this one wants it to end."""


@dataclass(frozen=True)
class _Team:
    """What the processes have in common."""

    setup: TrainerSetup
    size: int
    device_type: str
    rendezvous: str
    stop: Event
    progress: Connection
    failures: tuple[Connection, ...]


def train_together(
    setup: TrainerSetup,
    *,
    count: int,
    device_type: str,
    on_progress: Callable[[Progress], None],
    before_iteration: Callable[[], None] | None = None,
) -> None:
    """Trains in several processes until the last epoch's checkpoint is written.

    Goes on from the checkpoint where there is one.

    Args:
        setup: what to train.
        count: processes, at most as many as a batch has patches; one GPU for each.
        device_type: ``"cuda"`` or ``"cpu"``.
        on_progress: called in this process after each epoch.
        before_iteration: called in this process a few times a second; what it raises ends the
            training before its next iteration.

    Raises:
        TrainingError: one of the processes failed; all are ended.
        Exception: whatever a process or a callback raised; all are ended.
    """
    context = torch.multiprocessing.get_context("spawn")
    receivers, senders = zip(*(context.Pipe(duplex=False) for _ in range(count)), strict=True)
    # Apart from the reasons for failures, which are read when all have ended.
    progress_of, to_parent = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = str(Path(folder) / "rendezvous")
        team = _Team(setup, count, device_type, rendezvous, context.Event(), to_parent, senders)
        processes: Any = start_processes(
            _train_one, args=(team,), nprocs=count, join=False, start_method="spawn"
        )
        for sender in (to_parent, *senders):
            sender.close()
        try:
            done = False
            while not done:
                done = processes.join(timeout=_POLL_S, grace_period=_GRACE_S)
                for message in _received([progress_of]):
                    on_progress(message)
                if before_iteration is not None and not done:
                    before_iteration()
        except ProcessException as failure:
            raise _reason(failure, receivers) from failure
        finally:
            team.stop.set()
            _end(processes.processes)


def _received(receivers: Sequence[Connection]) -> list[Any]:
    """What processes have sent so far."""
    messages = []
    for receiver in receivers:
        with contextlib.suppress(EOFError):  # it has ended
            while receiver.poll():
                messages.append(receiver.recv())
    return messages


def _reason(failure: ProcessException, receivers: Sequence[Connection]) -> Exception:
    """What the first process to fail has said, or how it ended."""
    for error in _received([receivers[failure.error_index], *receivers]):
        if isinstance(error, Exception):
            return error
    return TrainingError(f"a process of the training was ended ({failure.msg}). Continue it")


def _end(processes: Sequence[BaseProcess]) -> None:
    """Lets processes that were asked to stop do so, and makes those that do not."""
    for make_them in (None, BaseProcess.terminate, BaseProcess.kill):
        for process in processes:
            if make_them is not None and process.is_alive():
                make_them(process)
        for process in processes:
            process.join(_GRACE_S)


def _train_one(rank: int, team: _Team) -> None:
    """One process's part."""
    # An ordinary end, so that the worker processes for augmentation end too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        _join(rank, team)
        # nnU-Net gives each process the GPU of its own number.
        trainer = team.setup.trainer(torch.device(team.device_type), rank=rank)
        trainer.before_iteration = lambda: _heed(team.stop, trainer.device)
        if rank == 0:
            trainer.report_progress = team.progress.send
        with quiet():
            trainer.run_training()
    except _StoppedError:
        pass
    except Exception as error:
        team.failures[rank].send(_sendable(error))
        raise
    distributed.destroy_process_group()


def _join(rank: int, team: _Team) -> None:
    if team.device_type == "cuda":
        torch.cuda.set_device(rank)
    else:
        torch.set_num_threads(max(1, torch.get_num_threads() // team.size))
    # A file, and no port: nobody else can listen or join.
    store = distributed.FileStore(team.rendezvous, team.size)  # type: ignore[attr-defined]
    backend = "nccl" if team.device_type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=team.size)


def _heed(stop: Event, device: torch.device) -> None:
    """Ends all processes before the same iteration; else the others would wait for gradients."""
    asked = torch.tensor([stop.is_set()], dtype=torch.int32, device=device)
    distributed.all_reduce(asked, op=distributed.ReduceOp.MAX)
    if asked.item():
        raise _StoppedError


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  (our own, this very moment)
    except Exception:  # noqa: BLE001  (whatever a foreign exception's pickling may raise)
        return TrainingError(f"{type(error).__name__}: {error}")
    return error
