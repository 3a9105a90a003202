"""How long other clients wait while an inference runs.

So many requests are sent one after the other while inferences follow each other without a gap,
and as many with the server at rest: ``/info/``, downloading a label, and (only on a server that
this program has started on a copy of the image) saving one.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
from scripts.measure.networks import SHIPPED
from scripts.measure.tables import markdown, write_csv
from tqdm import tqdm

APP: Final = SHIPPED.parent
_READY_S: Final = 600.0
_INFER_S: Final = 1800.0
_ANSWER_S: Final = 600.0
"""Long, so that a server that makes everyone wait is measured and not given up."""


@dataclass(frozen=True)
class Target:
    """A server and a case of its studies.

    Attributes:
        url: of the server.
        case: an image's id.
        may_save: whether saving labels to it hurts nobody.
    """

    url: str
    case: str
    may_save: bool

    def infer(self) -> None:
        """Runs an inference and keeps its draft."""
        answer = requests.post(
            f"{self.url}/infer/two_step", params={"image": self.case}, timeout=_INFER_S
        )
        _require_ok(answer)

    def requests(self) -> dict[str, Callable[[], requests.Response]]:
        """What another client asks, by name."""
        label = {"label": self.case, "tag": "original"}
        asked = {
            "GET /info/": lambda: requests.get(f"{self.url}/info/", timeout=_ANSWER_S),
            "GET /datastore/label": lambda: requests.get(
                f"{self.url}/datastore/label", params=label, timeout=_ANSWER_S
            ),
        }
        if self.may_save:
            content = asked["GET /datastore/label"]().content
            asked["PUT /datastore/label"] = lambda: requests.put(
                f"{self.url}/datastore/label",
                params={"image": self.case, "tag": "final"},
                files={"label": ("label.nii.gz", content)},
                timeout=_ANSWER_S,
            )
        return asked


class Inferences:
    """Inferences one after the other in the background."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_going, daemon=True)
        self.finished = 0
        self.failed: Exception | None = None

    def __enter__(self) -> Inferences:
        """Starts the first one."""
        self._thread.start()
        time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        """Lets the running one end."""
        self._stop.set()
        self._thread.join()

    def _keep_going(self) -> None:
        while not self._stop.is_set():
            try:
                self._target.infer()
            except (requests.RequestException, RuntimeError) as error:
                self.failed = error
                return
            self.finished += 1


def _require_ok(answer: requests.Response) -> None:
    if not answer.ok:
        message = f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:2000]}"
        raise RuntimeError(message)


def ask(target: Target, count: int, what: str) -> list[dict[str, Any]]:
    """Sends requests in turn; one row each."""
    kinds = itertools.cycle(target.requests().items())
    rows = []
    for name, send in tqdm(itertools.islice(kinds, count), total=count, desc=what, file=sys.stderr):
        began = time.perf_counter()
        answer = send()
        seconds = time.perf_counter() - began
        _require_ok(answer)
        rows.append({"while": what, "request": name, "milliseconds": round(1000 * seconds, 2)})
    return rows


def measure(target: Target, count: int) -> tuple[list[dict[str, Any]], int]:
    """All requests, and how many inferences ended meanwhile."""
    target.infer()  # the models are loaded, and there is a label to download
    rows = ask(target, count, "at rest")
    with Inferences(target) as inferences:
        rows += ask(target, count, "inference runs")
        if inferences.failed:
            raise inferences.failed
    return rows, inferences.finished


def summary_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Median, 95th percentile and slowest by request."""
    summary = []
    names = sorted({row["request"] for row in rows})
    for what in ("at rest", "inference runs"):
        for name in (*names, "all"):
            values = [
                row["milliseconds"]
                for row in rows
                if row["while"] == what and name in (row["request"], "all")
            ]
            if len(values) > 1:
                summary.append(
                    {
                        "while": what,
                        "request": name,
                        "n": len(values),
                        "median ms": round(statistics.median(values), 1),
                        "95th percentile ms": round(
                            statistics.quantiles(values, n=20, method="inclusive")[-1], 1
                        ),
                        "slowest ms": round(max(values), 1),
                    }
                )
    return summary


@contextlib.contextmanager
def own_server(image: Path, models: Path) -> Iterator[Target]:
    """A server over a copy of one image, as ``scripts/serve`` starts it."""
    with tempfile.TemporaryDirectory(prefix="concurrency-") as name:
        folder = Path(name)
        studies = folder / "studies"
        studies.mkdir()
        shutil.copyfile(image, studies / image.name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(APP)]
        command += ["--studies", str(studies), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--conf", "model_dir", str(models.resolve())]
        command += ["--uvicorn_app", "parotid_brachy.lib.server.asgi:app"]
        log = folder / "server.log"
        with log.open("w") as stream:
            server = subprocess.Popen(
                command,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, "MONAI_LABEL_TRACKING_ENABLED": "false"},
            )
            try:
                url = f"http://127.0.0.1:{port}"
                _wait_until_ready(server, url)
                yield Target(url, first_case(url), may_save=True)
            except BaseException:
                time.sleep(1.0)  # the server logs a failure after it has answered
                print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
                raise
            finally:
                server.terminate()
                server.wait(60)


def _wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + _READY_S
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(requests.ConnectionError):
            requests.get(f"{url}/info/", timeout=60)
            return
        time.sleep(0.2)
    message = f"the server did not start within {_READY_S:.0f} s, or ended"
    raise RuntimeError(message)


def first_case(url: str) -> str:
    """A case of a server's studies."""
    answer = requests.get(f"{url}/datastore/", params={"output": "all"}, timeout=60)
    answer.raise_for_status()
    cases = sorted(answer.json()["objects"])
    if not cases:
        message = f"{url} has no images"
        raise RuntimeError(message)
    return str(cases[0])


def main() -> int:
    """Measures a server that runs, or one of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="a running server; it gets drafts, no saved labels")
    where.add_argument("--image", type=Path, help="a CT file for a server of our own")
    parser.add_argument("--case", help="with --url: which case (default: the first)")
    parser.add_argument("--models", type=Path, default=SHIPPED, metavar="DIR", help="registry")
    parser.add_argument("--count", type=int, default=200, metavar="N")
    parser.add_argument("--output", type=Path, metavar="CSV")
    args = parser.parse_args()
    if args.url:
        url = args.url.rstrip("/")
        target = Target(url, args.case or first_case(url), may_save=False)
        rows, finished = measure(target, args.count)
    else:
        with own_server(args.image, args.models) as target:
            rows, finished = measure(target, args.count)
    if args.output:
        write_csv(args.output, rows)
    print(f"\n{args.count} requests each; {finished} inferences ran meanwhile\n")
    print(markdown(summary_rows(rows)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
