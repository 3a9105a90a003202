"""OHIF's files as the server gives them."""

import base64
import hashlib
import json
import re

import pytest
from tests.review.passwords import quick_hashes
from tests.server.guarded import ELSEWHERE, HERE, guarded

from parotid_brachy.lib.errors import NotFoundError
from parotid_brachy.lib.review.roles import Role
from parotid_brachy.lib.server import pages, viewer
from parotid_brachy.lib.server.viewer import Viewer

__all__ = ["quick_hashes"]
COOKIE = "parotid_session_8000"


def served(folder, **conf):
    """The application with the real pages in the place of their stand-in."""
    app = guarded(folder, **conf)
    app.app.router.routes[:] = [
        route
        for route in app.app.router.routes
        if not getattr(route, "path", "").startswith("/ohif")
    ]
    app.app.include_router(pages.router())
    return app


@pytest.fixture
def app(tmp_path, quick_hashes):
    return served(tmp_path, auth="local")


def test_a_page_sends_whoever_has_not_logged_in_to_the_login(app):
    client = app.client(ELSEWHERE)
    answer = client.get("/ohif/monai-label?StudyInstanceUIDs=1.2.3")
    assert answer.status_code == 303
    expected = "/auth/login?next=%2Fohif%2Fmonai-label%3FStudyInstanceUIDs%3D1.2.3"
    assert answer.headers["location"] == expected
    assert answer.headers["cache-control"] == "no-store"
    old = app.client(ELSEWHERE, Cookie=f"{COOKIE}=old")
    assert old.get("/ohif/").status_code == 303


@pytest.mark.parametrize("path", ["/ohif/", "/ohif/index.html", "/ohif/viewer?a=b"])
def test_a_page_is_shown_to_whoever_has_logged_in(app, path):
    client = app.client(ELSEWHERE, Cookie=f"{COOKIE}={app.token(Role.ANNOTATOR)}")
    answer = client.get(path)
    assert answer.status_code == 200
    assert "<title>OHIF Viewer</title>" in answer.text
    assert answer.headers["cache-control"] == "no-cache"


def test_without_login_a_page_takes_an_old_session_away(tmp_path, quick_hashes):
    app = served(tmp_path)
    answer = app.client(HERE, Cookie=f"{COOKIE}=old").get("/ohif/")
    assert answer.status_code == 200
    assert answer.headers["set-cookie"].startswith(f'{COOKIE}="";')


def test_the_page_reaches_nothing_but_this_server():
    page = Viewer("").page()
    text = page.body.decode()
    policy = page.headers["content-security-policy"]
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", text)
    assert "default-src 'none'" in policy
    sources = policy.replace("'wasm-unsafe-eval'", "")
    assert "unsafe-eval" not in sources
    assert not re.search(r"https?:|\*", policy)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert scripts
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "'unsafe-inline'" not in policy.partition("style-src")[0]


def test_the_styles_fetch_no_fonts_from_elsewhere():
    text = Viewer("").file("app.bundle.css").body.decode()
    assert "googleapis" not in text
    assert ".dark" in text or "--" in text


def test_the_settings_name_this_servers_proxy_and_take_no_uploads():
    answer = Viewer("/parotid").file("app-config.js")
    text = answer.body.decode()
    told = json.loads(re.search(r"const SERVER = (\{.*?\});", text)[1])
    assert told == {"root": "/parotid", "login": "/auth/login"}
    assert "parotid.address('/proxy/dicom/wado')" in text
    assert "dicomUploadEnabled: false" in text
    assert "__SERVER__" not in text
    assert answer.headers["cache-control"] == "no-cache"


def test_below_a_root_path_scripts_find_their_parts():
    at_top, below = Viewer(""), Viewer("/parotid")
    (name,) = (path.name for path in viewer._FILES.glob("app.bundle.*.js"))
    assert '__webpack_require__.p = "/parotid/ohif/"' in below.file(name).body.decode()
    assert at_top.file(name).path == viewer._FILES / name
    page = below.page().body.decode()
    assert "window.PUBLIC_URL = '/parotid/ohif/'" in page
    assert not re.search(r"[\"'=]/ohif/", page)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("031089e563a18ada8441.wasm", "application/wasm"), ("google.js", "text/javascript")],
)
def test_files_have_types_that_browsers_run(name, kind):
    assert Viewer("").file(name).headers["content-type"].startswith(kind)


@pytest.mark.parametrize("path", ["../ohif.py", "../../ohif.py", "/etc/passwd", "assets/../../x"])
def test_no_path_leads_out_of_the_viewers_folder(path):
    assert Viewer("").is_page(path)
    with pytest.raises(NotFoundError):
        Viewer("").file(path)
