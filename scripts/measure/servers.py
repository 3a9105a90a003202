"""Server processes that measurements start, kill and start again, on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import requests
from scripts.measure.networks import SHIPPED

APP: Final = SHIPPED.parent
AS_SCRIPTS_SERVE: Final = ("--uvicorn_app", "parotid_brachy.lib.server.asgi:app")
"""What ``scripts/serve`` adds to MONAI Label's ``start_server``; without it, it is plain."""
_PAUSE_S: Final = 0.05
_STOP_S: Final = 60.0


@dataclass(frozen=True)
class Serving:
    """How a server is started.

    Attributes:
        studies: folder that it serves.
        models: folder of its model versions; an empty one makes a server that does not infer.
        log: file that its words are added to.
        arguments: of ``start_server``, beyond the app, the studies and the address.
        environment: variables that are set for it.
    """

    studies: Path
    models: Path
    log: Path
    arguments: Sequence[str] = AS_SCRIPTS_SERVE
    environment: Mapping[str, str] = field(default_factory=dict)


class ServerProcess:
    """A server on one port, which lives, dies and lives again.

    Args:
        serving: how it is started.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    def start(self) -> None:
        """Starts it, without waiting until it is ready."""
        s = self._serving
        command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(APP)]
        command += ["--studies", str(s.studies), "--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--conf", "model_dir", str(s.models), *s.arguments]
        environment = {
            **os.environ,
            "MONAI_LABEL_TRACKING_ENABLED": "false",
            "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
            "OMP_WAIT_POLICY": "PASSIVE",
            **s.environment,
        }
        with s.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=s.log.parent
            )

    def wait_until_ready(self, within_s: float = 300.0) -> None:
        """Returns when it answers about its store.

        Raises:
            RuntimeError: it ended, or did not become ready; with the end of its log.
        """
        until = time.monotonic() + within_s
        while time.monotonic() < until and self.is_alive():
            try:
                if requests.get(f"{self.url}/datastore/", timeout=30).ok:
                    return
            except requests.RequestException:
                pass
            time.sleep(_PAUSE_S)
        words = self._serving.log.read_text(errors="replace")[-3000:]
        message = f"the server at {self.url} did not become ready:\n{words}"
        raise RuntimeError(message)

    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Ends it as a loss of power does, as far as a process can see (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Ends it as its keeper does."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
