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

import anyio.to_thread
import httpx
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from monailabel.config import settings

from parotid_brachy.lib.dicomweb.access import ArchiveAccess
from parotid_brachy.lib.errors import NotFoundError, UsageError
from parotid_brachy.lib.server.archive_settings import archive_access, is_archive
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
    studies = settings.MONAI_LABEL_STUDIES
    if not is_archive(studies):
        message = "no DICOMweb archive is served here, but a folder of studies"
        raise NotFoundError(message)
    access = archive_access(studies)
    resource = checked_resource(path)
    prefix = _prefix(operation, resource, access)
    client = httpx.AsyncClient(
        timeout=httpx.Timeout(access.read_timeout_s, connect=_CONNECT_TIMEOUT_S),
        follow_redirects=False,
        trust_env=False,
        auth=access.credentials,
    )
    try:
        request = client.build_request(
            http.method,
            access.url(prefix, resource),
            params=httpx.QueryParams(http.url.query),
            headers={
                "Accept": http.headers.get("accept", "*/*"),
                "Accept-Encoding": "identity",
                **await anyio.to_thread.run_sync(access.headers),
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


def _prefix(operation: str, resource: str, access: ArchiveAccess) -> str:
    # Some versions of OHIF ask for metadata by QIDO.
    if operation == "wado" or (operation == "qido" and resource.endswith("/metadata")):
        return access.wado_prefix
    if operation == "qido":
        return access.qido_prefix
    return access.stow_prefix if operation == "stow" else ""


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
