import time

import anyio
import jwt
import pytest
from tests.server.identity_provider import (
    AUDIENCE,
    CURVE_KEY,
    KEY,
    OTHER_KEY,
    SHORT_KEY,
    identity_provider,
    jwk,
)

from parotid_brachy.lib.errors import NotAllowedError, NotAuthenticatedError
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.server.configuration import OidcSettings
from parotid_brachy.lib.server.oidc import Provider, claim
from parotid_brachy.lib.server.provider_keys import ProviderKeys
from parotid_brachy.lib.server.refusals import RequestRefusedError


@pytest.fixture
def idp():
    with identity_provider() as provider:
        yield provider


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def check(idp, clock):
    """Checks tokens by the provider; options change the settings."""
    known = {}

    def reader_of(token, **options):
        key = repr(options)
        if key not in known:
            settings = OidcSettings(**{"issuer": idp.issuer, "audience": AUDIENCE} | options)
            known[key] = Provider(settings, keys=ProviderKeys(settings, clock=clock))
        return anyio.run(known[key].reader_of, token)

    return reader_of


def test_a_token_of_the_providers_names_reader_and_role(idp, check):
    assert check(idp.token("reviewer")) == Reader("ana", Role.REVIEWER)


def test_keys_are_found_by_discovery_or_by_their_own_address(idp, check):
    assert check(idp.token("admin"), jwks_url=f"{idp.issuer}/keys").role is Role.ADMIN
    assert idp.asked == ["/realm/keys"]


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS512"])
def test_the_rsa_algorithms_are_taken(idp, check, algorithm):
    assert check(idp.token("annotator", algorithm=algorithm))


def test_a_curve_is_taken_with_its_own_algorithm(idp, check):
    assert check(idp.token("annotator", key=CURVE_KEY, kid="curve", algorithm="ES256"))


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        (["annotator", "admin", "reviewer"], Role.ADMIN),
        (["offline_access", "monailabel-reviewer"], Role.REVIEWER),
        (["annotator", 7, None], Role.ANNOTATOR),
    ],
)
def test_the_highest_role_of_ours_counts(idp, check, roles, role):
    assert check(idp.token(*roles)).role is role


@pytest.mark.parametrize("roles", [[], ["ADMIN"], ["administrator"], ["monailabel-user"]])
def test_a_token_without_a_role_of_ours_is_not_let_in(idp, check, roles):
    with pytest.raises(NotAllowedError, match="annotator, reviewer, admin"):
        check(idp.token(*roles))


def test_roles_and_name_are_where_the_configuration_says(idp, check):
    token = idp.token(**{"https://clinic.example/roles": "reviewer other", "email": "b@c.example"})
    options = {"role_claims": ("https://clinic.example/roles",), "name_claim": "email"}
    assert check(token, **options) == Reader("b@c.example", Role.REVIEWER)


@pytest.mark.parametrize("name", [None, 7, "", "../x", "<script>"])
def test_a_name_that_no_reader_can_have_is_not_let_in(idp, check, name):
    with pytest.raises(NotAllowedError, match="preferred_username"):
        check(idp.token("admin", preferred_username=name))


def forgeries(idp):
    now = int(time.time())
    yield "none at all", "not.a.token"
    yield "empty", ""
    yield "unsigned", idp.unsigned("admin")
    yield "other key", idp.token("admin", key=OTHER_KEY)
    yield "public key as secret", idp.signed_with_public_key("admin")
    yield "shared secret", idp.token("admin", key=b"x" * 32, algorithm="HS256")
    yield "wrong issuer", idp.token("admin", iss="https://evil.example")
    yield "issuer with slash", idp.token("admin", iss=idp.issuer + "/")
    yield "no issuer", idp.token("admin", iss=None)
    yield "wrong audience", idp.token("admin", aud="account")
    yield "no audience", idp.token("admin", aud=None)
    yield "expired", idp.token("admin", exp=now - 31)
    yield "no expiry", idp.token("admin", exp=None)
    yield "from the future", idp.token("admin", iat=now + 120)
    yield "not valid yet", idp.token("admin", nbf=now + 120)
    yield "unknown kid", idp.token("admin", kid="nobody")
    yield "kid of another kind", idp.token("admin", kid="curve")
    yield "no kid of two RSA keys", idp.token("admin", kid=None, key=OTHER_KEY)
    whole = idp.token("admin")
    header, _, signature = whole.split(".")
    yield "cut", whole[:-9]
    yield "other claims", f"{header}.{idp.token('annotator').split('.')[1]}.{signature}"


NAMES = [
    "none at all", "empty", "unsigned", "other key", "public key as secret", "shared secret",
    "wrong issuer", "issuer with slash", "no issuer", "wrong audience", "no audience", "expired",
    "no expiry", "from the future", "not valid yet", "unknown kid", "kid of another kind",
    "no kid of two RSA keys", "cut", "other claims",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_token_that_the_provider_did_not_issue_for_us_now_is_refused(idp, check, name):
    tokens = dict(forgeries(idp))
    assert list(tokens) == NAMES
    with pytest.raises(NotAuthenticatedError):
        check(tokens[name])


def test_a_clock_that_is_a_little_off_locks_nobody_out(idp, check):
    now = int(time.time())
    assert check(idp.token("admin", exp=now - 5, iat=now + 5, nbf=now + 5))


@pytest.mark.parametrize(
    "key",
    [
        jwk(SHORT_KEY, "one"),
        jwk(KEY, "one", use="enc"),
        jwk(KEY, "one", alg="RS512"),
        jwk(KEY, "one", alg="RSA-OAEP"),
        jwk(KEY, "one", alg=["RS256"]),
        jwk(CURVE_KEY, "one", crv=["P-256"]),
        {"kty": "oct", "kid": "one", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "one", "n": "AQ"},
        {"kty": ["RSA"], "kid": "one"},
        "one",
    ],
)
def test_a_key_that_is_not_for_such_signatures_is_not_used(idp, check, key):
    idp.keys = [key]
    signer = SHORT_KEY if isinstance(key, dict) and key.get("n") == jwk(SHORT_KEY, "")["n"] else KEY
    with pytest.raises(NotAuthenticatedError):
        check(idp.token("admin", key=signer))


def test_keys_are_kept_and_fetched_again_after_an_hour(idp, check, clock):
    for _ in range(5):
        check(idp.token("admin"))
    assert idp.asked.count("/realm/keys") == 1
    clock.now += 3601
    check(idp.token("admin"))
    assert idp.asked.count("/realm/keys") == 2


def test_a_new_key_is_found_and_made_up_ones_ask_once_a_minute(idp, check, clock):
    check(idp.token("admin"))
    idp.keys = [jwk(OTHER_KEY, "two")]
    for number in range(10):
        with pytest.raises(NotAuthenticatedError):
            check(idp.token("admin", key=OTHER_KEY, kid=f"made up {number}"))
    assert idp.asked.count("/realm/keys") == 1
    clock.now += 61
    assert check(idp.token("admin", key=OTHER_KEY, kid="two"))
    with pytest.raises(NotAuthenticatedError):  # the old key is gone
        check(idp.token("admin"))
    assert idp.asked.count("/realm/keys") == 2


def test_a_provider_that_is_down_is_told_apart_from_a_bad_token(idp, check, clock):
    token = idp.token("admin")
    nowhere = {"jwks_url": "http://127.0.0.1:1/keys"}
    for _ in range(2):
        with pytest.raises(RequestRefusedError, match="identity provider") as refused:
            check(token, **nowhere)
        assert refused.value.status == 503


def test_known_keys_serve_while_the_provider_is_down(idp, check, clock):
    check(idp.token("admin"))
    idp.discovery = {"jwks_uri": "http://127.0.0.1:1/keys"}
    clock.now += 3601
    assert check(idp.token("admin"))


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"jwks_uri": "http://keys.example/plain"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
    ],
)
def test_a_discovery_that_leads_astray_is_not_followed(idp, check, document):
    idp.discovery = document
    with pytest.raises(RequestRefusedError, match="identity provider"):
        check(idp.token("admin"))


def test_name_and_password_are_passed_on_for_slicers_login(idp):
    provider = Provider(OidcSettings(issuer=idp.issuer, audience=AUDIENCE))
    token = anyio.run(provider.token_for_password, "ana", "her password")
    assert jwt.decode(token, options={"verify_signature": False})["preferred_username"] == "ana"
    with pytest.raises(NotAuthenticatedError, match="password"):
        anyio.run(provider.token_for_password, "ana", "another")


@pytest.mark.parametrize(
    ("path", "value"),
    [("a.b", 1), ("a.c", None), ("x.y", 2), ("a.b.c", None), ("missing", None)],
)
def test_a_claim_is_found_by_its_name_before_its_path(path, value):
    assert claim({"a": {"b": 1}, "x.y": 2}, path) == value
