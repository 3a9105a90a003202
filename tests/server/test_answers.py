import pytest
from starlette.testclient import TestClient
from tests.review.passwords import quick_hashes
from tests.server.guarded import HERE, guarded

from parotid_brachy.lib.errors import ConflictError

__all__ = ["quick_hashes"]


@pytest.fixture
def app(tmp_path, quick_hashes):
    return guarded(tmp_path)


def replace(app, error):
    """Makes /info/ fail."""

    async def fail():
        raise error

    app.app.router.routes[:] = [
        route for route in app.app.router.routes if getattr(route, "path", None) != "/info/"
    ]
    app.app.add_api_route("/info/", fail, methods=["GET"])
    return app.client().get("/info/")


def test_a_fault_of_ours_is_answered_without_the_servers_insides(app, caplog):
    answer = replace(app, ZeroDivisionError("secret /srv/path"))
    assert answer.status_code == 500
    assert set(answer.json()) == {"detail"}
    assert "secret" not in answer.text
    assert "secret /srv/path" in caplog.text  # for whoever keeps the server
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_error_of_ours_says_what_it_is(app):
    answer = replace(app, ConflictError("case_a is approved"))
    assert (answer.status_code, answer.json()) == (409, {"detail": "case_a is approved"})


def test_half_a_character_in_a_message_can_be_answered(app):
    answer = replace(app, ConflictError("case \ud800"))
    assert answer.status_code == 409
    assert answer.json()["detail"] == "case \\ud800"


@pytest.mark.parametrize("path", ["/info/", "/nothing", "/logs/", "/static/x", "/a/../b%00"])
def test_every_answer_has_safe_headers(app, path):
    headers = app.client().get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert (headers.get("cache-control") == "no-store") == (path != "/static/x")


def test_there_are_no_websockets(app):
    from starlette.websockets import WebSocketDisconnect

    client = TestClient(app.app, **HERE)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/info/"):
        pass
