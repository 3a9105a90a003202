"""A server over painted heads that can be trained on, and trainings asked for by REST."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
from scripts.measure.servers import AS_SCRIPTS_SERVE, ServerProcess, Serving
from tests.retraining.approved_heads import approved_heads

from parotid_brachy.lib.retraining import job_processes
from parotid_brachy.lib.retraining.job_folder import JobFolder
from parotid_brachy.lib.retraining.job_queue import JOBS
from parotid_brachy.lib.review.readers import ReadersFile, readers_file_of
from parotid_brachy.lib.review.roles import Role

_SENIOR: Final = "sofia"
_ANSWER_S: Final = 120.0
LENIENT: Final = {
    "gate_patients": "1",
    "gate_margin_dsc": "1",
    "gate_seconds_factor": "100",
}
"""With it, what seconds of training make of a network may serve."""


@dataclass(frozen=True)
class TrainingStudies:
    """Studies with approved contours, model versions, and a server over both.

    Attributes:
        studies: folder of the studies.
        models: root of the registry.
        server: not started yet.
    """

    studies: Path
    models: Path
    server: ServerProcess

    @classmethod
    def of(
        cls, folder: Path, models: Path, *, heads: int, conf: Mapping[str, str] = LENIENT
    ) -> TrainingStudies:
        """Paints heads, and approves their contours.

        Args:
            folder: new; for the studies and the server's log.
            models: of the server.
            heads: how many; two of seven are not trained on.
            conf: of the server.
        """
        folder.mkdir(parents=True, exist_ok=True)
        studies = folder / "studies"
        approved_heads(studies, heads).store.close()
        ReadersFile(readers_file_of(studies)).add(_SENIOR, Role.REVIEWER, None)
        arguments = [*AS_SCRIPTS_SERVE, "--conf", "loopback_reviewer", _SENIOR]
        for key, value in conf.items():
            arguments += ["--conf", key, value]
        server = ServerProcess(Serving(studies, models, folder / "server.log", tuple(arguments)))
        return cls(studies, models, server)

    @property
    def store_folder(self) -> Path:
        """Of the version store."""
        return self.studies / ".parotid"

    def train(self, task: str, options: Mapping[str, Any]) -> JobFolder:
        """Asks for a training as MONAI Label's clients do.

        Raises:
            requests.HTTPError: it is refused.
        """
        url = f"{self.server.url}/train/{task}"
        answer = requests.post(url, json=dict(options), timeout=_ANSWER_S)
        answer.raise_for_status()
        return JobFolder(self.store_folder / JOBS / str(answer.json()["id"]))

    def job_row(self, job: str) -> dict[str, Any]:
        """What ``GET /review/jobs`` tells of a job.

        Raises:
            requests.RequestException: the server does not answer.
        """
        answer = requests.get(f"{self.server.url}/review/jobs", timeout=_ANSWER_S)
        answer.raise_for_status()
        (row,) = (one for one in answer.json()["items"] if one["id"] == job)
        return dict(row)

    def infer(self, case: str, task: str = "two_step") -> requests.Response:
        """Asks for a case's draft."""
        url = f"{self.server.url}/infer/{task}"
        return requests.post(url, params={"image": case}, timeout=_ANSWER_S)

    def jobs(self) -> Sequence[str]:
        """The ids of all jobs."""
        folder = self.store_folder / JOBS
        there = folder.iterdir() if folder.is_dir() else ()
        return sorted(path.name for path in there if not path.name.startswith("."))

    @contextlib.contextmanager
    def cleared_up(self) -> Iterator[None]:
        """Ends the server and every trainer, however the measurement ends."""
        try:
            yield
        finally:
            self.server.kill()
            for job in self.jobs():
                job_processes.kill_all_of(job)


def wait_until(
    condition: Callable[[], bool], *, within_s: float, what: str, pause_s: float = 0.05
) -> float:
    """Waits; returns for how many seconds.

    Raises:
        RuntimeError: it did not become so.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within_s:
            message = f"not within {within_s:.0f} s: {what}"
            raise RuntimeError(message)
        time.sleep(pause_s)
    return time.monotonic() - began
