import re

import pytest
from starlette.requests import Request
from tests.review.passwords import quick_hashes
from tests.server.guarded import ELSEWHERE, PASSWORD, guarded

from parotid_brachy.lib.review.roles import Role
from parotid_brachy.lib.server.login_page import checked_return, login_address

__all__ = ["quick_hashes"]
OURS = {"Origin": "http://server.example:8000", "Accept": "text/html,*/*"}
COOKIE = "parotid_session_8000"


@pytest.fixture
def app(tmp_path, quick_hashes):
    return guarded(tmp_path, auth="local")


def log_in(client, **form):
    form = {"username": "rob", "password": PASSWORD, **form}
    return client.post("/auth/session", data=form, headers=OURS)


def test_the_page_has_labels_and_nothing_from_elsewhere(app):
    answer = app.client(ELSEWHERE).get("/auth/login", params={"next": "/ohif/viewer?a=1&b=2"})
    assert answer.status_code == 200
    for field in ("username", "password"):
        assert f'<label for="{field}">' in answer.text
        assert f'id="{field}"' in answer.text
    assert 'name="next" value="/ohif/viewer?a=1&amp;b=2"' in answer.text
    assert "<script" not in answer.text
    assert not re.search(r"https?://", answer.text)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    # With no referrer at all, browsers send forms with Origin: null, which is refused.
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "wanted", ["/ohif/monai-label?StudyInstanceUIDs=1.2.3", "/grading/?study=first%20round"]
)
def test_a_form_is_sent_on_to_where_it_wanted(app, wanted):
    answer = log_in(app.client(ELSEWHERE), next=wanted)
    assert (answer.status_code, answer.headers["location"]) == (303, wanted)
    assert f"{COOKIE}=" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "/ohif//evil.example", "/logs/",
     "/grading//evil.example", "/gradings/", "/grading/../logs/",
     "/ohif/../logs/", "/ohif/%0d%0aSet-Cookie:x\r\nx: y", "javascript:alert(1)", "", "ohif/",
     "/ohif/<script>", "/ohif/" + "x" * 3000, " /ohif/", "/ohif/\t"],
)  # fmt: skip
def test_nobody_is_sent_anywhere_else(app, wanted):
    assert checked_return(wanted) == "/ohif/"
    assert log_in(app.client(ELSEWHERE), next=wanted).headers["location"] == "/ohif/"
    page = app.client(ELSEWHERE).get("/auth/login", params={"next": wanted})
    if wanted.isprintable():  # other addresses are refused altogether
        assert 'value="/ohif/"' in page.text
    else:
        assert page.status_code == 400


def test_a_wrong_password_shows_the_form_again_and_says_so(app):
    answer = log_in(app.client(ELSEWHERE), password="<b>wrong</b>", next="/ohif/viewer")
    assert answer.status_code == 401
    assert '<p class="fault" role="alert">name or password is wrong</p>' in answer.text
    assert 'value="/ohif/viewer"' in answer.text
    assert "<b>" not in answer.text
    assert "set-cookie" not in answer.headers


def test_the_page_says_who_is_logged_in_and_lets_him_or_her_out(app):
    client = app.client(ELSEWHERE, Cookie=f"{COOKIE}={app.token(Role.REVIEWER)}")
    text = client.get("/auth/login").text
    assert "<strong>rob (reviewer)</strong>" in text
    assert 'action="/auth/session/end"' in text
    assert 'href="/ohif/"' in text
    client = app.client(ELSEWHERE, Cookie=f"{COOKIE}=old")
    assert 'id="password"' in client.get("/auth/login").text


def test_below_a_root_path_everything_stays_below_it(app):
    scope = {"type": "http", "root_path": "/parotid", "headers": [], "query_string": b""}
    assert login_address(Request(scope), "/ohif/x?y=1") == (
        "/parotid/auth/login?next=%2Fohif%2Fx%3Fy%3D1"
    )
    place = {**ELSEWHERE, "root_path": "/parotid"}
    client = app.client(place)
    assert 'action="/parotid/auth/session"' in client.get("/parotid/auth/login").text
    answer = client.post(
        "/parotid/auth/session",
        data={"username": "rob", "password": PASSWORD},
        headers=OURS,
    )  # fmt: skip
    assert answer.headers["location"] == "/parotid/ohif/"
    assert answer.headers["set-cookie"].startswith("parotid_session_8000_parotid=")
    assert "Path=/parotid;" in answer.headers["set-cookie"]
