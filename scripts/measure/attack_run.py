"""A server's studies before and after hostile requests: nothing may be another."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import requests
import SimpleITK as sitk
from scripts.measure.attack_bodies import attacks_by_body
from scripts.measure.attack_labels import good_labels
from scripts.measure.attack_names import attacks_by_name
from scripts.measure.attack_protocol import attacks_by_protocol
from scripts.measure.attack_wire import Attack, Outcome, send
from sqlalchemy import MetaData, create_engine, select, text
from tqdm import tqdm

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.imaging.label_encoding import nrrd_bytes
from parotid_brachy.lib.imaging.volume import Grid, to_image
from parotid_brachy.lib.review.readers import ReadersFile
from parotid_brachy.lib.review.roles import Role

GRID: Final = Grid(
    (30, 34, 32), (2.0, 2.0, 2.5), (-40.0, -35.0, 12.5), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
)
CASES: Final = ("new", "submitted", "approved")
_ADMIN: Final = "Eve"
_READER: Final = "Ada"
_PASSWORD: Final = "only for this measurement"  # noqa: S105 (of a folder that is thrown away)
_DATABASE_FILES: Final = ("store.sqlite", "store.sqlite-wal", "store.sqlite-shm")
_MAY_CHANGE: Final = ("quarantine", "logs")
_ANSWER_S: Final = 60.0


@dataclass(frozen=True)
class Surroundings:
    """Folders of a server under attack, all in one, with what it must not touch beside them.

    Attributes:
        root: of all of them.
    """

    root: Path

    @property
    def studies(self) -> Path:
        """The folder that is served."""
        return self.root / "studies"

    @property
    def _sqlite(self) -> str:
        return f"sqlite:///{self.studies}/.parotid/store.sqlite"

    @property
    def environment(self) -> Mapping[str, str]:
        """Keeps the server's temporary files and sessions within sight."""
        return {
            "TMPDIR": str(self.root / "temporary"),
            "MONAI_LABEL_SESSION_PATH": str(self.root / "sessions"),
        }

    def build(self) -> None:
        """Makes the folders, the cases and the readers."""
        for name in ("studies", "temporary", "sessions", "elsewhere", "logs"):
            (self.root / name).mkdir()
        (self.root / "secret.nii.gz").write_bytes(b"secret")
        for number, case in enumerate(CASES):
            rng = np.random.default_rng(number)
            hu = rng.integers(-1000, 1500, GRID.shape_kji).astype(np.int16)
            sitk.WriteImage(to_image(hu, GRID), str(self.studies / f"{case}.nii.gz"))
        readers = ReadersFile(self.studies / ".parotid" / "readers.json")
        readers.add(_READER, Role.ANNOTATOR, None)
        readers.add(_ADMIN, Role.ADMIN, _PASSWORD)

    def arm(self, url: str, database: str | None = None) -> bytes:
        """Brings the cases where they should be, by ordinary requests.

        Args:
            url: of the server.
            database: of the store's rows; None: SQLite in the studies.

        Returns:
            An admin's token.
        """
        form = {"username": _ADMIN, "password": _PASSWORD, "grant_type": "password"}
        token = _ok(requests.post(f"{url}/auth/token", data=form, timeout=_ANSWER_S)).json()
        content = nrrd_bytes(good_labels(GRID), GRID, segments=STRUCTURES)
        for case in CASES[1:]:
            _ok(
                requests.put(
                    f"{url}/datastore/label",
                    params={"image": case},
                    data={"params": json.dumps({"client_id": _READER})},
                    files={"label": ("label.seg.nrrd", content)},
                    timeout=_ANSWER_S,
                )
            )
        bearer = f"Bearer {token['access_token']}"
        _ok(
            requests.post(
                f"{url}/review/cases/{CASES[2]}/transitions",
                json={"action": "approve", "tag": "final"},
                headers={"Authorization": bearer},
                timeout=_ANSWER_S,
            )
        )
        self._let_it_settle(database)
        return bearer.encode()

    def _let_it_settle(self, database: str | None) -> None:
        """Waits until the server has compared what was handed over, which it does by itself."""
        until = time.monotonic() + _ANSWER_S
        engine = create_engine(database or self._sqlite)
        query = text("select count(*) from handovers where agreement is null")
        while time.monotonic() < until:
            with engine.connect() as connection:
                if not connection.execute(query).scalar():
                    break
            time.sleep(0.1)
        engine.dispose()

    def state(self, database: str | None = None) -> dict[str, str]:
        """Every file and every row, with a hash; what grows by right is left out."""
        found = {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.root.rglob("*")
            if path.is_file()
            and path.name not in _DATABASE_FILES
            and not set(path.relative_to(self.root).parts) & set(_MAY_CHANGE)
        }
        engine = create_engine(database or self._sqlite)
        tables = MetaData()
        tables.reflect(engine)
        with engine.connect() as connection:
            for name, table in tables.tables.items():
                rows = sorted(repr(tuple(row)) for row in connection.execute(select(table)))
                found[f"table {name}"] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
        engine.dispose()
        return found


@dataclass(frozen=True)
class Report:
    """What became of all attacks.

    Attributes:
        outcomes: one for each.
        changes: files and tables that are not as they were.
        is_alive: the server answers afterwards.
    """

    outcomes: Sequence[Outcome]
    changes: Sequence[str]
    is_alive: bool

    @property
    def faults(self) -> list[str]:
        """Everything that should not be, in words."""
        found = [
            f"{o.verdict.value} {o.status}: {o.attack.method} {o.attack.group}: "
            f"{o.attack.name} -> {o.told[:120]}"
            for o in self.outcomes
            if not o.is_as_it_should
        ]
        found += [f"changed: {name}" for name in self.changes]
        return found if self.is_alive else [*found, "the server does not answer any more"]

    def figures(self) -> dict[str, Any]:
        """Counts by verdict, and the longest answer."""
        counts: dict[str, Any] = {"attacks": len(self.outcomes)}
        for outcome in self.outcomes:
            counts[outcome.verdict.value] = counts.get(outcome.verdict.value, 0) + 1
        counts["changed files and tables"] = len(self.changes)
        counts["slowest answer, s"] = round(max(o.seconds for o in self.outcomes), 2)
        return counts


def all_attacks() -> Iterator[Attack]:
    """The whole list."""
    yield from attacks_by_name(GRID)
    yield from attacks_by_body(GRID)
    yield from attacks_by_protocol()


def attack(
    surroundings: Surroundings, port: int, *, token: bytes | None, database: str | None = None
) -> Report:
    """Sends the whole list to a server.

    Args:
        surroundings: of the server, armed.
        port: where it listens.
        token: what is sent along; None: nothing, as somebody on this machine without a name.
        database: of the store's rows; None: SQLite in the studies.
    """
    before = surroundings.state(database)
    extra = [(b"Authorization", token)] if token else []
    outcomes = []
    for one in tqdm(list(all_attacks()), desc="attacks", disable=None):
        has_own = any(name == b"Authorization" for name, _ in one.headers)
        outcomes.append(send(one, port, [] if has_own else extra))
    url = f"http://127.0.0.1:{port}"
    try:
        is_alive = requests.get(f"{url}/info/", timeout=_ANSWER_S).ok
    except requests.RequestException:
        is_alive = False
    after = surroundings.state(database)
    names = sorted(before.keys() | after.keys())
    return Report(outcomes, [n for n in names if before.get(n) != after.get(n)], is_alive)


def _ok(answer: requests.Response) -> requests.Response:
    if not answer.ok:
        message = f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:500]}"
        raise RuntimeError(message)
    return answer
