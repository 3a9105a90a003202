"""A throw-away Orthanc with DICOMweb, on this machine only."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import requests

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "parotid", "only for tests"
READY_IN_S = 60


def orthanc_program():
    """Where Orthanc is; Debian keeps servers off the PATH."""
    return shutil.which("Orthanc", path=f"{os.environ['PATH']}:/usr/sbin")


@dataclass
class Orthanc:
    """One archive; it can be stopped, killed and started again, and keeps what it has.

    Attributes:
        folder: for its configuration and its objects.
        port: of its HTTP server.
    """

    folder: Path
    port: int
    process: subprocess.Popen | None = field(default=None, repr=False)

    @property
    def url(self):
        """Of its DICOMweb services."""
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def rest(self, path, method="GET", **kwargs):
        """Asks its own REST API."""
        url = f"http://127.0.0.1:{self.port}/{path}"
        answer = requests.request(method, url, auth=(USER, PASSWORD), timeout=30, **kwargs)
        answer.raise_for_status()
        return answer.json()

    def upload(self, folder):
        """Takes in all files of a folder."""
        for path in sorted(Path(folder).iterdir()):
            self.rest("instances", "POST", data=path.read_bytes())

    def series(self, modality):
        """The main tags of all series of a modality, each with its id and instances."""
        every = [self.rest(f"series/{one}") for one in self.rest("series")]
        return [one for one in every if one["MainDicomTags"]["Modality"] == modality]

    def start(self):
        """Starts it, and waits until it answers."""
        with (self.folder / "log").open("a") as log:
            command = [orthanc_program(), str(self.folder / "orthanc.json")]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        until = time.monotonic() + READY_IN_S
        while time.monotonic() < until:
            with contextlib.suppress(requests.RequestException):
                self.rest("system")
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def stop(self, sent=signal.SIGTERM):
        """Stops it."""
        if self.process is not None:
            self.process.send_signal(sent)
            self.process.wait(30)
            self.process = None


@contextlib.contextmanager
def orthanc(folder):
    """Starts one, and stops it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "objects").mkdir()
    configuration = {
        "StorageDirectory": str(folder / "objects"),
        "IndexDirectory": str(folder / "objects"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": port,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    archive = Orthanc(folder, port)
    archive.start()
    try:
        yield archive
    finally:
        archive.stop()
