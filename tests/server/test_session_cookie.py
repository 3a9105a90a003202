"""A browser's session: who may use it, from where, and what becomes of forgeries."""

from datetime import timedelta

import jwt
import pytest
from tests.review.passwords import quick_hashes
from tests.server.guarded import ELSEWHERE, PASSWORD, guarded
from tests.server.identity_provider import AUDIENCE, identity_provider

from parotid_brachy.lib.review.roles import Role
from parotid_brachy.lib.server.session_cookie import LONGEST_TOKEN
from parotid_brachy.lib.server.tokens import Tokens

__all__ = ["quick_hashes"]
OURS = "http://server.example:8000"
NAME = "parotid_session_8000"
FORM = {"username": "rob", "password": PASSWORD}
SECURE = {"base_url": "https://server.example", "client": ("192.0.2.7", 50000)}


@pytest.fixture
def app(tmp_path, quick_hashes):
    return guarded(tmp_path, auth="local")


def begin(client, form=FORM, **headers):
    return client.post("/auth/session", data=form, headers={"Origin": OURS, **headers})


def with_cookie(app, token, place=ELSEWHERE, name=NAME, **headers):
    return app.client(place, Cookie=f"{name}={token}", **headers)


def reached(client, method="GET", path="/info/", **headers):
    return client.request(method, path, headers=headers)


def test_a_session_is_its_readers_and_out_of_scripts_reach(app):
    client = app.client(ELSEWHERE)
    answer = begin(client)
    assert (answer.status_code, answer.json()) == (200, {"name": "rob", "role": "reviewer"})
    cookie = answer.headers["set-cookie"]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert attributes == {"httponly", "path=/", "samesite=strict"}
    assert cookie.startswith(f"{NAME}=")
    assert reached(client).json()["who"] == ["rob", "reviewer", True]


def test_over_https_a_session_is_sent_over_https_only(app):
    client = app.client(SECURE)
    answer = begin(client, Origin="https://server.example")
    assert "; Secure" in answer.headers["set-cookie"]
    assert answer.headers["set-cookie"].startswith("parotid_session=")


def test_behind_a_proxy_that_speaks_https_too(app):
    client = app.client({"base_url": "http://server.example", "client": ("192.0.2.7", 50000)})
    answer = begin(client, Origin="https://server.example")
    assert "; Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("password", ["wrong password", "x" * 100])
def test_a_wrong_password_begins_nothing(app, password):
    answer = begin(app.client(ELSEWHERE), {**FORM, "password": password})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_failures_are_slowed_down_as_those_for_tokens_are(app):
    client = app.client(ELSEWHERE)
    for _ in range(4):
        client.post("/auth/token", data={**FORM, "password": "wrong password"})
    statuses = [begin(client, {**FORM, "password": "wrong"}).status_code for _ in range(4)]
    assert statuses[-1] == 429
    assert begin(client).status_code == 429
    assert "retry-after" in begin(client, Accept="text/html").headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": OURS}, 200),
        ({"Origin": OURS, "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Origin": "http://server.example:8001"}, 403),
        ({"Origin": "http://server.example.evil:8000"}, 403),
        ({"Origin": OURS, "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_only_our_own_pages_change_something_with_a_session(app, method, headers, status):
    client = with_cookie(app, app.token(Role.ADMIN))
    assert reached(client, method, "/train/" if method != "PUT" else "/datastore/image/info",
                   **headers).status_code == status  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
    ],
)
def test_other_sites_read_nothing_with_a_session(app, headers, status):
    client = with_cookie(app, app.token(Role.ADMIN))
    assert reached(client, **headers).status_code == status


def test_a_site_that_may_use_tokens_may_not_use_sessions(tmp_path, quick_hashes):
    viewer = "https://viewer.example.org"
    app = guarded(tmp_path, auth="local", cors_origins=viewer)
    token = app.token(Role.ADMIN)
    answer = reached(with_cookie(app, token), Origin=viewer)
    assert answer.status_code == 403
    assert "access-control-allow-credentials" not in answer.headers
    assert reached(with_cookie(app, token), "DELETE", "/train/", Origin=viewer).status_code == 403
    # Nor may it log a reader's browser in as somebody else.
    assert begin(app.client(ELSEWHERE), Origin=viewer).status_code == 403
    bearer = {"Authorization": f"Bearer {token}", "Origin": viewer}
    assert reached(app.client(ELSEWHERE), **bearer).status_code == 200


def test_a_header_counts_before_a_cookie(app):
    client = with_cookie(app, app.token(Role.ADMIN))
    bearer = {"Authorization": f"Bearer {app.token(Role.ANNOTATOR)}"}
    assert reached(client, **bearer).json()["who"][0] == "ana"
    assert reached(client, Authorization="Bearer x").status_code == 401


def test_forged_old_and_foreign_sessions_are_nobodys(app):
    key_file = app.authenticator.settings.token_key_file
    ada = app.readers.find("ada")
    good = app.token(Role.ADMIN)
    assert reached(with_cookie(app, good)).status_code == 200
    expired = Tokens(app.readers, key_file=key_file, lifetime=timedelta(seconds=-1)).issue(ada)
    claims = jwt.decode(good, options={"verify_signature": False})
    head, body, signature = good.split(".")
    other = "A" if signature[0] != "A" else "B"
    for name, token in {
        "expired": expired,
        "tampered": f"{head}.{body}.{other}{signature[1:]}",
        "other key": jwt.encode(claims, b"x" * 32, "HS256"),
        "unsigned": jwt.encode(claims, None, "none"),
        "older password": jwt.encode(claims | {"generation": 0}, key_file.read_bytes(), "HS256"),
        "nonsense": "x",
        "empty": "",
    }.items():
        assert reached(with_cookie(app, token)).status_code == 401, name
    assert reached(with_cookie(app, good, name="parotid_session_8001")).status_code == 401


def test_a_cookie_put_beside_ours_is_refused_and_none_is_ever_taken_over(app):
    theirs, own = app.token(Role.ANNOTATOR), app.token(Role.ADMIN)
    client = app.client(ELSEWHERE, Cookie=f"{NAME}={theirs}; {NAME}={own}")
    assert reached(client).status_code == 401
    client = with_cookie(app, theirs)
    answer = begin(client)
    assert theirs not in answer.headers["set-cookie"]
    assert answer.json()["name"] == "rob"


def test_logging_out_takes_the_session_away(app):
    client = app.client(ELSEWHERE)
    begin(client)
    assert client.delete("/auth/session").status_code == 403
    answer = client.delete("/auth/session", headers={"Origin": OURS})
    assert answer.status_code == 200
    assert reached(client).status_code == 401
    begin(client)
    answer = client.post("/auth/session/end", headers={"Origin": OURS})
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/login")
    assert reached(client).status_code == 401


@pytest.mark.parametrize("role", list(Role))
def test_a_session_may_what_its_reader_may(app, role):
    ladder = list(Role)
    client = with_cookie(app, app.token(role))
    for path, least in (
        ("/info/", Role.ANNOTATOR),
        ("/review/journal", Role.REVIEWER),
        ("/logs/", Role.ADMIN),
    ):
        expected = 200 if ladder.index(role) >= ladder.index(least) else 403
        assert reached(client, path=path).status_code == expected


def test_a_providers_password_login_gives_a_session_too(tmp_path, quick_hashes):
    with identity_provider() as idp:
        app = guarded(tmp_path, auth="oidc", oidc_issuer=idp.issuer, oidc_audience=AUDIENCE)
        token = idp.token("reviewer", preferred_username="rob")
        assert reached(with_cookie(app, token)).json()["who"] == ["rob", "reviewer", True]
        assert reached(with_cookie(app, idp.token("reviewer", exp=1))).status_code == 401


def test_a_token_that_no_browser_would_keep_is_told(app, monkeypatch):
    monkeypatch.setattr(
        "parotid_brachy.lib.server.session_cookie.LONGEST_TOKEN", LONGEST_TOKEN // 100
    )
    answer = begin(app.client(ELSEWHERE))
    assert answer.status_code == 502
    assert "set-cookie" not in answer.headers


def test_without_login_a_session_still_says_who_it_is(tmp_path, quick_hashes):
    app = guarded(tmp_path)
    client = app.client(Cookie=f"{NAME}={app.token(Role.REVIEWER)}")
    assert reached(client).json()["who"] == ["rob", "reviewer", True]
