"""Logging in with a browser: a page of plain HTML, and a session in a cookie.

``POST /auth/session`` asks for name and password as ``/auth/token`` does, and slows down alike.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from http import HTTPStatus
from pathlib import Path
from string import Template
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from parotid_brachy.lib.errors import NotAuthenticatedError
from parotid_brachy.lib.review.roles import Reader
from parotid_brachy.lib.server.authentication import Authenticator
from parotid_brachy.lib.server.login import LONGEST_NAME, LoginDesk
from parotid_brachy.lib.server.peers import address_of
from parotid_brachy.lib.server.refusals import RequestRefusedError
from parotid_brachy.lib.server.session_cookie import (
    end_session,
    require_own_page,
    root_path,
    set_session,
)

PAGE: Final = "/auth/login"
FIRST_PAGE: Final = "/ohif/"
_SESSION: Final = "/auth/session"
_END: Final = "/auth/session/end"

_LONGEST_RETURN: Final = 2048
# A path of a page's on this server: nothing that a browser could take for another host.
_RETURN: Final = re.compile(r"/(?:ohif|grading)/(?!/)(?:[A-Za-z0-9_.~!$'()*+,;:@=&?%-]|/(?!/))*")
_TEMPLATE: Final = (Path(__file__).with_name("browser_files") / "login.html").read_text("utf-8")
_STYLE: Final = _TEMPLATE.partition("<style>")[2].partition("</style>")[0]
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    # Without it, browsers send the form as if from nowhere (Origin: null).
    "Referrer-Policy": "same-origin",
}


def router() -> APIRouter:
    """The routes of a browser's login, below ``/auth``."""
    routes = APIRouter(tags=["Auth"])
    routes.add_api_route(
        PAGE, page, methods=["GET"], include_in_schema=False, response_class=HTMLResponse
    )
    routes.add_api_route(
        _SESSION, begin, methods=["POST"], summary="Log in with a browser", response_model=None
    )
    routes.add_api_route(_SESSION, end, methods=["DELETE"], summary="Log out", response_model=None)
    routes.add_api_route(
        _END, end_by_form, methods=["POST"], include_in_schema=False, response_model=None
    )
    return routes


def login_address(http: Request, wanted: str) -> str:
    """Where somebody logs in who then goes on to an address.

    Args:
        http: a request to this server.
        wanted: path and query of a page of the viewer's or the graders', without the root path.
    """
    return f"{root_path(http)}{PAGE}?{urlencode({'next': checked_return(wanted)}, quote_via=quote)}"


def checked_return(wanted: str) -> str:
    """A page of the viewer's or the graders'; the viewer's first for whatever else is asked for."""
    is_ours = len(wanted) <= _LONGEST_RETURN and _RETURN.fullmatch(wanted) is not None
    return wanted if is_ours and ".." not in wanted else FIRST_PAGE


async def page(
    http: Request, wanted: Annotated[str, Query(alias="next")] = FIRST_PAGE
) -> HTMLResponse:
    """The login page; whoever has logged in is told so, and can log out."""
    authenticator: Authenticator = http.app.state.authenticator
    reader = await authenticator.reader_of_session(http)
    return _page(http, checked_return(wanted), reader=reader)


async def begin(
    http: Request,
    username: Annotated[str, Form(max_length=LONGEST_NAME)],
    password: Annotated[str, Form(max_length=LONGEST_NAME)],
    wanted: Annotated[str, Form(alias="next")] = FIRST_PAGE,
) -> Response:
    """Begins a session with name and password; always a new one, whatever cookie was sent.

    A page's form is sent on to where it wanted; a script is told who it is.
    """
    require_own_page(http)
    authenticator: Authenticator = http.app.state.authenticator
    desk: LoginDesk = http.app.state.login_desk
    wanted = checked_return(wanted)
    response: Response
    try:
        token = await desk.token(username, password, address_of(http))
        # A provider's token may be another server's, or name no role.
        reader = await authenticator.reader_of_token(token)
        if _is_form(http):
            response = RedirectResponse(root_path(http) + wanted, HTTPStatus.SEE_OTHER)
        else:
            response = JSONResponse({"name": reader.name, "role": reader.role.value})
        set_session(response, http, token)
    except (NotAuthenticatedError, RequestRefusedError) as error:
        if not _is_form(http):
            raise
        return _refused(http, wanted, error)
    return response


async def end(http: Request) -> dict[str, Any] | Response:
    """Ends the browser's session."""
    require_own_page(http)
    response = JSONResponse({})
    end_session(response, http)
    return response


async def end_by_form(http: Request) -> Response:
    """Ends the browser's session and goes to the login page."""
    require_own_page(http)
    response = RedirectResponse(root_path(http) + PAGE, HTTPStatus.SEE_OTHER)
    end_session(response, http)
    return response


def _is_form(http: Request) -> bool:
    return "text/html" in http.headers.get("accept", "")


def _refused(
    http: Request, wanted: str, error: NotAuthenticatedError | RequestRefusedError
) -> HTMLResponse:
    status, headers = HTTPStatus(error.http_status), {}
    if isinstance(error, RequestRefusedError):
        status, headers = error.status, error.headers
    response = _page(http, wanted, fault=str(error), status=status)
    response.headers.update(headers)
    return response


def _page(
    http: Request,
    wanted: str,
    *,
    reader: Reader | None = None,
    fault: str = "",
    status: HTTPStatus = HTTPStatus.OK,
) -> HTMLResponse:
    root = html.escape(root_path(http))
    there = html.escape(wanted)
    if reader is not None:
        who = f"{html.escape(reader.name)} ({reader.role.value})"
        content = f"""<p>You are logged in as <strong>{who}</strong>.</p>
<form method="post" action="{root}{_END}">
<a href="{root}{there}">Go on</a><button type="submit">Log out</button>
</form>"""
    else:
        alert = f'<p class="fault" role="alert">{html.escape(fault)}</p>' if fault else ""
        content = f"""<p>Log in to see studies and contours.</p>
{alert}<form method="post" action="{root}{_SESSION}">
<input type="hidden" name="next" value="{there}">
<label for="username">Name</label>
<input id="username" name="username" autocomplete="username" required autofocus
  maxlength="{LONGEST_NAME}" autocapitalize="none" spellcheck="false">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required
  maxlength="{LONGEST_NAME}">
<button type="submit">Log in</button>
</form>"""
    return HTMLResponse(Template(_TEMPLATE).substitute(content=content), status, dict(_HEADERS))
