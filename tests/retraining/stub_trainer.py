"""A trainer that trains nothing and does as ``STUB`` says: for tests of the queue.

Quick, as it imports nothing of the product; the job's folder tells what it did.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def tell(folder: Path, **changed: object) -> None:
    status = json.loads((folder / "status.json").read_text())
    partial = folder / f".status.{os.getpid()}"
    partial.write_text(json.dumps({**status, **changed}))
    partial.replace(folder / "status.json")


def wait_for(folder: Path, *names: str) -> str:
    while True:
        for name in names:
            if (folder / name).exists():
                return name
        time.sleep(0.01)


def main() -> int:
    folder, order = Path(sys.argv[1]), os.environ["STUB"]
    with (folder / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    if order == "fail at once":
        return 1
    if order == "leave a child with the locks":
        opened = sorted(int(path.name) for path in Path("/proc/self/fd").iterdir())
        locks = [
            number for number in opened if number > 2 and Path(f"/proc/self/fd/{number}").exists()
        ]
        child = subprocess.Popen(["/bin/sleep", "600"], pass_fds=locks)
        (folder / "child").write_text(str(child.pid))
    tell(folder, pid=os.getpid(), message="")
    if order == "leave a child with the locks":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "be deaf":
        wait_for(folder, "never")
    word = wait_for(folder, "finish", "stop")
    tell(folder, state={"finish": "done", "stop": "stopped"}[word])
    return 0


if __name__ == "__main__":
    sys.exit(main())
