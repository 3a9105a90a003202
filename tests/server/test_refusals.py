import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    MONAILabelError,
    MONAILabelException,
)

from parotid_brachy.lib import errors
from parotid_brachy.lib.server import refusals


def answer_to(error):
    app = FastAPI()
    refusals.install(app)

    @app.get("/")
    def fail():
        raise error

    return TestClient(app, raise_server_exceptions=False).get("/")


@pytest.mark.parametrize(
    "error",
    [
        errors.UsageError("side 'up'"),
        errors.NotFoundError("no case 'x'"),
        errors.GeometryError("singular affine"),
        errors.ModelRefusedError("wrong hash"),
        errors.TrainingError("no cases"),
    ],
)
def test_our_errors_are_answered_with_their_status_and_message(error):
    answer = answer_to(error)
    assert answer.status_code == error.http_status
    assert answer.json() == {"detail": str(error)}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ImageNotFoundException("Image x not found"), 404),
        (MONAILabelException(MONAILabelError.INVALID_INPUT, "no strategy x"), 404),
        (MONAILabelException(MONAILabelError.SERVER_ERROR, "broken"), 500),
    ],
)
def test_the_frameworks_errors_are_answered_with_what_they_mean(error, status):
    answer = answer_to(error)
    assert answer.status_code == status
    assert answer.json() == {"detail": error.msg}
