import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.dicom.importing.series import write
from tests.imaging.damage_dicom import whole_series

from parotid_brachy.lib.dicom.importing import child_process
from parotid_brachy.lib.dicom.importing.child_process import ChildGoneError, ChildJob, run_child
from parotid_brachy.lib.dicom.importing.limits import ImportLimits
from parotid_brachy.lib.errors import InputRefusedError, TooLargeError

GIB = 1024**3


def job(files, *, memory=2 * GIB, seconds=60):
    given = {"files": [str(path) for path in files]}
    return ChildJob("survey", given, what="a source", seconds=seconds, memory_bytes=memory)


def endless(tmp_path):
    """A file that never comes to its end: the child waits for it."""
    path = tmp_path / "slice.dcm"
    os.mkfifo(path)
    return path


def test_the_answer_and_the_progress_come_back(tmp_path):
    files = sorted(write(tmp_path / "ct", whole_series()).iterdir())
    told = []
    answer = run_child(job(files), tmp_path, ImportLimits(), lambda *done: told.append(done))
    assert len(answer["series"]) == 1
    assert told[-1] == (14, 14)


def test_a_refusal_comes_back_as_the_error_that_it_was(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"nothing" * 100)
    (tmp_path / "out").mkdir()
    given = {"archive": str(tmp_path / "x.tar"), "folder": str(tmp_path / "out")}
    broken = ChildJob("unpack", given, what="x.tar", seconds=60, memory_bytes=2 * GIB)
    with pytest.raises(InputRefusedError, match=r"x\.tar: damaged archive"):
        run_child(broken, tmp_path, ImportLimits())
    import tarfile

    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for n in range(5):
            archive.addfile(tarfile.TarInfo(f"{n}"))
    with pytest.raises(TooLargeError, match="more than 3 members"):
        run_child(broken, tmp_path, ImportLimits(files=3))


def test_a_child_without_memory_is_an_error_with_a_reason(tmp_path):
    files = sorted(write(tmp_path / "ct", whole_series()).iterdir())
    with pytest.raises(InputRefusedError, match="a source: ") as refusal:
        run_child(job(files, memory=120 * 1024**2), tmp_path, ImportLimits())
    assert str(refusal.value).endswith(".")


def test_a_child_that_hangs_is_stopped(tmp_path):
    limits = ImportLimits(wall_factor=0.05)
    with pytest.raises(ChildGoneError, match="took too long"):
        run_child(job([endless(tmp_path)]), tmp_path, limits)


def test_a_child_that_needs_too_much_of_the_processor_is_stopped(tmp_path, monkeypatch):
    endless_loop = tmp_path / "endless_loop.py"
    endless_loop.write_text(
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass\n"
    )
    monkeypatch.setattr(child_process, "_MODULE", "endless_loop")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ChildGoneError, match="s of the processor"):
        run_child(job([]), tmp_path, ImportLimits())


def _kill_children_when_there_are_any():
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(os.getpid())],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.split()
        for pid in map(int, found):
            line = Path(f"/proc/{pid}/cmdline")
            if line.exists() and b"importing.child" in line.read_bytes():
                os.kill(pid, signal.SIGKILL)
                return


def test_a_killed_child_is_an_error_with_a_reason(tmp_path):
    killer = threading.Thread(target=_kill_children_when_there_are_any)
    killer.start()
    with pytest.raises(ChildGoneError, match=r"was killed \(signal 9\)") as gone:
        run_child(job([endless(tmp_path)]), tmp_path, ImportLimits())
    killer.join()
    assert gone.value.done == 0


@pytest.mark.parametrize(
    "program",
    [
        "",
        "open(sys.argv[2], 'w').write('[' * 100000)",
        "open(sys.argv[2], 'w').write('[]')",
        "open(sys.argv[2], 'wb').write(b'\\xff\\xfe')",
        "open(sys.argv[2], 'w').truncate(10**9)",
    ],
)
def test_an_answer_that_is_none_is_an_error(tmp_path, monkeypatch, program):
    (tmp_path / "liar.py").write_text(f"import sys\nprint('a' * 10**6, 3, -1)\n{program}\n")
    monkeypatch.setattr(child_process, "_MODULE", "liar")
    monkeypatch.syspath_prepend(str(tmp_path))
    told = []
    with pytest.raises(InputRefusedError, match="gave no answer"):
        run_child(job([]), tmp_path, ImportLimits(), lambda *done: told.append(done))
    assert told == []
