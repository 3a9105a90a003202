import os
import stat
import sys
import time
from pathlib import Path

import psutil
import pytest

from parotid_brachy.lib.dicom.segmentation import dcmqi
from parotid_brachy.lib.dicom.segmentation.dcmqi import (
    ConversionError,
    Tool,
    find_tool,
    run_tool,
)
from parotid_brachy.lib.errors import NotFoundError


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Puts a script in dcmqi's place: only it is found, on the PATH."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python" / "bin" / "python"))
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")

    def write(body: str) -> Path:
        path = bin_folder / Tool.WRITE.value
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


def run(folder, *arguments, time_limit_s=20.0):
    return run_tool(Tool.WRITE, arguments, folder, case="case_1", time_limit_s=time_limit_s)


def test_the_program_beside_this_python_is_taken_first(fake, tmp_path, monkeypatch):
    on_path = fake("echo path")
    assert find_tool(Tool.WRITE) == on_path
    beside = tmp_path / "python" / "bin" / Tool.WRITE.value
    beside.parent.mkdir(parents=True)
    beside.write_bytes(on_path.read_bytes())
    beside.chmod(0o755)
    assert find_tool(Tool.WRITE) == beside


def test_a_missing_program_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFoundError, match="pip install dcmqi"):
        run(tmp_path)


def test_what_it_said_is_given_back(fake, tmp_path):
    fake('echo "$1" | tr a-z A-Z; echo more >&2')
    assert run(tmp_path, "spoken") == "SPOKEN\nmore\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo bad geometry; exit 3", "failed with exit code 3.*bad geometry"),
        ("kill -9 $$", "was killed .signal 9"),
        ("kill -SEGV $$", "was killed .signal 11"),
    ],
)
def test_a_failure_is_named(fake, tmp_path, body, message):
    fake(body)
    with pytest.raises(ConversionError, match=f"case_1.*{message}"):
        run(tmp_path)


def test_one_that_takes_too_long_is_killed_with_its_children(fake, tmp_path):
    fake("sleep 300 & echo $! > child; wait")
    with pytest.raises(ConversionError, match=r"longer than 0\.5 s"):
        run(tmp_path, time_limit_s=0.5)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie":
            return
        time.sleep(0.05)
    pytest.fail("the child is still running")


def test_a_flood_of_words_is_cut(fake, tmp_path):
    fake("yes talk | head -c 5000000; echo end")
    said = run(tmp_path)
    assert len(said) <= 65_536
    assert said.endswith("end\n")


def test_a_failure_on_a_full_disk_is_called_so(fake, tmp_path, monkeypatch):
    from parotid_brachy.lib.errors import StoreFullError

    fake("exit 1")
    usage = type("Usage", (), {"free": 0})
    monkeypatch.setattr(dcmqi.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(StoreFullError, match="Make room"):
        run(tmp_path)
