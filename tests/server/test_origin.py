import pytest
from tests.review.passwords import quick_hashes
from tests.server.guarded import ELSEWHERE, HERE, guarded

from parotid_brachy.lib.review.roles import Role

__all__ = ["quick_hashes"]
FRIEND = "https://viewer.example.org"


@pytest.fixture
def app(tmp_path, quick_hashes):
    return guarded(tmp_path, auth="local", cors_origins=FRIEND)


def put(app, place=ELSEWHERE, **headers):
    token = {"Authorization": f"Bearer {app.token(Role.ADMIN)}"}
    return app.client(place).put("/datastore/label", headers=token | headers)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://server.example",
        "http://server.example",
        "http://server.example:8001",
        "http://server.example.evil.example:8000",
        "http://server.example:8000@evil.example",
        "http://viewer.example.org",
        "https://viewer.example.org.evil.example",
        "null",
        "",
        "file://",
        "http://[",
        "http://server.example:99999",
    ],
)
def test_another_web_site_changes_nothing_even_with_a_token(app, origin):
    answer = put(app, Origin=origin)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    "origin", ["http://server.example:8000", "https://server.example:8000", FRIEND]
)
def test_our_own_pages_and_configured_web_sites_may(app, origin):
    assert put(app, Origin=origin).status_code == 200


def test_programs_send_no_origin_and_may(app):
    assert put(app).status_code == 200


def test_usual_ports_need_not_be_named(app):
    assert put(app, Host="server.example", Origin="https://server.example").status_code == 200
    assert put(app, Host="server.example:443", Origin="https://server.example").status_code == 200


def test_only_configured_web_sites_may_read_answers(app):
    headers = {"Authorization": f"Bearer {app.token(Role.ADMIN)}"}
    client = app.client(ELSEWHERE)
    answer = client.get("/info/", headers=headers | {"Origin": FRIEND})
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert "access-control-allow-credentials" not in answer.headers
    answer = client.get("/info/", headers=headers | {"Origin": "http://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_a_browser_may_ask_first_for_configured_web_sites_only(app):
    ask = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "Authorization",
    }
    client = app.client(ELSEWHERE)
    answer = client.options("/datastore/label", headers=ask | {"Origin": FRIEND})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == FRIEND
    answer = client.options("/datastore/label", headers=ask | {"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert answer.json()["detail"]


def test_without_configuration_no_web_site_is_allowed_anything(tmp_path, quick_hashes):
    app = guarded(tmp_path)
    answer = app.client().get("/info/", headers={"Origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    ask = {"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}
    assert app.client(HERE).options("/datastore/label", headers=ask).status_code == 403
