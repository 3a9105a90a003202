"""A training's curves for MLflow and TensorBoard, which MONAI Label's users watch trainings with.

Tracking is a convenience: whatever goes wrong with it is logged once, and the training goes on.
Nothing leaves the machine, and nothing here may name a patient: parameters are settings and counts.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy.engine import make_url

from parotid_brachy.lib.errors import UsageError

logger = logging.getLogger(__name__)

DATABASE: Final = "mlflow.db"
ARTEFACTS: Final = "artefacts"
KEY_TAG: Final = "training"
"""The tag by which a training that goes on finds its run again."""

_KEY: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")
_NO_TELEMETRY: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_LOCK_PATIENCE_S: Final = 5.0
_LONGEST_ERROR: Final = 300
_LONGEST_TAG: Final = 5000


class Outcome(enum.Enum):
    """How a training ended; the values are MLflow's words."""

    FINISHED = "FINISHED"
    STOPPED = "KILLED"
    """It may go on later, in the same run."""
    FAILED = "FAILED"


class _Sink(Protocol):
    """What takes the metrics; every method may raise anything."""

    advice: str

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None: ...

    def end(
        self, outcome: Outcome, tags: Mapping[str, str], metrics: Mapping[str, float]
    ) -> None: ...

    def close(self) -> None: ...


class Tracking:
    """One training of one step, as MLflow and TensorBoard see it; begun by :meth:`begin`."""

    def __init__(self, sinks: list[_Sink]) -> None:
        self._sinks = sinks

    @classmethod
    def begin(
        cls,
        folder: Path,
        *,
        experiment: str,
        run_name: str,
        key: str,
        parameters: Mapping[str, str | int | float],
        tensorboard: Path,
    ) -> Tracking:
        """Begins a run, or goes on with the run of the same key.

        Args:
            folder: of ``mlflow.db`` and MLflow's artefacts; made if need be.
            experiment: MLflow's experiment, of which the training is a run.
            run_name: for people.
            key: of this training alone, and the same whenever it goes on. A training that begins
                anew with its first epoch is another one and has another key.
            parameters: settings and counts. MLflow does not let a run's parameters change: where a
                run goes on with another value, the tag ``changed.<name>`` has it.
            tensorboard: folder of this training's events.

        Raises:
            UsageError: a key of other characters than letters, digits, dot, dash and underscore.
        """
        if not _KEY.fullmatch(key):
            message = f"{key[:60]!r}: not the key of a training (letters, digits, . - _)"
            raise UsageError(message)
        makers: list[Callable[[], _Sink]] = [
            lambda: _MlflowRun(folder.absolute(), experiment, run_name, key, parameters),
            lambda: _TensorBoard(tensorboard.absolute()),
        ]
        sinks: list[_Sink] = []
        for make, advice in zip(makers, (_mlflow_advice(folder), _TensorBoard.advice), strict=True):
            _succeeds(partial(_add, sinks, make), advice)
        return cls(sinks)

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Notes an epoch's losses, learning rate, seconds, and DSC per structure.

        An epoch that a resumed training goes through again is not noted twice: MLflow, which can
        replace nothing, keeps the first values, TensorBoard shows the last ones.
        """
        self._each(lambda sink: sink.epoch(epoch, metrics))

    def end(
        self,
        outcome: Outcome,
        *,
        tags: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Ends the run, or this sitting of it; what comes later is not tracked.

        Args:
            outcome: how the training ended.
            tags: what is known at its end, such as the version's name.
            metrics: of the training as a whole.
        """
        self._each(lambda sink: sink.end(outcome, tags or {}, metrics or {}))
        for sink in self._sinks:
            _close(sink)
        self._sinks = []

    def _each(self, act: Callable[[_Sink], None]) -> None:
        for sink in list(self._sinks):
            if not _succeeds(partial(act, sink), sink.advice):
                self._sinks.remove(sink)
                _close(sink)


class _MlflowRun:
    """A run in a SQLite database of MLflow's, through a client of its own."""

    def __init__(
        self,
        folder: Path,
        experiment: str,
        run_name: str,
        key: str,
        parameters: Mapping[str, str | int | float],
    ) -> None:
        self.advice = _mlflow_advice(folder)
        self._written: set[tuple[str, int]] = set()
        self._link: tempfile.TemporaryDirectory[str] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        _require_writable(folder / DATABASE)
        with _silent_mlflow():
            # Only here: the import takes seconds, which who does not train should not wait.
            from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415
            from mlflow.telemetry import set_telemetry_client  # noqa: PLC0415
            from mlflow.tracking import MlflowClient  # noqa: PLC0415

            set_telemetry_client()  # asks the environment again, where another has imported MLflow
        with _silent_mlflow():  # again, as the import sets its logger's level
            self._metric, self._param, self._tag = Metric, Param, RunTag
            uri = self._uri_of(folder)
            self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            self._run = self._begin(folder, experiment, run_name, key)
            self._note_parameters(parameters)

    def _uri_of(self, folder: Path) -> str:
        uri = f"sqlite:///{folder / DATABASE}"
        if make_url(uri).database != str(folder / DATABASE):
            # A ? or, for some versions of SQLAlchemy, %20 in a folder's name means something else
            # in an address, and MLflow and SQLAlchemy disagree about escapes.
            self._link = tempfile.TemporaryDirectory(prefix="mlflow-")
            link = Path(self._link.name) / "folder"
            link.symlink_to(folder, target_is_directory=True)
            uri = f"sqlite:///{link / DATABASE}"
        return uri

    def _begin(self, folder: Path, experiment: str, run_name: str, key: str) -> Any:
        client = self._client
        known = client.get_experiment_by_name(experiment)
        if known is None:
            place = (folder / ARTEFACTS).as_uri()
            identity = client.create_experiment(experiment, artifact_location=place)
        else:
            identity = known.experiment_id
            if known.lifecycle_stage == "deleted":  # by a person, whose next training this is
                client.restore_experiment(identity)
        runs = client.search_runs([identity], f"tags.{KEY_TAG} = '{key}'", max_results=1)
        if not runs:
            return client.create_run(identity, tags={KEY_TAG: key}, run_name=run_name)
        run = runs[0]
        client.update_run(run.info.run_id, status="RUNNING")
        for name in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, name)
            self._written |= {(name, metric.step) for metric in history}
        return run

    def _note_parameters(self, parameters: Mapping[str, str | int | float]) -> None:
        before = self._run.data.params
        values = {name: str(value) for name, value in parameters.items()}
        new = [self._param(name, value) for name, value in values.items() if name not in before]
        changed = [
            self._tag(f"changed.{name}", value)
            for name, value in values.items()
            if before.get(name, value) != value
        ]
        self._client.log_batch(self._run.info.run_id, params=new, tags=changed)

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Notes what has no value at this epoch yet."""
        new = {name: v for name, v in metrics.items() if (name, epoch) not in self._written}
        self._write(new, epoch)

    def end(self, outcome: Outcome, tags: Mapping[str, str], metrics: Mapping[str, float]) -> None:
        """Ends the run; metrics stand at the last epoch."""
        last = max((epoch for _, epoch in self._written), default=0)
        self._write(metrics, last, tags)
        with _silent_mlflow():
            self._client.set_terminated(self._run.info.run_id, outcome.value)

    def _write(
        self, metrics: Mapping[str, float], epoch: int, tags: Mapping[str, str] | None = None
    ) -> None:
        now_ms = int(time.time() * 1000)
        with _silent_mlflow():
            self._client.log_batch(
                self._run.info.run_id,
                metrics=[self._metric(n, float(v), now_ms, epoch) for n, v in metrics.items()],
                tags=[self._tag(n, v[:_LONGEST_TAG]) for n, v in (tags or {}).items()],
            )
        self._written |= {(name, epoch) for name in metrics}

    def close(self) -> None:
        """Forgets the way to the database."""
        if self._link is not None:
            self._link.cleanup()


class _TensorBoard:
    """Events of one training; a file each time that it goes on."""

    advice = (
        "TensorBoard's events are not written any more, and the training goes on. "
        "Make room on the disk, or let the folder be written."
    )

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - takes seconds

        self._make = SummaryWriter
        self._folder = folder
        self._writer: Any = None
        self._last = 0

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Writes the metrics; an earlier sitting's from this epoch on are shown no more."""
        if self._writer is None:
            is_continued = any(self._folder.glob("events.out.tfevents.*"))
            self._writer = self._make(str(self._folder), purge_step=epoch if is_continued else None)
        self._last = epoch
        for name, value in metrics.items():
            self._writer.add_scalar(name, float(value), epoch)
        self._writer.flush()

    def end(self, outcome: Outcome, tags: Mapping[str, str], metrics: Mapping[str, float]) -> None:
        """Writes the metrics at the last epoch; TensorBoard has no place for the rest."""
        del outcome, tags
        if self._writer is not None and metrics:
            self.epoch(self._last, metrics)

    def close(self) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()


@contextlib.contextmanager
def _silent_mlflow() -> Iterator[None]:
    """Neither telemetry nor chatter of MLflow's; everything is as before afterwards."""
    before = {name: os.environ.get(name) for name in _NO_TELEMETRY}
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [one.level for one in loggers]
    os.environ.update(_NO_TELEMETRY)
    for one in loggers:
        one.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _require_writable(database: Path) -> None:
    """Finds out at once what MLflow would try again for minutes: damaged, locked, read-only.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    connection = sqlite3.connect(database, timeout=_LOCK_PATIENCE_S, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def _mlflow_advice(folder: Path) -> str:
    return (
        f"{folder / DATABASE}: MLflow's curves are not written any more, and the training goes on. "
        "Make room on the disk, and let no other program keep the database locked; one that is of "
        "an older MLflow is brought up to date by 'mlflow db upgrade', one that is damaged or of a "
        "newer MLflow is best moved away, and a new one is made."
    )


def _add(sinks: list[_Sink], make: Callable[[], _Sink]) -> None:
    sinks.append(make())


def _succeeds(act: Callable[[], None], advice: str) -> bool:
    try:
        act()
    except Exception as error:  # noqa: BLE001 - a training does not depend on its curves
        why = str(error)[:_LONGEST_ERROR]
        logger.warning("%s (%s: %s)", advice, type(error).__name__, why)
        return False
    return True


def _close(sink: _Sink) -> None:
    try:
        sink.close()
    except Exception as error:  # noqa: BLE001 - it has been warned of, or nothing is lost by it
        logger.debug("tracking was not closed (%s)", error)
