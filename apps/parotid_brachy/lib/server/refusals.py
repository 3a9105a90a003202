"""The one place where errors become HTTP answers: ``{"detail": message}`` and a status."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)

from parotid_brachy.lib.errors import ParotidBrachyError

logger = logging.getLogger(__name__)

_FRAMEWORK_STATUS = {
    ImageNotFoundException: HTTPStatus.NOT_FOUND,
    LabelNotFoundException: HTTPStatus.NOT_FOUND,
}


def install(app: FastAPI) -> None:
    """Makes ``app`` answer our errors and the framework's with the status that they mean."""
    app.add_exception_handler(ParotidBrachyError, _answer_own)
    app.add_exception_handler(MONAILabelException, _answer_framework)


def _answer_own(request: Request, error: Exception) -> JSONResponse:
    status = error.http_status if isinstance(error, ParotidBrachyError) else 500
    return _answer(request, status, str(error))


def _answer_framework(request: Request, error: Exception) -> JSONResponse:
    status = _FRAMEWORK_STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    if getattr(error, "error", None) is MONAILabelError.INVALID_INPUT:
        # It says so of unknown models, strategies and scoring methods, and of nothing else.
        status = HTTPStatus.NOT_FOUND
    return _answer(request, status, str(getattr(error, "msg", error)))


def _answer(request: Request, status: int, message: str) -> JSONResponse:
    logger.info("%s %s: %d, %s", request.method, request.url.path, status, message)
    return JSONResponse({"detail": message}, status_code=int(status))
