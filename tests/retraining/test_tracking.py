import logging
import math
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.retraining.tracking import DATABASE, Outcome, Tracking

PARAMETERS = {"preset": "compact", "patients": 12, "learning_rate": 0.001}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as MLflow makes it, which takes it seconds."""
    folder = tmp_path_factory.mktemp("empty")
    client(folder).search_experiments()
    return folder / "tracking" / DATABASE


@pytest.fixture
def root(empty: Path, tmp_path: Path) -> Path:
    (tmp_path / "tracking").mkdir()
    shutil.copyfile(empty, tmp_path / "tracking" / DATABASE)
    return tmp_path


def begin(root: Path, *, key: str = "t1", batch: int = 2, experiment: str = "two_step") -> Tracking:
    return Tracking.begin(
        root / "tracking",
        experiment=experiment,
        run_name="organs at risk, round 1",
        key=key,
        parameters={**PARAMETERS, "batch": batch},
        tensorboard=root / "events" / key,
    )


def client(root: Path) -> MlflowClient:
    uri = f"sqlite:///{root / 'tracking' / DATABASE}"
    return MlflowClient(uri, uri)


def runs(root: Path) -> list[Run]:
    found = client(root).search_experiments()
    return list(client(root).search_runs([one.experiment_id for one in found]))


def history(root: Path, metric: str) -> list[tuple[int, float]]:
    (run,) = runs(root)
    return [(m.step, m.value) for m in client(root).get_metric_history(run.info.run_id, metric)]


def events(root: Path, tag: str, key: str = "t1") -> list[tuple[int, float]]:
    accumulator = EventAccumulator(str(root / "events" / key)).Reload()
    return [(event.step, round(event.value, 4)) for event in accumulator.Scalars(tag)]


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_training_is_a_run_with_parameters_curves_and_an_end(tmp_path: Path) -> None:
    tracking = begin(tmp_path)
    tracking.epoch(1, {"train_loss": 0.5, "dice/parotid_gland": 0.6})
    tracking.epoch(2, {"train_loss": 0.25, "dice/parotid_gland": 0.7})
    tracking.end(Outcome.FINISHED, tags={"version": "v2"}, metrics={"seconds_total": 12.5})

    (run,) = runs(tmp_path)
    assert run.info.run_name == "organs at risk, round 1"
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "preset": "compact",
        "patients": "12",
        "learning_rate": "0.001",
        "batch": "2",
    }
    assert run.data.tags["version"] == "v2"
    assert run.info.artifact_uri.startswith((tmp_path / "tracking" / "artefacts").as_uri())
    assert history(tmp_path, "train_loss") == [(1, 0.5), (2, 0.25)]
    assert history(tmp_path, "seconds_total") == [(2, 12.5)]
    assert events(tmp_path, "dice/parotid_gland") == [(1, 0.6), (2, 0.7)]
    assert events(tmp_path, "seconds_total") == [(2, 12.5)]


def test_a_killed_training_goes_on_in_its_run_without_noting_an_epoch_twice(root: Path) -> None:
    killed = begin(root)
    for epoch in (1, 2, 3):
        killed.epoch(epoch, {"train_loss": 1 / epoch})
    other = begin(root, key="t2")
    other.end(Outcome.FAILED)

    resumed = begin(root, batch=1)  # the last checkpoint is of the second epoch
    (running,) = [run for run in runs(root) if run.data.tags["training"] == "t1"]
    assert running.info.status == "RUNNING"
    resumed.epoch(3, {"train_loss": 7.0, "learning_rate": 0.1})
    resumed.epoch(4, {"train_loss": 8.0, "learning_rate": 0.1})
    resumed.end(Outcome.STOPPED)

    client(root).delete_run(
        next(run.info.run_id for run in runs(root) if run.info.status == "FAILED")
    )
    (run,) = runs(root)
    assert run.info.run_id == running.info.run_id
    assert run.info.status == "KILLED"
    assert run.data.params["batch"] == "2"
    assert run.data.tags["changed.batch"] == "1"
    assert history(root, "train_loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 8.0)]
    assert history(root, "learning_rate") == [(3, 0.1), (4, 0.1)]
    assert events(root, "train_loss") == [(1, 1.0), (2, 0.5), (3, 7.0), (4, 8.0)]


def test_a_loss_that_is_no_number_is_noted(root: Path) -> None:
    tracking = begin(root)
    tracking.epoch(1, {"train_loss": math.nan})
    tracking.end(Outcome.FAILED)
    ((_, value),) = history(root, "train_loss")
    assert math.isnan(value)


@pytest.mark.parametrize("name", ["a b'c\"d", "50%#é日", "My%20Study", "who?", "a:b@c&d=e"])
def test_any_folder_name_works(
    tmp_path: Path, empty: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / name
    (root / "tracking").mkdir(parents=True)
    shutil.copyfile(empty, root / "tracking" / DATABASE)
    tracking = begin(root)
    tracking.epoch(1, {"train_loss": 0.5})
    tracking.end(Outcome.FINISHED)
    assert warnings_in(caplog) == []
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    with closing(sqlite3.connect(root / "tracking" / DATABASE)) as database:
        assert database.execute("SELECT key, value FROM metrics").fetchall() == [
            ("train_loss", 0.5)
        ]
    assert events(root, "train_loss") == [(1, 0.5)]


def test_a_deleted_experiment_comes_back_with_the_next_training(root: Path) -> None:
    begin(root).end(Outcome.FINISHED)
    (run,) = runs(root)
    client(root).delete_experiment(run.info.experiment_id)
    begin(root, key="t2").end(Outcome.FINISHED)
    assert client(root).get_experiment(run.info.experiment_id).lifecycle_stage == "active"


@pytest.mark.parametrize("key", ["", "t'1", "a/b", "t 1"])
def test_what_could_change_the_search_is_no_key(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match="key"):
        begin(tmp_path, key=key)


def broken(database: Path) -> None:
    database.write_bytes(b"no database at all, but long enough to be looked at" * 40)


def newer(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'fffffffffff1'")


def folder(database: Path) -> None:
    database.unlink()
    database.mkdir()


@pytest.mark.parametrize("spoil", [broken, newer, folder])
def test_a_database_that_cannot_be_used_is_told_of_once(
    root: Path, spoil: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(root / "tracking" / DATABASE)
    forget_engines(monkeypatch)
    tracking = begin(root, key="t3")
    tracking.epoch(1, {"train_loss": 0.5})
    tracking.end(Outcome.FINISHED)
    (warning,) = warnings_in(caplog)
    assert DATABASE in warning
    assert "moved away" in warning
    assert events(root, "train_loss", "t3") == [(1, 0.5)]


def forget_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in another process: MLflow looks at a database once only."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.tracking._tracking_service import utils

    utils._tracking_store_registry._get_store_with_resolved_uri.cache_clear()
    monkeypatch.setattr(SqlAlchemyStore, "_engine_map", {})


def test_a_database_that_another_program_locks_is_told_of_once(
    root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parotid_brachy.lib.retraining.tracking._LOCK_PATIENCE_S", 0.1)
    begin(root).end(Outcome.STOPPED)
    with closing(sqlite3.connect(root / "tracking" / DATABASE)) as other:
        other.execute("BEGIN EXCLUSIVE")
        tracking = begin(root)
        tracking.epoch(1, {"train_loss": 0.5})
        tracking.end(Outcome.FINISHED)
    (warning,) = warnings_in(caplog)
    assert "locked" in warning
    assert events(root, "train_loss") == [(1, 0.5)]


@contextmanager
def full_disk() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_on_a_full_disk_the_training_goes_on(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracking = begin(root)
    tracking.epoch(1, {"train_loss": 0.5})
    with full_disk():
        for epoch in (2, 3, 4):
            tracking.epoch(epoch, {"train_loss": 0.25})
        tracking.end(Outcome.FINISHED)
    assert sorted(message.split(" ")[0] for message in warnings_in(caplog)) == [
        f"{root / 'tracking' / DATABASE}:",
        "TensorBoard's",
    ]
    assert history(root, "train_loss") == [(1, 0.5)]


def test_a_file_in_place_of_the_events_folder_is_told_of_once(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "events").mkdir()
    (root / "events" / "t1").write_text("not a folder")
    tracking = begin(root)
    tracking.epoch(1, {"train_loss": 0.5})
    tracking.epoch(2, {"train_loss": 0.4})
    tracking.end(Outcome.FINISHED)
    (warning,) = warnings_in(caplog)
    assert "TensorBoard" in warning
    assert history(root, "train_loss") == [(1, 0.5), (2, 0.4)]


QUIET_PROCESS = """
import logging, os, socket, sys, threading
from pathlib import Path
calls = []
socket.socket.connect = lambda self, address: calls.append(address)
socket.getaddrinfo = lambda *address, **_: calls.append(address) or []
from parotid_brachy.lib.retraining import tracking
assert "mlflow" not in sys.modules and "tensorboard" not in sys.modules
if "mlflow first" in sys.argv:
    import mlflow
levels = [logging.getLogger(name).level for name in ("mlflow", "alembic")]
environment = {n: v for n, v in os.environ.items() if n != "_MLFLOW_TELEMETRY_SESSION_ID"}
root = Path(sys.argv[1])
run = tracking.Tracking.begin(root / "tracking", experiment="e", run_name="r", key="k",
                              parameters={}, tensorboard=root / "events")
run.epoch(1, {"train_loss": 0.5})
run.end(tracking.Outcome.FINISHED)
from mlflow import active_run
from mlflow.telemetry import get_telemetry_client
assert get_telemetry_client() is None
assert active_run() is None
assert not [t.name for t in threading.enumerate() if "elemetry" in t.name]
assert dict(os.environ) == environment, set(os.environ) ^ set(environment)
if "mlflow first" in sys.argv:
    assert [logging.getLogger(name).level for name in ("mlflow", "alembic")] == levels
assert calls == [], calls
print("quiet")
"""


@pytest.mark.parametrize("order", ["mlflow later", "mlflow first"])
def test_nothing_is_sent_and_nothing_global_is_left_changed(tmp_path: Path, order: str) -> None:
    # Where MLflow takes itself to be tested, it sends nothing anyway.
    tested = ("PYTEST", "CI", "GITHUB", "GITLAB", "JENKINS", "BUILDKITE", "TF_BUILD", "MLFLOW")
    environment = {n: v for n, v in os.environ.items() if not n.startswith((*tested, "DO_NOT"))}
    environment["XDG_CONFIG_HOME"] = str(tmp_path / "settings")
    done = subprocess.run(
        [sys.executable, "-c", QUIET_PROCESS, str(tmp_path), order],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, "INFO" in done.stderr) == ("quiet\n", False)
    has_identity = (tmp_path / "settings" / "mlflow").exists()
    assert has_identity == (order == "mlflow first")
