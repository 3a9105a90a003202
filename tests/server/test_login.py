import jwt
import pytest
from tests.review.passwords import quick_hashes
from tests.server.guarded import ELSEWHERE, PASSWORD, guarded
from tests.server.identity_provider import AUDIENCE, identity_provider

from parotid_brachy.lib.server.login_pace import LoginPace

__all__ = ["quick_hashes"]


@pytest.fixture
def app(tmp_path, quick_hashes):
    return guarded(tmp_path, auth="local")


def log_in(client, name="rob", password=PASSWORD, **more):
    form = {"username": name, "password": password, "grant_type": "password", **more}
    return client.post("/auth/token", data=form)


def test_name_and_password_give_a_token_that_works(app):
    client = app.client(ELSEWHERE)
    assert client.get("/auth/").json() == {"enabled": True, "client_id": "", "realm": ""}
    answer = log_in(client)
    assert answer.status_code == 200
    token = answer.json()
    assert set(token) == {"access_token", "token_type"}
    headers = {"Authorization": f"{token['token_type']} {token['access_token']}"}
    assert client.get("/info/", headers=headers).json()["who"] == ["rob", "reviewer", True]
    assert answer.headers["cache-control"] == "no-store"


def test_a_token_holds_no_role_and_ends(tmp_path, quick_hashes):
    app = guarded(tmp_path, auth="local", token_hours="2")
    token = log_in(app.client(ELSEWHERE)).json()["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 7200
    assert set(claims) == {"iss", "aud", "exp", "iat", "sub", "generation"}


@pytest.mark.parametrize(
    ("name", "password"),
    [("rob", "wrong password"), ("nobody", PASSWORD), ("rob", ""), ("rob", "x" * 100), ("", "")],
)
def test_a_wrong_name_and_a_wrong_password_are_answered_alike(app, name, password):
    answer = log_in(app.client(ELSEWHERE), name, password)
    assert answer.status_code in {401, 422}
    assert "rob" not in answer.text
    assert "x" * 100 not in answer.text
    if answer.status_code == 401:
        assert answer.json() == {"detail": "name or password is wrong"}


def test_unknown_names_cost_a_hash_too(app, monkeypatch):
    import bcrypt

    checked = []
    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *args: checked.append(args) or real(*args))
    log_in(app.client(ELSEWHERE), "nobody")
    log_in(app.client(ELSEWHERE), "rob", "x" * 100)
    assert len(checked) == 2


@pytest.mark.parametrize(
    "form",
    [{}, {"username": "rob"}, {"username": "rob", "password": PASSWORD, "grant_type": "refresh"},
     {"username": "r" * 300, "password": PASSWORD}],
)  # fmt: skip
def test_a_form_that_is_none_is_refused_without_repeating_it(app, form):
    answer = app.client(ELSEWHERE).post("/auth/token", data=form)
    assert answer.status_code == 422
    assert PASSWORD not in answer.text
    assert "r" * 300 not in answer.text


def test_after_some_failures_one_has_to_wait(app):
    client = app.client(ELSEWHERE)
    statuses = [log_in(client, "rob", "wrong password").status_code for _ in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    answer = log_in(client)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert log_in(client, "ada").status_code == 200


def test_without_a_readers_file_there_is_no_login(tmp_path, quick_hashes):
    app = guarded(tmp_path)
    app.readers.path.unlink()
    client = app.client()
    assert client.get("/auth/").json()["enabled"] is False
    assert log_in(client).status_code == 401
    assert client.get("/auth/token/valid").json()["username"] == "unknown"


def test_a_providers_login_is_used_for_slicer(tmp_path, quick_hashes):
    with identity_provider() as idp:
        app = guarded(tmp_path, auth="oidc", oidc_issuer=idp.issuer, oidc_audience=AUDIENCE)
        client = app.client(ELSEWHERE)
        assert client.get("/auth/").json()["realm"] == idp.issuer
        token = log_in(client, "ana", "her password").json()["access_token"]
        told = client.get("/auth/token/valid", headers={"Authorization": f"Bearer {token}"})
        assert told.json()["roles"] == ["annotator", "reviewer"]
        assert log_in(client, "ana", "another").status_code == 401
    assert log_in(client, "ana", "her password").status_code == 503


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def fail(pace, times, name="rob", address="192.0.2.1"):
    return [pace.begin(name, address) for _ in range(times)]


def test_each_further_failure_makes_the_wait_longer_up_to_a_minute():
    clock = Clock()
    pace = LoginPace(clock)
    assert fail(pace, 5) == [0] * 5
    waits = []
    for _ in range(10):
        wait = pace.begin("rob", "192.0.2.1")
        waits.append(wait)
        clock.now += wait
        assert pace.begin("rob", "192.0.2.1") == 0
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_a_name_is_slowed_from_every_address_and_an_address_for_every_name():
    pace = LoginPace(Clock())
    for number in range(5):
        assert pace.begin("rob", f"192.0.2.{number}") == 0
    assert pace.begin("ROB", "198.51.100.1") > 0
    for number in range(20):
        assert pace.begin(f"name {number}", "203.0.113.9") == 0
    assert pace.begin("ana", "203.0.113.9") > 0
    assert pace.begin("ana", "203.0.113.10") == 0


def test_a_success_forgets_the_names_failures_but_not_the_addresss():
    pace = LoginPace(Clock())
    for _ in range(3):
        fail(pace, 4)
        assert pace.begin("rob", "192.0.2.1") == 0
        pace.succeeded("rob", "192.0.2.1")
    assert fail(pace, 5) == [0] * 5  # the name is as new; the address has had 12 and these
    assert pace.begin("ana", "192.0.2.1") == 0
    assert fail(pace, 3, "ben") == [0, 0, 1]


def test_failures_are_forgotten_after_a_quarter_of_an_hour():
    clock = Clock()
    pace = LoginPace(clock)
    fail(pace, 5)
    clock.now += 901
    assert fail(pace, 5) == [0] * 5


def test_made_up_names_fill_no_memory():
    pace = LoginPace(Clock())
    for number in range(11_000):
        pace.begin(f"name {number}", f"address {number}")
    assert len(pace._entries) <= 10_000
