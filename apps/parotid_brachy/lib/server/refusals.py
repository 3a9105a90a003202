"""The one place where errors become HTTP answers: ``{"detail": message}`` and a status."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)
from starlette.requests import HTTPConnection

from parotid_brachy.lib.errors import ParotidBrachyError

logger = logging.getLogger(__name__)

_FRAMEWORK_STATUS = {
    ImageNotFoundException: HTTPStatus.NOT_FOUND,
    LabelNotFoundException: HTTPStatus.NOT_FOUND,
}


class RequestRefusedError(ParotidBrachyError):
    """A request that is refused for what it is, with a status of HTTP's own.

    Args:
        status: of the answer.
        message: for whoever asks.
        headers: that the status asks for, such as ``Allow`` or ``Retry-After``.
    """

    def __init__(
        self, status: HTTPStatus, message: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def install(app: FastAPI) -> None:
    """Makes ``app`` answer our errors and the framework's with the status that they mean."""
    app.add_exception_handler(ParotidBrachyError, _answer_own)
    app.add_exception_handler(MONAILabelException, _answer_framework)
    app.add_exception_handler(RequestValidationError, _answer_invalid)


def answer(request: HTTPConnection, error: ParotidBrachyError) -> JSONResponse:
    """The answer to one of our errors."""
    headers: dict[str, str] = {}
    status = HTTPStatus(error.http_status)
    if isinstance(error, RequestRefusedError):
        status, headers = error.status, error.headers
    if status is HTTPStatus.UNAUTHORIZED:
        headers = {"WWW-Authenticate": "Bearer", **headers}
    return _answer(request, status, str(error), headers)


def _answer_own(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ParotidBrachyError)
    return answer(request, error)


def _answer_framework(request: Request, error: Exception) -> JSONResponse:
    status = _FRAMEWORK_STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    if getattr(error, "error", None) is MONAILabelError.INVALID_INPUT:
        # It says so of unknown models, strategies and scoring methods, and of nothing else.
        status = HTTPStatus.NOT_FOUND
    return _answer(request, status, str(getattr(error, "msg", error)))


def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong and where, in FastAPI's form, but not the value: it may be a password."""
    assert isinstance(error, RequestValidationError)
    faults = [
        {"type": fault["type"], "loc": [_printable(str(at)) for at in fault["loc"]]}
        | {"msg": _printable(fault["msg"])}
        for fault in error.errors()
    ]
    places = [fault["loc"] for fault in faults]
    logger.info("%s %r: not valid at %s", request.method, request.url.path[:200], places)
    return JSONResponse({"detail": faults}, status_code=int(HTTPStatus.UNPROCESSABLE_ENTITY))


def _printable(text: str) -> str:
    """Without the halves of characters that JSON can hold and UTF-8 cannot."""
    return text.encode("utf-8", "backslashreplace").decode()


def _answer(
    request: HTTPConnection,
    status: HTTPStatus,
    message: str,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    message = _printable(message)
    scope = request.scope
    logger.info("%s %r: %d, %s", scope.get("method"), scope["path"][:200], status, message)
    return JSONResponse({"detail": message}, status_code=int(status), headers=headers)
