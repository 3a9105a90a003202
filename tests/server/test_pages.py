"""The page for blind grading as the server gives it."""

import re

import pytest
from tests.review.passwords import quick_hashes
from tests.server.guarded import ELSEWHERE, HERE, guarded

from parotid_brachy.lib.evaluation.grading.grades import LONGEST_TEXT
from parotid_brachy.lib.review.roles import Role
from parotid_brachy.lib.server import pages

__all__ = ["quick_hashes"]
COOKIE = "parotid_session_8000"
FILES = {
    "grading.css": "text/css",
    "grading.js": "text/javascript",
    "grading_item.js": "text/javascript",
    "grading_keys.js": "text/javascript",
    "grading_server.js": "text/javascript",
}


def served(folder, **conf):
    """The application with the real pages in the place of their stand-ins."""
    app = guarded(folder, **conf)
    app.app.router.routes[:] = [
        route
        for route in app.app.router.routes
        if not getattr(route, "path", "").startswith(("/ohif", "/grading"))
    ]
    app.app.include_router(pages.router())
    return app


@pytest.fixture
def app(tmp_path, quick_hashes):
    return served(tmp_path, auth="local")


def test_whoever_has_not_logged_in_is_sent_to_the_login_and_comes_back(app):
    answer = app.client(ELSEWHERE).get("/grading/?study=first%20round")
    assert answer.status_code == 303
    wanted = "%2Fgrading%2F%3Fstudy%3Dfirst%2520round"
    assert answer.headers["location"] == f"/auth/login?next={wanted}"
    assert app.client(ELSEWHERE, Cookie=f"{COOKIE}=old").get("/grading/").status_code == 303


def test_the_page_reaches_nothing_but_this_server_and_runs_nothing_inline(app):
    client = app.client(ELSEWHERE, Cookie=f"{COOKIE}={app.token(Role.ANNOTATOR)}")
    answer = client.get("/grading/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", answer.text)
    for name in FILES:
        assert name in answer.text + client.get("/grading/grading.js").text


@pytest.mark.parametrize(("name", "kind"), FILES.items())
def test_its_files_name_no_place_outside_and_work_below_any_root_path(app, name, kind):
    answer = app.client(ELSEWHERE).get(f"/grading/{name}")
    assert answer.headers["content-type"].startswith(kind)
    assert "//" not in re.sub(r"^\s*//.*$|\s// .*$", "", answer.text, flags=re.MULTILINE)
    places = re.findall(
        r"(?:fetch\(|assign\(|url\(|(?:src|href) ?= ?|from )[`'\"]([^`'\"]*)", answer.text
    )
    assert [one for one in places if not one.startswith(("./", "../"))] == []
    assert not re.search(r"innerHTML|insertAdjacentHTML|eval\(|document\.write", answer.text)


def test_it_lets_no_text_be_longer_than_is_kept(app):
    text = app.client(ELSEWHERE).get("/grading/grading_item.js").text
    assert f"const LONGEST_TEXT = {LONGEST_TEXT};" in text


@pytest.mark.parametrize(
    "path", ["login.html", "../login.html", "viewer.js", "grading.html", "x", "grading.js/", "a/b"]
)
def test_it_has_no_other_files(app, path):
    client = app.client(ELSEWHERE, Cookie=f"{COOKIE}={app.token(Role.ADMIN)}")
    answer = client.get(f"/grading/{path}")
    assert answer.status_code == 404
    assert answer.json()["detail"]


def test_without_login_the_page_takes_an_old_session_away(tmp_path, quick_hashes):
    answer = served(tmp_path).client(HERE, Cookie=f"{COOKIE}=old").get("/grading/")
    assert answer.status_code == 200
    assert f'{COOKIE}=""' in answer.headers["set-cookie"]


def test_every_field_and_picture_has_a_name(app):
    client = app.client(ELSEWHERE, Cookie=f"{COOKIE}={app.token(Role.ANNOTATOR)}")
    text = client.get("/grading/").text
    for field in re.findall(r'<(?:input|select)\b[^>]*\bid="([^"]+)"', text):
        assert f'<label for="{field}">' in text
    assert '<html lang="en">' in text
    assert 'role="status"' in text
