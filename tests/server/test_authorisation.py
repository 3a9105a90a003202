"""Every route for every role, and for everybody whose token is not one."""

import contextlib
import importlib.util
import re
from datetime import timedelta
from pathlib import Path

import jwt
import monailabel.app
import pytest
from starlette.routing import compile_path
from tests.review.passwords import quick_hashes
from tests.server.guarded import ELSEWHERE, NAMES, filled, guarded
from tests.server.identity_provider import (
    AUDIENCE,
    KEY,
    OTHER_KEY,
    IdentityProvider,
    identity_provider,
)

from parotid_brachy.lib.review.roles import Role
from parotid_brachy.lib.server.authorisation import ROUTES, as_markdown, rule_for
from parotid_brachy.lib.server.configuration import ServerSettings
from parotid_brachy.lib.server.install import install
from parotid_brachy.lib.server.refusals import RequestRefusedError
from parotid_brachy.lib.server.tokens import Tokens

__all__ = ["quick_hashes"]
DOCUMENT = Path(__file__).parents[2] / "docs" / "authorisation.md"
# Public routes that want more than a bare request: name and password, or a page of ours.
NO_REQUEST = {
    ("POST", "/auth/token"): 422,
    ("POST", "/auth/session"): 422,
    ("DELETE", "/auth/session"): 403,
    ("POST", "/auth/session/end"): 403,
}
LADDER = ("annotator", "reviewer", "admin")


def table():
    """The committed document's rows: {(method, path): least role or None}."""
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \| (\S+) \|", DOCUMENT.read_text(), re.MULTILINE)
    return {(method, path): None if role == "*public*" else role for method, path, role in rows}


TABLE = table()
PROTECTED = {route for route, least in TABLE.items() if least is not None}


def test_the_document_is_made_from_the_table():
    assert DOCUMENT.read_text() == as_markdown()
    assert len(TABLE) == len(ROUTES)


@pytest.fixture(scope="module")
def real_app(tmp_path_factory):
    """The framework's own application, fresh, with ours installed on it; and a key for tokens."""
    spec = importlib.util.spec_from_file_location("fresh_framework", monailabel.app.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # The framework's would build the app, with its models.
    module.app.router.lifespan_context = lambda _app: contextlib.nullcontext()
    studies = tmp_path_factory.mktemp("studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("parotid_brachy.lib.review.readers._COST", 4)
        stand_ins = guarded(studies, auth="local")
    install(module.app, ServerSettings.of({"auth": "local"}, studies=str(studies)))
    stand_ins.app = module.app
    stand_ins.authenticator = module.app.state.authenticator
    return stand_ins


def routes_of(router):
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from routes_of(inner)
        elif getattr(route, "methods", None):
            yield from ((method, route.path) for method in route.methods)
        else:  # a mount of files
            yield from ((method, f"{route.path}/{{path:path}}") for method in ("GET", "HEAD"))


def test_every_route_of_the_server_is_in_the_table_and_the_other_way_round(real_app):
    assert set(routes_of(real_app.app.router)) == set(TABLE)


def test_every_route_in_the_apis_description_is_in_the_table(real_app):
    described = {
        (method.upper(), path)
        for path, methods in real_app.app.openapi()["paths"].items()
        for method in methods
    }
    assert described <= set(TABLE)
    assert ("GET", "/review/cases") in described


def test_the_apis_pages_know_how_to_log_in(real_app):
    schema = real_app.client().get("/openapi.json").json()
    (scheme,) = schema["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] == "auth/token"
    assert schema["security"] == [{name: []} for name in schema["components"]["securitySchemes"]]


@pytest.fixture(params=["local", "oidc"])
def served(request, tmp_path, quick_hashes):
    """The application with stand-ins, and tokens of its issuer for each role."""
    if request.param == "local":
        app = guarded(tmp_path, auth="local")
        yield app, app.token
        return
    with identity_provider() as idp:
        app = guarded(tmp_path, auth="oidc", oidc_issuer=idp.issuer, oidc_audience=AUDIENCE)
        yield app, lambda role: idp.token(role.value, preferred_username=NAMES[role])


def outcome(client, method, path, headers):
    answer = client.request(method, filled(path), headers=headers)
    if method != "HEAD" and "text/html" not in answer.headers.get("content-type", ""):
        body = answer.json()
        assert "detail" in body or answer.status_code == 200, body
    return answer.status_code


def outcomes(app, token=None, routes=TABLE, place=ELSEWHERE):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with app.client(place) as client:
        return {route: outcome(client, *route, headers) for route in routes}


@pytest.mark.parametrize("role", list(Role))
def test_a_role_reaches_what_the_table_says_and_nothing_else(served, role):
    app, token = served
    expected = {
        (method, path): 200
        if least is None or LADDER.index(role.value) >= LADDER.index(least)
        else 403
        for (method, path), least in TABLE.items()
    }
    expected |= NO_REQUEST
    assert outcomes(app, token(role)) == expected


def test_nobody_reaches_what_is_not_public(served):
    app, _ = served
    expected = {route: 200 if least is None else 401 for route, least in TABLE.items()}
    expected |= NO_REQUEST
    assert outcomes(app) == expected


def local_forgeries(app):
    """Tokens for the admin that the server has not issued, or not for now."""
    readers, key_file = app.readers, app.authenticator.settings.token_key_file
    good = Tokens(readers, key_file=key_file, lifetime=timedelta(hours=1))
    claims = jwt.decode(good.issue(readers.find("ada")), options={"verify_signature": False})
    key = key_file.read_bytes()
    expired = Tokens(readers, key_file=key_file, lifetime=timedelta(seconds=-1))
    idp = IdentityProvider()
    return {
        "expired": expired.issue(readers.find("ada")),
        "wrong issuer": jwt.encode(claims | {"iss": "https://evil.example"}, key, "HS256"),
        "wrong audience": jwt.encode(claims | {"aud": "other"}, key, "HS256"),
        "no audience": jwt.encode({k: v for k, v in claims.items() if k != "aud"}, key, "HS256"),
        "no expiry": jwt.encode({k: v for k, v in claims.items() if k != "exp"}, key, "HS256"),
        "alg none": jwt.encode(claims, None, "none"),
        "other key": jwt.encode(claims, b"x" * 32, "HS256"),
        "other algorithm": jwt.encode(claims, key, "HS512"),
        "provider's key": jwt.encode(claims, KEY, "RS256"),
        "public key as secret": idp.signed_with_public_key("admin"),
        "old generation": jwt.encode(claims | {"generation": 0}, key, "HS256"),
        "unknown reader": jwt.encode(claims | {"sub": "nobody"}, key, "HS256"),
        "reader of another type": jwt.encode(claims | {"sub": ["ada"]}, key, "HS256"),
        "not a token": "x",
    }


def oidc_forgeries(idp):
    return {
        "expired": idp.token("admin", exp=1),
        "wrong issuer": idp.token("admin", iss="https://evil.example"),
        "wrong audience": idp.token("admin", aud="account"),
        "alg none": idp.unsigned("admin"),
        "other key": idp.token("admin", key=OTHER_KEY),
        "public key as secret": idp.signed_with_public_key("admin"),
        "not a token": "x",
    }


def test_no_forged_or_old_token_of_ours_reaches_anything(tmp_path, quick_hashes):
    app = guarded(tmp_path, auth="local")
    assert outcomes(app, app.token(Role.ADMIN), [("GET", "/logs/")]) == {("GET", "/logs/"): 200}
    for name, token in local_forgeries(app).items():
        statuses = outcomes(app, token, PROTECTED)
        assert set(statuses.values()) == {401}, name


def test_no_forged_or_old_token_of_a_provider_reaches_anything(tmp_path, quick_hashes):
    with identity_provider() as idp:
        app = guarded(tmp_path, auth="oidc", oidc_issuer=idp.issuer, oidc_audience=AUDIENCE)
        good = idp.token("admin")
        assert outcomes(app, good, [("GET", "/logs/")]) == {("GET", "/logs/"): 200}
        # A token of ours, for a reader of the readers file, counts for nothing beside a provider.
        ours = guarded(tmp_path, auth="local").token(Role.ADMIN)
        for name, token in {**oidc_forgeries(idp), "ours": ours}.items():
            statuses = outcomes(app, token, PROTECTED)
            assert set(statuses.values()) == {401}, name


def test_the_real_server_refuses_whom_the_table_does_not_let_in(real_app):
    forged = local_forgeries(real_app)
    for token in (None, forged["expired"], forged["alg none"], forged["other key"]):
        statuses = outcomes(real_app, token, PROTECTED)
        assert set(statuses.values()) == {401}, token
    for role in Role:
        above = {
            route for route in PROTECTED if LADDER.index(TABLE[route]) > LADDER.index(role.value)
        }
        statuses = outcomes(real_app, real_app.token(role), above)
        assert set(statuses.values()) <= {403}, role


def test_the_real_server_lets_in_whom_the_table_lets_in(real_app):
    own = [("GET", "/auth/token/valid"), ("GET", "/review/me"), ("GET", "/auth/")]
    for role in Role:
        assert set(outcomes(real_app, real_app.token(role), own).values()) == {200}
    assert set(outcomes(real_app, None, [("GET", "/auth/")]).values()) == {200}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/reload"),
        ("PUT", "/model/two_step"),
        ("DELETE", "/model/two_step"),
        ("POST", "/infer/wsi/two_step"),
        ("POST", "/infer/wsi_v2/two_step"),
        ("POST", "/proxy/dicom/stow/studies"),
        ("GET", "/etc/passwd"),
        ("GET", "/redoc"),
        ("TRACE", "/info/"),
        ("CONNECT", "/info/"),
        ("PROPFIND", "/"),
    ],
)
def test_what_is_not_in_the_table_does_not_exist_for_an_admin_either(real_app, method, path):
    headers = {"Authorization": f"Bearer {real_app.token(Role.ADMIN)}"}
    answer = real_app.client(ELSEWHERE).request(method, path, headers=headers)
    assert answer.status_code in {404, 405}
    assert answer.json()["detail"]
    assert (answer.status_code == 405) == ("allow" in answer.headers)


def test_where_two_rules_fit_the_stricter_counts():
    for rule in ROUTES:
        path = filled(rule.path)
        same = [r for r in ROUTES if r.method == rule.method]
        fitting = [r for r in same if compile_path(r.path)[0].match(path)]
        ranks = [-1 if r.least is None else r.least.rank for r in fitting]
        found = rule_for(rule.method, path).least
        assert (-1 if found is None else found.rank) == max(ranks)


def test_a_forgotten_last_slash_asks_for_the_same_role(served):
    app, token = served
    with app.client(ELSEWHERE) as client:
        assert client.get("/logs").status_code == 401
        answer = client.get("/logs", headers={"Authorization": f"Bearer {token(Role.REVIEWER)}"})
        assert answer.status_code == 403
        answer = client.get("/logs", headers={"Authorization": f"Bearer {token(Role.ADMIN)}"})
        assert answer.status_code == 307


@pytest.mark.parametrize("path", ["//info/", "/info//", "/info/x", "/INFO/", "/train/x/"])
def test_a_path_that_is_nearly_one_of_ours_opens_nothing(path):
    with pytest.raises(RequestRefusedError) as refused:
        rule_for("GET", path)
    assert refused.value.status in {404, 405}


def test_the_name_and_the_lower_roles_are_told(served):
    app, token = served
    headers = {"Authorization": f"Bearer {token(Role.REVIEWER)}"}
    told = app.client(ELSEWHERE).get("/auth/token/valid", headers=headers).json()
    assert told["username"] == "rob"
    assert told["roles"] == ["annotator", "reviewer"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Basic YWRhOmNvcnJlY3Q="},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": ""},
        {"Cookie": "token=x"},
        {"X-Forwarded-User": "ada"},
        {"Remote-User": "ada"},
    ],
)
def test_nothing_but_a_bearer_token_proves_anything(served, headers):
    app, _ = served
    answer = app.client(ELSEWHERE).get("/info/", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_two_tokens_are_none(served):
    app, token = served
    good = ("Authorization", f"Bearer {token(Role.ADMIN)}")
    client = app.client(ELSEWHERE)
    assert client.get("/info/", headers=[good]).status_code == 200
    assert client.get("/info/", headers=[good, ("Authorization", "Bearer x")]).status_code == 401
