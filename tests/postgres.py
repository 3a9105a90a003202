"""A throw-away PostgreSQL on loopback for tests and measurements: a real one, gone afterwards.

Nothing is changed outside a temporary folder, and no service has to run. PostgreSQL refuses to run
as root; where we are root, it runs as the user that Debian's package makes for it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_DEBIAN: Final = Path("/usr/lib/postgresql")
_USERS: Final = ("postgres", "nobody")
_OWNER: Final = "parotid"
_START_S: Final = 60.0
_STOP_S: Final = 30.0


@dataclass(frozen=True)
class PostgresServer:
    """A running server.

    Attributes:
        port: on 127.0.0.1.
        password: of the owner; others on this machine do not know it.
        programs: folder of ``createdb`` and its like; None: they are on the PATH.
    """

    port: int
    password: str = field(repr=False)
    programs: Path | None = None

    def url(self, database: str) -> str:
        """SQLAlchemy's address of a database."""
        return f"postgresql+psycopg://{_OWNER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def run(self, program: str, *arguments: str) -> str:
        """What one of PostgreSQL's client programs says.

        Raises:
            RuntimeError: it failed, with what it said.
        """
        connection = ["-h", "127.0.0.1", "-p", str(self.port), "-U", _OWNER]
        done = subprocess.run(
            [_program(self.programs, program), *connection, *arguments],
            env={**os.environ, "PGPASSWORD": self.password},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            message = f"{program}: {done.stderr.strip()}"
            raise RuntimeError(message)
        return done.stdout


def fresh_database(server: PostgresServer) -> str:
    """The address of a new, empty database."""
    name = f"parotid_{secrets.token_hex(6)}"
    server.run("createdb", name)
    return server.url(name)


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server of its own, on a free port, with fsync as on a real one.

    Raises:
        RuntimeError: PostgreSQL is not installed, or does not start; says what to do.
    """
    programs = _installed()
    identity = _identity()
    folder = Path(tempfile.mkdtemp(prefix="parotid-postgres-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        if identity:
            os.chown(folder, identity["user"], identity["group"])
        password = secrets.token_hex(16)
        _make_cluster(programs, folder, password, identity)
        server = PostgresServer(_free_port(), password, programs)
        process = _start(server, folder, identity)
        yield server
    finally:
        if process is not None:
            _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _installed() -> Path | None:
    """Folder of the newest installed version; None: on the PATH."""
    versions = [path for path in _DEBIAN.glob("*/bin") if (path / "initdb").is_file()]
    if versions:
        return max(versions, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))])
    if shutil.which("initdb") and shutil.which("postgres"):
        return None
    message = "PostgreSQL is missing: install it first (Debian, Ubuntu: apt-get install postgresql)"
    raise RuntimeError(message)


def _program(programs: Path | None, name: str) -> str:
    return str(programs / name) if programs else name


def _identity() -> Mapping[str, Any]:
    """What makes a subprocess run as somebody whom PostgreSQL runs as; empty where we are so."""
    if os.getuid() != 0:
        return {}
    for name in _USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}
    message = f"PostgreSQL does not run as root, and there is no user {' or '.join(_USERS)}"
    raise RuntimeError(message)


def _make_cluster(
    programs: Path | None, folder: Path, password: str, identity: Mapping[str, Any]
) -> None:
    secret = folder / "password"
    secret.touch(0o600)
    secret.write_text(password)
    if identity:
        os.chown(secret, identity["user"], identity["group"])
    arguments = ["-D", str(folder / "data"), "-U", _OWNER, "-E", "UTF8", "--no-locale"]
    arguments += ["-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync"]
    done = subprocess.run(
        [_program(programs, "initdb"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        **identity,
    )
    secret.unlink()
    if done.returncode:
        message = f"initdb: {done.stderr.strip()}"
        raise RuntimeError(message)


def _start(
    server: PostgresServer, folder: Path, identity: Mapping[str, Any]
) -> subprocess.Popen[bytes]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(server.port),
        "unix_socket_directories": "",
        "fsync": "on",
        "synchronous_commit": "on",
        "max_connections": "100",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                *_dying_with_us(),
                _program(server.programs, "postgres"),
                *("-D", str(folder / "data"), *options),
            ],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for us: we stop the server when everybody has done with it.
            start_new_session=True,
            **identity,
        )
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(RuntimeError):
            server.run("psql", "-d", "postgres", "-c", "select 1")
            return process
        time.sleep(0.1)
    _stop(process)
    message = f"PostgreSQL did not start:\n{log.read_text(errors='replace')[-2000:]}"
    raise RuntimeError(message)


def _dying_with_us() -> list[str]:
    """Makes the server stop when we are killed and cannot stop it; nothing, where that is unknown.

    After the change of user, which would undo it: hence by a program and not before.
    """
    return ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGQUIT)  # its immediate shutdown: nobody wants the data
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
