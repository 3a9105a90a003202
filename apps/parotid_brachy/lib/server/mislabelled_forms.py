"""Forms that 3D Slicer's client sends under the content type of its last request.

Once logged in, the client keeps one set of headers for all its requests, and ``Content-Type`` and
``Content-Length`` of the last one stay in it. Most requests set them anew. Creating a session does
not: its form then says that it is JSON, or a form with another boundary.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parotid_brachy.lib.server.request_path import route_path

_WHERE: Final = ("PUT", "/session/")
# What a boundary may be made of (RFC 2046), in the line that begins a form.
_FIRST_LINE: Final = re.compile(rb"--([0-9A-Za-z'()+_,./:=?-]{1,70})\r\n")


class MislabelledForms:
    """Gives a session's form the content type that its first line shows.

    Args:
        app: what reads the form.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, with its content type put right if need be."""
        if scope["type"] != "http" or (scope["method"], route_path(scope)) != _WHERE:
            await self.app(scope, receive, send)
            return
        waiting = [await receive()]
        form = _FIRST_LINE.match(waiting[0].get("body", b""))
        if form is not None:
            others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
            kind = b'multipart/form-data; boundary="' + form[1] + b'"'
            scope = {**scope, "headers": [*others, (b"content-type", kind)]}

        async def receive_again() -> Message:
            return waiting.pop() if waiting else await receive()

        await self.app(scope, receive_again, send)
