"""One run: clients at work, servers killed at random moments and started again, then the audit."""

from __future__ import annotations

import contextlib
import json
import random
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from scripts.measure.crash_audit import Audit
from scripts.measure.crash_clients import (
    Client,
    Ledger,
    Senior,
    Tally,
    Work,
    acknowledged,
    write_cases,
)
from scripts.measure.crash_disk import Filler, small_disk
from scripts.measure.servers import AS_SCRIPTS_SERVE, ServerProcess, Serving
from tqdm import tqdm

from parotid_brachy.lib.review.readers import ReadersFile
from parotid_brachy.lib.review.roles import Role

_LOOPBACK_REVIEWER: Final = "senior_0"
_SHORTEST_MEAN_LIFE_S: Final = 2.0
"""Between a server's start and its kill, however long the starts take: people save meanwhile."""
_PAUSE_S: Final = 0.5
_START_KILLED: Final = 0.1
"""How often a server is killed again while it is still starting."""


@dataclass(frozen=True)
class CrashPlan:
    """What is done to the store.

    Attributes:
        minutes: how long it takes, if the starts leave room for it; else longer.
        kills: how many times a server is killed.
        clients: how many there are, of whom three in eight are seniors.
        servers: processes on the one store, killed by turns.
        disk_mib: the studies lie on a disk of this size that is filled again and again; 0: on an
            ordinary one.
        cases: in the folder of studies.
        size: voxels along each axis of the images.
        seed: of what is random.
        arguments: of the servers.
    """

    minutes: float = 10.0
    kills: int = 100
    clients: int = 8
    servers: int = 1
    disk_mib: int = 0
    cases: int = 12
    size: int = 48
    seed: int = 1
    arguments: tuple[str, ...] = AS_SCRIPTS_SERVE


@dataclass
class Course:
    """How it went, as far as it has come.

    Attributes:
        kills: servers killed.
        kills_while_starting: those of them that were not ready yet.
        restarts_s: from each start after a kill until the server answered about its store.
        serving_s: time during which at least one server was ready.
        times_full: how many times the disk was filled.
        given_up: starts that the server itself gave up, because the disk was full.
    """

    kills: int = 0
    kills_while_starting: int = 0
    restarts_s: list[float] = field(default_factory=list)
    serving_s: float = 0.0
    times_full: int = 0
    given_up: int = 0


def run_crashes(plan: CrashPlan, folder: Path, database: str | None = None) -> dict[str, Any]:
    """Runs a plan and says what is left.

    Args:
        plan: what is done.
        folder: new; for the studies, the ledgers, the logs and the results as they come
            (``progress.json``).
        database: of the store's rows; None: SQLite in the studies.

    Returns:
        Figures and faults, as JSON values.

    Raises:
        RuntimeError: a server did not start again.
    """
    studies, ledgers, models = folder / "studies", folder / "ledgers", folder / "no models"
    for path in (folder, studies, ledgers, models):
        path.mkdir(parents=True, exist_ok=path == folder)
    disk = small_disk(studies, plan.disk_mib) if plan.disk_mib else contextlib.nullcontext()
    with disk:
        return _run_on(plan, folder, database)


def _run_on(plan: CrashPlan, folder: Path, database: str | None) -> dict[str, Any]:
    studies, rng = folder / "studies", _random(plan.seed)
    cases, grid = write_cases(studies, plan.cases, plan.size)
    names = _write_readers(studies, plan.clients)
    arguments = (*plan.arguments, "--conf", "loopback_reviewer", _LOOPBACK_REVIEWER)
    arguments += ("--conf", "database", database) if database else ()
    servers = [
        ServerProcess(
            Serving(studies, folder / "no models", folder / f"server-{number}.log", arguments)
        )
        for number in range(plan.servers)
    ]
    tally, stop, course = Tally(), threading.Event(), Course()
    work = Work(servers, cases, grid, tally, stop)
    clients = [
        (Senior if name.startswith("senior") else Client)(
            name, work, Ledger(folder / "ledgers" / f"{name}.jsonl"), _random(rng.random())
        )
        for name in names
    ]
    filler = Filler(studies, _random(rng.random())) if plan.disk_mib else None
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait_until_ready()
        for thread in (*clients, *([filler] if filler else [])):
            thread.start()
        for _ in _killings(plan, servers, course, rng):
            course.times_full = filler.times_full if filler else 0
            _note_progress(folder, plan, course, tally)
    finally:
        stop.set()
        for server in servers:
            server.kill()
        for client in clients:
            if client.ident is not None:
                client.join()
        if filler is not None and filler.ident is not None:
            filler.stop()
            course.times_full = filler.times_full
    _recover(servers, course)
    entries = acknowledged(folder / "ledgers")
    audit = Audit(studies, database)
    findings = audit.run(entries)
    findings.own_verdict += audit.own_verdict()
    saves = sum(entry["kind"] == "save" for entry in entries)
    return {
        "plan": asdict(plan) | {"database": "PostgreSQL" if database else "SQLite"},
        "acknowledged_saves": saves,
        "acknowledged_reviews": len(entries) - saves,
        "saves_per_second": saves / course.serving_s if course.serving_s else None,
        "kills": course.kills,
        "kills_while_starting": course.kills_while_starting,
        "serving_s": course.serving_s,
        "longest_restart_s": max(course.restarts_s, default=None),
        "median_restart_s": statistics.median(course.restarts_s) if course.restarts_s else None,
        "times_full": course.times_full,
        "starts_given_up": course.given_up,
        "server_faults": sum(
            count
            for answer, count in tally.answers.items()
            if answer.rpartition(" ")[2].startswith("5") and not answer.endswith(" 507")
        ),
        **findings.counts(),
        "answers": dict(sorted(tally.answers.items())),
        "faults_in_words": {**findings.shown(), "server_faults": tally.faults},
    }


def _random(seed: float) -> random.Random:
    return random.Random(seed)  # noqa: S311 (no secret)


def _write_readers(studies: Path, clients: int) -> list[str]:
    """Writes the readers file; returns who works: of eight, five annotators and three seniors."""
    seniors = max(1, clients * 3 // 8)
    names = [f"senior_{n}" for n in range(seniors)]
    names += [f"annotator_{n}" for n in range(clients - seniors)]
    readers = ReadersFile(studies / ".parotid" / "readers.json")
    for name in names:
        role = Role.REVIEWER if name.startswith("senior") else Role.ANNOTATOR
        readers.add(name, role, None)
    return names


def _killings(
    plan: CrashPlan, servers: list[ServerProcess], course: Course, rng: random.Random
) -> Iterator[None]:
    """Kills and starts again by turns, until both the kills and the minutes are done."""
    until = time.monotonic() + 60.0 * plan.minutes
    progress = tqdm(total=plan.kills, desc="kills", disable=None)
    for number in range(plan.kills):
        server = servers[number % len(servers)]
        left = plan.kills - number
        restart_s = statistics.fmean(course.restarts_s) if course.restarts_s else 0.0
        mean_s = max(_SHORTEST_MEAN_LIFE_S, (until - time.monotonic()) / left - restart_s)
        life_s = rng.uniform(0.0, 2.0 * mean_s)
        time.sleep(life_s)
        course.serving_s += life_s
        began = time.monotonic()
        server.kill()
        course.kills += 1
        server.start()
        if rng.random() < _START_KILLED:
            time.sleep(rng.uniform(0.0, restart_s or 5.0))
            server.kill()
            course.kills_while_starting += 1
            server.start()
        started = time.monotonic()
        _wait_patiently(server, course, tries=20 if plan.disk_mib else 1)
        course.restarts_s.append(time.monotonic() - started)
        if len(servers) > 1:  # the others served meanwhile
            course.serving_s += time.monotonic() - began
        progress.update()
        yield
    rest_s = max(0.0, until - time.monotonic())
    time.sleep(rest_s)
    course.serving_s += rest_s
    yield


def _wait_patiently(server: ServerProcess, course: Course, *, tries: int) -> None:
    """Waits until it is ready; on a full disk it may give up, and its keeper starts it again."""
    for left in range(tries, 0, -1):
        try:
            server.wait_until_ready()
            return
        except RuntimeError:
            if left == 1 or server.is_alive():
                raise
        course.given_up += 1
        time.sleep(_PAUSE_S)
        server.start()


def _recover(servers: list[ServerProcess], course: Course) -> None:
    """Starts one server a last time, alone and with nobody asking, and stops it as its keeper."""
    began = time.monotonic()
    servers[0].start()
    servers[0].wait_until_ready()
    course.restarts_s.append(time.monotonic() - began)
    servers[0].stop()


def _note_progress(folder: Path, plan: CrashPlan, course: Course, tally: Tally) -> None:
    """Writes how far it has come, so that a run that is cut off leaves figures behind."""
    so_far = {"plan": asdict(plan), **asdict(course), "answers": dict(tally.answers)}
    partial = folder / "progress.json.partial"
    partial.write_text(json.dumps(so_far, indent=2))
    partial.replace(folder / "progress.json")
