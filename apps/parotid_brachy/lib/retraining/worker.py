"""A trainer's process: ``python -m parotid_brachy.lib.retraining.worker JOB --studies DIR ...``.

A queue starts it and hands it the locks of job and device. It writes the job's status, and ends
when the job is done, stopped or failed.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from parotid_brachy.lib.errors import ParotidBrachyError, StoreFullError
from parotid_brachy.lib.imaging.atomic import is_disk_full
from parotid_brachy.lib.retraining.job_folder import JobFolder
from parotid_brachy.lib.retraining.job_queue import DATABASE_VARIABLE
from parotid_brachy.lib.retraining.job_status import JobState, JobStatus, Phase, now_utc
from parotid_brachy.lib.retraining.predicting import release_memory
from parotid_brachy.lib.retraining.promoting import Registers, reconcile
from parotid_brachy.lib.retraining.step_run import StepRun
from parotid_brachy.lib.retraining.step_training import chosen_preset
from parotid_brachy.lib.retraining.step_watcher import StoppedError
from parotid_brachy.lib.review.records import STORE_FOLDER
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.study_images import StudyImages
from parotid_brachy.lib.segmentation.memory import is_out_of_memory
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.progress import Progress
from parotid_brachy.lib.segmentation.registry import Registry

logger = logging.getLogger(__name__)

_SHARES: Final = {
    Phase.SNAPSHOT: (0.0, 0.01),
    Phase.FINDING_GLANDS: (0.01, 0.1),
    Phase.SAMPLING: (0.1, 0.15),
    Phase.TRAINING: (0.15, 0.95),
    Phase.COMPARING: (0.95, 1.0),
}
"""Where in a step's progress its phases lie."""
_NO_ROOM_BYTES: Final = 16 * 1024**2
"""With less left on its disk, a training that has failed has failed for want of room."""


class JobRun:
    """Runs a job to its end.

    Args:
        folder: of the job, whose lock this process holds.
        registers: registry and journal.
        images: of the studies.
    """

    def __init__(self, folder: JobFolder, registers: Registers, images: StudyImages) -> None:
        self._folder = folder
        self._job = folder.job
        self._registers = registers
        self._images = images
        self._status = folder.write_status(replace(folder.status, pid=os.getpid(), message=""))

    def run(self) -> JobStatus:
        """Trains step by step; returns how it ended."""
        try:
            if self._status.wants_smaller_batch:
                self._take_smaller_batch("the machine ran out of memory")
            for step in self._job.choice.task.steps:
                # All at once: too few cases are told before hours of training, not after.
                self._step_run(step).take_snapshot()
            for step in self._job.choice.task.steps:
                if all(result.step is not step for result in self._status.results):
                    self._run_step(step)
            return self._end(JobState.DONE, "")
        except StoppedError:
            return self._end(JobState.STOPPED, f"stopped by {self._folder.stop_asked_by}")
        except (ParotidBrachyError, OSError) as error:
            logger.exception("the training has failed")
            return self._end(JobState.FAILED, _in_words(error))
        except Exception as error:
            logger.exception("the training has failed")
            message = f"{type(error).__name__}: {error}. Its log tells more."
            if shutil.disk_usage(self._folder.path).free < _NO_ROOM_BYTES:
                # Imaging libraries tell it in words of their own.
                message = _full_in_words(f"{type(error).__name__}; its log tells more")
            return self._end(JobState.FAILED, message)

    def in_phase(self, phase: Phase, share: float) -> None:
        """Told by the step at work."""
        self._require_not_stopped()
        self._tell(phase, share)

    def after_epoch(self, progress: Progress) -> None:
        """Told by the training at work."""
        self._status = replace(
            self._status,
            epoch=progress.epoch,
            epochs=progress.epochs,
            learning_rate=progress.learning_rate,
            train_loss=progress.train_loss,
            validation_loss=progress.validation_loss,
            dice=progress.dice,
            seconds_left=progress.seconds_left,
            deaths=0,
        )
        self._tell(Phase.TRAINING, progress.epoch / progress.epochs)

    def before_iteration(self) -> None:
        """Asked by the training at work."""
        self._require_not_stopped()

    def _run_step(self, step: Step) -> None:
        if step is not self._status.step:  # else it goes on where it was cut off
            self._status = replace(self._status, step=step, epoch=0, epochs=0, dice={})
        while True:
            try:
                result = self._step_run(step).run()
                break
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                words = (str(error) or type(error).__name__).splitlines()[0]
            # Outside of the handler, which still holds what filled the memory.
            self._take_smaller_batch(words)
        self._status = replace(
            self._status,
            results=(*self._status.results, result),
            learning_rate=None,
            train_loss=None,
            validation_loss=None,
            seconds_left=None,
        )

    def _step_run(self, step: Step) -> StepRun:
        folder = self._folder.of_step(step)
        folder.mkdir(exist_ok=True)
        return StepRun(
            self._job,
            step,
            folder,
            self._registers,
            self._images,
            self,
            self._status.batch_size,
        )

    def _take_smaller_batch(self, why: str) -> None:
        """Goes on with half as many patches per iteration.

        Raises:
            MemoryError: there is one patch only already.
        """
        release_memory()
        step = self._status.step or self._job.choice.task.steps[0]
        size = self._status.batch_size or chosen_preset(self._job.choice, step).batch_size
        if size == 1:
            message = (
                f"out of memory with one patch per iteration ({why}). Free memory on the device "
                "(another program, another training), or take a smaller preset, and continue."
            )
            raise MemoryError(message)
        logger.warning("out of memory (%s): going on with batches of %d", why, size // 2)
        self._status = replace(self._status, batch_size=size // 2, wants_smaller_batch=False)
        self._status = self._folder.write_status(self._status)

    def _require_not_stopped(self) -> None:
        if self._folder.is_stop_asked:
            raise StoppedError

    def _tell(self, phase: Phase, share: float) -> None:
        steps = self._job.choice.task.steps
        low, high = _SHARES[phase]
        done = len(self._status.results) + low + (high - low) * share
        progress = round(done / len(steps), 6)  # one epoch of thousands shows
        # What is searched or sampled again after folds were trained does not go backwards.
        progress = max(progress, self._status.progress)
        deaths = 0 if progress > self._status.progress else self._status.deaths
        self._status = replace(self._status, phase=phase, progress=progress, deaths=deaths)
        self._status = self._folder.write_status(self._status)

    def _end(self, state: JobState, message: str) -> JobStatus:
        done = state is JobState.DONE
        self._status = replace(
            self._status,
            state=state,
            message=message,
            ended_at=now_utc(),
            progress=1.0 if done else self._status.progress,
            phase=None if done else self._status.phase,
            seconds_left=None,
        )
        logger.info("%s %s", state.value, message)
        return self._folder.write_status(self._status)


def _in_words(error: ParotidBrachyError | OSError) -> str:
    is_full = is_disk_full(error) or is_disk_full(error.__cause__)
    if is_full or isinstance(error, StoreFullError):
        return _full_in_words(str(error))
    return str(error)


def _full_in_words(why: str) -> str:
    return f"the disk is full ({why}). Free space; it goes on from the last whole epoch."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one job; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", type=Path, help="folder of the job")
    parser.add_argument("--studies", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--niceness", type=int, default=0)
    args = parser.parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    with contextlib.suppress(OSError):
        os.nice(args.niceness)
    folder = JobFolder(args.job)
    database_url = os.environ.pop(DATABASE_VARIABLE, None)
    try:
        opened = VersionStore.open_as_it_is(args.studies / STORE_FOLDER, database_url=database_url)
        with contextlib.closing(opened) as store:
            registers = Registers(Registry(args.models), store)
            reconcile(registers)
            run = JobRun(folder, registers, StudyImages(args.studies))
            return int(run.run().state is JobState.FAILED)
    except ParotidBrachyError as error:
        logger.exception("the training has not begun")
        status = replace(folder.status, state=JobState.FAILED, message=str(error))
        folder.write_status(replace(status, ended_at=now_utc()))
        return 1


if __name__ == "__main__":
    sys.exit(main())
