"""``scripts/serve --orthanc``: the Orthanc that it starts."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from tests.orthanc import PLUGIN, orthanc_program

SCRIPTS = Path(__file__).parents[1] / "scripts"
needs_orthanc = pytest.mark.skipif(
    not (orthanc_program() and PLUGIN.exists()), reason="no Orthanc here: scripts/test installs it"
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def run(tmp_path):
    """Runs lines of bash after the script's functions."""
    program = tmp_path / "venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    port = free_port()

    def execute(lines, **environment):
        script = f"""
        source "{SCRIPTS}/environment.sh"
        source "{SCRIPTS}/orthanc/start.sh"
        trap stop_orthanc EXIT
        {lines}
        """
        return subprocess.run(
            ["bash", "-c", script],
            env={
                **os.environ,
                "PAROTID_VENV": str(tmp_path / "venv"),
                "PAROTID_ORTHANC_DIR": str(tmp_path / "its files"),
                "PAROTID_ORTHANC_PORT": str(port),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    execute.port = port
    execute.folder = tmp_path / "its files"
    return execute


ASK = """
start_orthanc
url="http://127.0.0.1:$PAROTID_ORTHANC_PORT"
for path in dicom-web/studies system app/explorer.html; do
    curl -s -o /dev/null -w '%{http_code} ' "$url/$path"
    curl -s -o /dev/null -w '%{http_code} ' -u "parotid:$MONAI_LABEL_DICOMWEB_PASSWORD" "$url/$path"
done
"""


@needs_orthanc
@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_it_answers_with_its_password_only_and_ends_with_the_script(run):
    done = run(ASK)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:4] == ["401", "200", "401", "200"]
    assert f"http://127.0.0.1:{run.port}/dicom-web" in done.stderr
    for name in ("password", "orthanc.json"):
        assert stat.S_IMODE((run.folder / name).stat().st_mode) == 0o600
    password = (run.folder / "password").read_text().strip()
    assert password not in done.stderr
    assert len(password) >= 32
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{run.port}/system", timeout=5)
    # A second start finds the same password, and so what was kept.
    assert run("start_orthanc").returncode == 0
    assert (run.folder / "password").read_text().strip() == password


@needs_orthanc
def test_its_configuration_lets_nobody_else_in(run):
    assert run("start_orthanc").returncode == 0
    told = json.loads((run.folder / "orthanc.json").read_text())
    assert told["Plugins"] == [str(PLUGIN)]
    assert not told["RemoteAccessAllowed"]
    assert told["AuthenticationEnabled"]
    assert not told["DicomServerEnabled"]
    assert Path(told["StorageDirectory"]).parent == run.folder


@needs_orthanc
def test_a_scanners_port_is_opened_where_it_is_asked_for(run):
    port = free_port()
    done = run("start_orthanc", PAROTID_ORTHANC_DICOM_PORT=str(port))
    assert done.returncode == 0, done.stderr
    assert f"port {port}" in done.stderr
    told = json.loads((run.folder / "orthanc.json").read_text())
    assert (told["DicomServerEnabled"], told["DicomPort"]) == (True, port)


@needs_orthanc
def test_a_port_that_is_taken_is_told(run):
    with socket.socket() as other:
        other.bind(("0.0.0.0", run.port))
        other.listen()
        done = run("start_orthanc")
    assert done.returncode == 1
    assert "PAROTID_ORTHANC_PORT" in done.stderr


@pytest.mark.parametrize("port", ["x", "0", "70000"])
def test_a_port_that_is_none_is_told(run, port):
    done = run("find_orthanc() { :; }; start_orthanc", PAROTID_ORTHANC_PORT=port)
    assert done.returncode == 1
    assert f"{port}: no port number" in done.stderr


def test_without_orthanc_it_is_said_how_to_install_it(run):
    done = run("command() { return 1; }; find_orthanc")
    assert done.returncode == 1
    assert "apt-get install orthanc orthanc-dicomweb" in done.stderr
