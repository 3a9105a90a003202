"""Hostile requests as they go over the wire, and what a server answers: nothing is normalised."""

from __future__ import annotations

import contextlib
import enum
import http.client
import json
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_ANSWER_S: Final = 60.0
_BOUNDARY: Final = "attack7d0f1c"


@dataclass(frozen=True)
class Attack:
    """One hostile request.

    Attributes:
        group: what it tries.
        name: in which way.
        method: of the request.
        target: as it stands in the request's first line.
        headers: beside Host, Content-Length and Connection, of which the sender takes care unless
            they are here.
        body: as it is sent.
        may_be_parsers: the HTTP parser may refuse it, before any of our code and without JSON.
    """

    group: str
    name: str
    method: str
    target: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""
    may_be_parsers: bool = False


class Verdict(enum.Enum):
    """What a server made of an attack."""

    REFUSED = "refused"
    """4xx, with a message in JSON."""
    PARSER = "refused by the HTTP parser"
    """400 without JSON, or the connection closed, where that is allowed."""
    SPEECHLESS = "refused without a message"
    ACCEPTED = "accepted"
    FAULT = "server fault"
    SILENT = "no answer"


@dataclass(frozen=True)
class Outcome:
    """An attack and what became of it.

    Attributes:
        attack: what was sent.
        verdict: whether it was refused as it should be.
        status: of the answer; None without one.
        told: the message, or the answer's beginning.
        seconds: until the answer was there.
    """

    attack: Attack
    verdict: Verdict
    status: int | None
    told: str
    seconds: float

    @property
    def is_as_it_should(self) -> bool:
        """Whether the server withstood."""
        return self.verdict in {Verdict.REFUSED, Verdict.PARSER}


@dataclass(frozen=True)
class Upload:
    """A file in a multipart body.

    Attributes:
        field: the form's field.
        name: of the file.
        content: of it.
    """

    field: str
    name: str
    content: bytes


def multipart(fields: Mapping[str, str], *uploads: Upload) -> tuple[tuple[bytes, bytes], bytes]:
    """A form with files: the header that announces it, and the body."""
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode(
            "utf-8", "surrogatepass"
        )
        for name, text in fields.items()
    ]
    for upload in uploads:
        head = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{upload.field}"; '
            f'filename="{upload.name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        )
        parts.append(head.encode("utf-8", "surrogatepass") + upload.content + b"\r\n")
    body = b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()
    return (b"Content-Type", f"multipart/form-data; boundary={_BOUNDARY}".encode()), body


def send(attack: Attack, port: int, extra: Sequence[tuple[bytes, bytes]] = ()) -> Outcome:
    """Sends an attack to a port of this machine.

    Args:
        attack: what is sent.
        port: where the server listens.
        extra: headers that are added, such as a token.
    """
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S) as connection:
        # Who refuses early may close before everything was sent; the answer is there nevertheless.
        with contextlib.suppress(ConnectionError):
            connection.sendall(_request(attack, port, extra))
        try:
            answer = http.client.HTTPResponse(connection, method=attack.method)
            answer.begin()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            is_closed = isinstance(error, ConnectionError | http.client.RemoteDisconnected)
            verdict = Verdict.PARSER if is_closed and attack.may_be_parsers else Verdict.SILENT
            return Outcome(attack, verdict, None, repr(error), time.monotonic() - began)
    verdict, told = _judged(attack, answer.status, content)
    return Outcome(attack, verdict, answer.status, told, time.monotonic() - began)


def _request(attack: Attack, port: int, extra: Sequence[tuple[bytes, bytes]]) -> bytes:
    headers = [*attack.headers, *extra]
    named = {name.lower() for name, _ in headers}
    if b"host" not in named:
        headers.insert(0, (b"Host", f"127.0.0.1:{port}".encode()))
    if not named & {b"content-length", b"transfer-encoding"} and (
        attack.body or attack.method in {"POST", "PUT"}
    ):
        headers.append((b"Content-Length", str(len(attack.body)).encode()))
    headers.append((b"Connection", b"close"))
    first = b" ".join([attack.method.encode(), attack.target, b"HTTP/1.1"])
    lines = [first, *(name + b": " + value for name, value in headers if name), b"", b""]
    return b"\r\n".join(lines) + attack.body


def _judged(attack: Attack, status: int, content: bytes) -> tuple[Verdict, str]:
    shown = content[:200].decode("utf-8", "replace")
    if status >= 500:
        return Verdict.FAULT, shown
    if status < 400:
        return Verdict.ACCEPTED, shown
    with contextlib.suppress(ValueError):
        answer = json.loads(content)
        if isinstance(answer, dict) and answer.get("detail"):
            return Verdict.REFUSED, str(answer["detail"])[:200]
    if attack.may_be_parsers and status == 400:
        return Verdict.PARSER, shown
    return Verdict.SPEECHLESS, shown
