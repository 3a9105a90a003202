"""How large and of what form a request may be, before anything else looks at it."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from python_multipart.multipart import parse_options_header
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parotid_brachy.lib.server.authorisation import rule_for
from parotid_brachy.lib.server.refusals import RequestRefusedError
from parotid_brachy.lib.server.request_path import route_path

LONGEST_URL: Final = 8 * 1024
MOST_HEADERS: Final = 100
LONGEST_HEADERS: Final = 32 * 1024
MOST_FIELDS: Final = 100
MOST_PARTS: Final = 1000
LARGEST_TEXT: Final = 2 * 2**20
"""Bytes of a body where no file is expected."""
LONGEST_BOUNDARY: Final = 100

_VISIBLE: Final = re.compile(rb"[\x21-\x7e]*")
_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH: Final = re.compile(rb"%2f|%5c", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "DELETE"})
_ONCE: Final = (b"host", b"content-length", b"content-type", b"transfer-encoding", b"origin")


class Limits:
    """Refuses what is too large, and addresses that no client of ours makes.

    Args:
        app: what is behind.
        max_upload_bytes: largest body where files are expected.
    """

    def __init__(self, app: ASGIApp, *, max_upload_bytes: int) -> None:
        self.app = app
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, counting its body, or raises why not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        check_address(scope)
        _check_headers(scope["headers"])
        request = HTTPConnection(scope)
        body = _Body(receive, self._largest_body(scope), _boundary(request))
        # 3D Slicer's client, once logged in, leaves the length of its last request on those
        # without a body.
        if scope["method"] not in _WITHOUT_BODY:
            body.check_stated_size(request.headers.get("content-length"))

        has_begun = False

        async def send_unless_refused(message: Message) -> None:
            nonlocal has_begun
            # Who reads the body may take the refusal for a client that has gone.
            if has_begun or body.refused is None:
                has_begun = True
                await send(message)

        try:
            await self.app(scope, body.receive, send_unless_refused)
        except Exception:
            if has_begun or body.refused is None:
                raise
        if body.refused is not None and not has_begun:
            raise body.refused

    def _largest_body(self, scope: Scope) -> int:
        try:
            rule = rule_for(scope["method"], route_path(scope))
        except RequestRefusedError:  # the gate says so, after it has seen who asks
            return LARGEST_TEXT
        return self._max_upload_bytes if rule.takes_files else LARGEST_TEXT


def check_address(scope: Scope) -> None:
    """Refuses addresses that are overlong, or that a file system or proxy could misread.

    Raises:
        RequestRefusedError: 414 or 400, with the reason.
    """
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    query = scope.get("query_string", b"")
    if len(raw) + len(query) > LONGEST_URL:
        message = f"the address is longer than {LONGEST_URL} bytes"
        raise RequestRefusedError(HTTPStatus.REQUEST_URI_TOO_LONG, message)
    path = _decoded(raw, what="path")
    if _ENCODED_SLASH.search(raw) or "\\" in path:
        raise _malformed("the path has encoded slashes or backslashes")
    if {".", ".."} & set(path.split("/")):
        raise _malformed("the path has . or .. in it")
    if not path.startswith("/"):
        raise _malformed("the path does not begin with /")
    _decoded(query, what="query")
    if query.count(b"&") >= MOST_FIELDS:
        raise _malformed(f"the query has more than {MOST_FIELDS} fields")


def _decoded(raw: bytes, *, what: str) -> str:
    if not _VISIBLE.fullmatch(raw):
        raise _malformed(f"the {what} has characters that must be percent-encoded")
    if _BROKEN_ESCAPE.search(raw):
        raise _malformed(f"the {what} has a % without two hexadecimal digits")
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"the {what} is not UTF-8"
        raise RequestRefusedError(HTTPStatus.BAD_REQUEST, message) from error
    if _CONTROL.search(text):
        raise _malformed(f"the {what} has control characters")
    return text


def _check_headers(headers: list[tuple[bytes, bytes]]) -> None:
    size = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > MOST_HEADERS or size > LONGEST_HEADERS:
        message = f"more than {MOST_HEADERS} headers, or {LONGEST_HEADERS} bytes of them"
        raise RequestRefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)
    names = [name.lower() for name, _ in headers]
    for name in _ONCE:
        if names.count(name) > 1:
            raise _malformed(f"the header {name.decode()} is there more than once")


def _boundary(request: HTTPConnection) -> bytes | None:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if not kind.startswith(b"multipart/"):
        return None
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= LONGEST_BOUNDARY:
        raise _malformed(f"a multipart body needs a boundary of 1 to {LONGEST_BOUNDARY} bytes")
    return b"--" + boundary


class _Body:
    """Counts a body while it comes in; what is too much is refused and read no further."""

    def __init__(self, receive: Receive, largest: int, boundary: bytes | None) -> None:
        self.refused: RequestRefusedError | None = None
        self._receive = receive
        self._largest = largest
        self._boundary = boundary
        self._size = 0
        self._boundaries = 0
        self._tail = b""

    def check_stated_size(self, stated: str | None) -> None:
        if stated is None:
            return
        if not (stated.isascii() and stated.isdigit()):
            raise _malformed("the header content-length is no number")
        # Python refuses to read numbers of thousands of digits.
        if len(stated) > 18 or int(stated) > self._largest:
            raise self._too_large()

    async def receive(self) -> Message:
        if self.refused is not None:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request":
            part = message.get("body", b"")
            self._size += len(part)
            self._count_parts(part)
            if self._size > self._largest:
                self.refused = self._too_large()
            elif self._boundaries > MOST_PARTS + 1:
                why = f"the body has more than {MOST_PARTS} parts"
                self.refused = RequestRefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why)
            if self.refused is not None:
                return {"type": "http.disconnect"}
        return message

    def _count_parts(self, part: bytes) -> None:
        if self._boundary is None:
            return
        window = self._tail + part
        self._boundaries += window.count(self._boundary)
        last = window.rfind(self._boundary)
        rest = window if last < 0 else window[last + len(self._boundary) :]
        keep = len(self._boundary) - 1
        self._tail = rest[-keep:] if keep else b""

    def _too_large(self) -> RequestRefusedError:
        message = f"the body is larger than {self._largest} bytes (--conf max_upload_mb)"
        return RequestRefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)


def _malformed(message: str) -> RequestRefusedError:
    return RequestRefusedError(HTTPStatus.BAD_REQUEST, message)
