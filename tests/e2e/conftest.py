"""A real server process over painted heads, and the stock clients' own code."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import requests
import SimpleITK as sitk
import torch
from monailabel.client import MONAILabelClient
from scripts.measure.stock_clients import slicer_library

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK
from parotid_brachy.lib.review.readers import ReadersFile, readers_file_of
from parotid_brachy.lib.review.roles import Role
from parotid_brachy.lib.segmentation.presets import Step, preset_for
from parotid_brachy.lib.segmentation.registry import Registry, write_version

HERE = Path(__file__).parent
APP = HERE.parents[1] / "apps" / "parotid_brachy"
PAINTED = (str(HERE / "serve_painted.py"),)
UNCHANGED = ("-m", "monailabel.main")
OUR_ASGI = ("--uvicorn_app", "parotid_brachy.lib.server.asgi:app")
READY_IN_S = 400


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: where it listens.
        process: of it.
        studies: the folder that it serves.
        gate: folder whose file ``hold`` keeps inferences waiting.
    """

    url: str
    process: subprocess.Popen
    studies: Path
    gate: Path

    def is_alive(self):
        return self.process.poll() is None


def painted_head(gland_radius_mm):
    """A head whose structures lie round each gland in HU that tell them apart.

    Args:
        gland_radius_mm: of the left and the right gland.
    """
    size, spacing = np.array([96, 112, 64]), np.array([2.0, 2.0, 2.5])
    origin = -spacing * (size - 1) / 2
    k, j, i = np.indices(size[::-1])
    x, y, z = (o + s * index for o, s, index in zip(origin, spacing, (i, j, k), strict=True))
    hu = np.full(x.shape, -1000.0)
    hu[(x / 85) ** 2 + (y / 100) ** 2 < 1] = 40
    for sign, radius in zip((1, -1), gland_radius_mm, strict=True):
        centre = np.array([sign * 50.0, 5.0, 0.0])
        for structure, (dx, dy, dz) in zip(
            ORGANS_AT_RISK,
            [(-24, 0, 0), (0, 24, 0), (0, -24, 0), (0, 0, 24), (0, 0, -24), (-17, 17, 0)],
            strict=True,
        ):
            at = centre + np.array([sign * dx, dy, dz])
            near = (x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2 < 6.5**2
            hu[near] = 100 * structure.value + 100
        ball = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 < radius**2
        hu[ball] = 100 * GLAND.value + 100
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(origin.tolist())
    return image


def write_studies(folder):
    """A folder with two cases: a smaller gland on the left, and one on the right."""
    folder.mkdir()
    sitk.WriteImage(painted_head((14, 17)), str(folder / "operated_left.nii.gz"))
    sitk.WriteImage(painted_head((17, 14)), str(folder / "operated right.nrrd"))
    return folder


def painted_labels(studies, case, values=(3, 7)):
    """A label map of small boxes on a case's grid, as the bytes of a NIfTI file."""
    (image_file,) = studies.glob(f"{case}.*")
    image = sitk.ReadImage(str(image_file))
    labels = np.zeros(image.GetSize()[::-1], np.uint8)
    for n, value in enumerate(values):
        labels[20:30, 20:30, 20 + 10 * n : 28 + 10 * n] = value
    drawn = sitk.GetImageFromArray(labels)
    drawn.CopyInformation(image)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.nii.gz"
        sitk.WriteImage(drawn, str(path), useCompression=True)
        return path.read_bytes()


def write_registry(root):
    """Versions of both steps, with manifests and hashes, and no networks in them."""
    registry = Registry(root)
    for step in (Step.GLAND, Step.ORGANS_AT_RISK):
        for name in ("painted-1", "painted-2"):
            write_version(
                root / step.value / name,
                preset=preset_for("compact", step),
                weights={"none": torch.zeros(1)},
                plans={},
                description={},
                manifest={},
            )
        registry.promote(step, "painted-1")


@pytest.fixture(scope="session")
def start_server(tmp_path_factory):
    """Starts servers, by default with painted networks, and stops them at the end."""
    processes = []

    def start(*arguments, studies, model_dir, gate=None, program=PAINTED):
        port = _free_port()
        command = [sys.executable, *program, "start_server"]
        command += ["--app", str(APP), "--studies", str(studies), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--conf", "model_dir", str(model_dir), *arguments]
        log = (tmp_path_factory.mktemp("log") / "server.log").open("w")
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=tmp_path_factory.mktemp("elsewhere"),
            env={
                **os.environ,
                "PAROTID_TEST_GATE": str(gate or os.devnull),
                "MONAI_LABEL_TRACKING_ENABLED": "false",
            },
        )
        processes.append(process)
        server = Server(f"http://127.0.0.1:{port}", process, studies, gate)
        _wait_until_ready(server, Path(log.name))
        return server

    yield start
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        process.wait(30)


@pytest.fixture(scope="session", params=[OUR_ASGI, ()], ids=["our-asgi", "plain-start-server"])
def server(request, start_server, tmp_path_factory):
    """A server over two painted cases, started as ``scripts/serve`` does, and plainly."""
    root = tmp_path_factory.mktemp("with spaces in it")
    gate = root / "gate"
    gate.mkdir()
    write_registry(root / "models")
    studies = write_studies(root / "my studies")
    ReadersFile(readers_file_of(studies)).add("sofia", Role.REVIEWER, None)
    return start_server(
        *request.param,
        *("--conf", "loopback_reviewer", "sofia"),
        studies=studies,
        model_dir=root / "models",
        gate=gate,
    )


@pytest.fixture
def studies(tmp_path):
    """A folder with the painted cases."""
    return write_studies(tmp_path / "studies")


@pytest.fixture(params=["python", "slicer"])
def client(request, server, tmp_path):
    """The stock clients: MONAI Label's Python client, and the 3D Slicer plugin's."""
    if request.param == "python":
        return MONAILabelClient(server.url, tmpdir=str(tmp_path))
    return slicer_library().MONAILabelClient(server.url, tmpdir=str(tmp_path))


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_ready(server, log):
    until = time.monotonic() + READY_IN_S
    while time.monotonic() < until:
        if not server.is_alive():
            break
        try:
            requests.get(f"{server.url}/favicon.ico", timeout=5)
            return
        except requests.ConnectionError:
            time.sleep(0.1)
    pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")
