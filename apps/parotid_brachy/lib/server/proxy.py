"""``/proxy/dicom/``: reads from the DICOMweb archive, for OHIF; nothing beside DICOMweb.

The framework's own proxy passes any path on, with the server's credentials: behind an archive's
DICOMweb root often lies its whole administration.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import anyio.to_thread
import google.auth
import google.auth.transport.requests
import httpx
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from monailabel.config import settings

from parotid_brachy.lib.errors import NotFoundError, UsageError
from parotid_brachy.lib.server.refusals import RequestRefusedError

logger = logging.getLogger(__name__)

_UID: Final = r"[0-9]+(?:\.[0-9]+)*"
_FRAMES: Final = r"frames/[1-9][0-9]*(?:,[1-9][0-9]*)*"
_INSTANCES: Final = rf"instances(?:/{_UID}(?:/{_FRAMES})?)?"
_RESOURCE: Final = re.compile(
    rf"studies(?:/{_UID}(?:/(?:{_INSTANCES}|series(?:/{_UID}(?:/{_INSTANCES})?)?))?)?"
    r"(?P<part>/metadata|/rendered|/thumbnail|/bulk(?:data)?(?:/[0-9A-Za-z]+){1,16})?"
)
_LONGEST_UID: Final = 64
_LONGEST_PATH: Final = 2048
_KEPT_HEADERS: Final = ("content-type", "content-length", "content-encoding")
# An archive's answer is data: should it be a page, it is one without rights.
_POLICY: Final = "default-src 'none'; sandbox; frame-ancestors 'self'"
_CONNECT_TIMEOUT_S: Final = 10.0
_REFUSED_CREDENTIALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def router() -> APIRouter:
    """The routes below ``/proxy/dicom``, under the framework's names."""
    routes = APIRouter(prefix="/proxy/dicom", tags=["Others"])
    for prefix in ("wado", "qido", "stow"):
        routes.add_api_route(
            f"/{prefix}/{{path:path}}",
            _reader_of(prefix),
            methods=["GET", "HEAD"],
            include_in_schema=False,
        )
    routes.add_api_route(
        "/{path:path}", _reader_of(""), methods=["GET", "HEAD"], include_in_schema=False
    )
    return routes


def checked_resource(path: str) -> str:
    """A path below the DICOMweb root that names a resource of DICOMweb (PS3.18).

    Raises:
        UsageError: it names something else.
    """
    resource = path.rstrip("/")
    is_one = len(resource) <= _LONGEST_PATH and _RESOURCE.fullmatch(resource) is not None
    if not is_one or any(len(segment) > _LONGEST_UID for segment in _segments(resource)):
        message = f"{path[:80]!r} is no resource of DICOMweb that is read here (studies/...)"
        raise UsageError(message)
    return resource


def _segments(resource: str) -> list[str]:
    # A list of frames may be longer than a UID.
    return [segment for segment in resource.split("/") if "," not in segment]


def _reader_of(operation: str) -> Callable[[Request, str], Awaitable[Response]]:
    async def read(http: Request, path: str) -> Response:
        return await _read(http, operation, path)

    return read


async def _read(http: Request, operation: str, path: str) -> Response:
    root = settings.MONAI_LABEL_STUDIES.rstrip("/")
    if not root.startswith(("http://", "https://")):
        message = "no DICOMweb archive is served here, but a folder of studies"
        raise NotFoundError(message)
    resource = checked_resource(path)
    prefix = _prefix(operation, resource)
    client = httpx.AsyncClient(
        timeout=httpx.Timeout(
            settings.MONAI_LABEL_DICOMWEB_PROXY_TIMEOUT, connect=_CONNECT_TIMEOUT_S
        ),
        follow_redirects=False,
        trust_env=False,
        auth=_credentials(root),
    )
    try:
        request = client.build_request(
            http.method,
            f"{root}/{prefix}/{resource}" if prefix else f"{root}/{resource}",
            params=httpx.QueryParams(http.url.query),
            headers={
                "Accept": http.headers.get("accept", "*/*"),
                "Accept-Encoding": "identity",
                **await _google_authorisation(root),
            },
        )
        answer = await client.send(request, stream=True)
    except httpx.HTTPError as error:
        await client.aclose()
        logger.warning("DICOMweb archive: %s", error)
        message = "the DICOMweb archive cannot be reached: try again later"
        raise RequestRefusedError(HTTPStatus.BAD_GATEWAY, message) from error
    if not answer.is_success:
        await answer.aclose()
        await client.aclose()
        raise _refusal(answer.status_code)
    headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
    headers["Content-Security-Policy"] = _POLICY
    return StreamingResponse(
        _content(client, answer), status_code=answer.status_code, headers=headers
    )


async def _content(client: httpx.AsyncClient, answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_raw():
            yield part
    finally:
        await answer.aclose()
        await client.aclose()


def _prefix(operation: str, resource: str) -> str:
    # Some versions of OHIF ask for metadata by QIDO.
    if operation == "wado" or (operation == "qido" and resource.endswith("/metadata")):
        prefix = settings.MONAI_LABEL_WADO_PREFIX
    elif operation == "qido":
        prefix = settings.MONAI_LABEL_QIDO_PREFIX
    else:
        prefix = settings.MONAI_LABEL_STOW_PREFIX if operation == "stow" else ""
    return (prefix or "").strip("/")


def _credentials(root: str) -> tuple[str, str] | None:
    name, password = settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD
    return (name, password) if name and password and not _is_google(root) else None


async def _google_authorisation(root: str) -> dict[str, str]:
    return await anyio.to_thread.run_sync(_google_token) if _is_google(root) else {}


def _google_token() -> dict[str, str]:
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    credentials.refresh(google.auth.transport.requests.Request())  # type: ignore[no-untyped-call]
    return {"Authorization": f"Bearer {credentials.token}"}


def _is_google(root: str) -> bool:
    parts = urlsplit(root)
    return parts.scheme == "https" and (parts.hostname or "").endswith(".googleapis.com")


def _refusal(status: int) -> RequestRefusedError:
    """What the archive refuses, without its page about it."""
    if status in _REFUSED_CREDENTIALS:
        message = "the DICOMweb archive refuses this server's credentials"
        return RequestRefusedError(HTTPStatus.BAD_GATEWAY, message)
    try:
        known = HTTPStatus(status)
    except ValueError:
        known = HTTPStatus.BAD_GATEWAY
    if not 400 <= known < 500:
        message = f"the DICOMweb archive answers {status}"
        return RequestRefusedError(HTTPStatus.BAD_GATEWAY, message)
    message = f"the DICOMweb archive answers {status} {known.phrase}"
    return RequestRefusedError(known, message)
