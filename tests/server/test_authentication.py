"""Without a token: this machine only, names that are said, and the stock Reviewer."""

from typing import Any

import pytest
from fastapi import Request
from tests.review.passwords import quick_hashes
from tests.server.guarded import ELSEWHERE, HERE, guarded

from parotid_brachy.lib.errors import (
    InputRefusedError,
    NotAllowedError,
    NotAuthenticatedError,
    UsageError,
)
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.server.authentication import (
    NOBODY,
    Identity,
    identity_of,
    reviewer_without_token,
    stated_reader,
)

__all__ = ["quick_hashes"]
REVIEW = "/datastore/updatelabelinfo?label=case_a&tag=final"
CORRECTION = "/datastore/label?image=case_a&tag=version_1"
STOCK = [
    ("GET", "/"),
    ("GET", "/datastore/?output=all"),
    ("GET", "/datastore/image?image=case_a"),
    ("GET", "/datastore/label?label=case_a&tag=final"),
    ("PUT", REVIEW),
    ("PUT", CORRECTION),
    ("DELETE", "/datastore/label?id=case_a&tag=version_1"),
]
NOT_STOCK = [
    ("GET", "/datastore/?output=train"),
    ("GET", "/datastore/"),
    ("GET", "/info/"),
    ("GET", "/logs/"),
    ("PUT", "/datastore/label?image=case_a"),
    ("PUT", "/datastore/label?image=case_a&tag=final"),
    ("PUT", "/datastore/label?image=case_a&tag=final&tag=version_1"),
    ("PUT", "/datastore/label?image=case_a&tag=version_0"),
    ("PUT", "/datastore/label/info?label=case_a&tag=final"),
    ("DELETE", "/datastore/label?id=case_a&tag=final"),
    ("DELETE", "/datastore/image?id=case_a"),
    ("POST", "/review/cases/case_a/transitions"),
    ("POST", "/train/two_step"),
]


@pytest.fixture
def app(tmp_path, quick_hashes):
    """Builds the application with settings."""
    return lambda **conf: guarded(tmp_path, **conf)


@pytest.fixture
def with_reviewer(tmp_path, quick_hashes):
    """Builds it with rob as the loopback reviewer."""

    def build(auth):
        guarded(tmp_path)  # writes the readers file
        return guarded(tmp_path, auth=auth, loopback_reviewer="rob")

    return build


def who(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["who"]


def test_without_login_this_machine_is_served_as_an_annotator_of_no_name(app):
    assert who(app().client().get("/info/")) == ["unknown", "annotator", False]


@pytest.mark.parametrize("path", ["/", "/info/", "/auth/", "/static/x"])
def test_without_login_no_other_machine_is_served_and_is_told_why(app, path):
    answer = app().client(ELSEWHERE).get(path)
    assert answer.status_code == 401
    assert "--conf auth local" in answer.json()["detail"]
    assert "readers add" in answer.json()["detail"]


@pytest.mark.parametrize("peer", ["192.0.2.7", "10.0.0.1", "::ffff:192.0.2.7", "2001:db8::1", "x"])
def test_a_peer_elsewhere_is_not_served_whatever_host_it_names(app, peer):
    assert app().client(HERE | {"client": (peer, 1)}).get("/info/").status_code == 401


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_a_peer_on_this_machine_is_served(app, peer):
    assert app().client(HERE | {"client": (peer, 1)}).get("/info/").status_code == 200


@pytest.mark.parametrize(
    "header",
    ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via"],
)
def test_what_a_proxy_on_this_machine_passes_on_is_from_elsewhere(app, header):
    assert app().client(**{header: "127.0.0.1"}).get("/info/").status_code == 401


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1", "127.1.2.3:80", "[::1]:8000", "LOCALHOST"]
)
def test_this_machine_goes_by_several_names(app, host):
    assert app().client(Host=host).get("/info/").status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example",
     "evil.example#localhost", "0.0.0.0", "", "[::1].evil.example", "::1", "127.0.0.1:x:y",
     "user@evil.example:127.0.0.1"],
)  # fmt: skip
def test_a_web_site_that_calls_itself_this_machine_is_not_served(app, host):
    answer = app().client(Host=host).get("/info/")
    assert answer.status_code == 403
    assert answer.json()["detail"]


def test_without_login_routes_for_reviewers_are_nobodys(app):
    for method, path in [("PUT", REVIEW), ("POST", "/train/x"), ("GET", "/logs/")]:
        answer = app().client().request(method, path)
        assert answer.status_code == 401
        assert "loopback_reviewer" in answer.json()["detail"]


def test_without_login_a_token_still_proves_who_somebody_is(app):
    served = app()
    headers = {"Authorization": f"Bearer {served.token(Role.ADMIN)}"}
    assert who(served.client().get("/logs/", headers=headers)) == ["ada", "admin", True]
    answer = served.client().get("/info/", headers={"Authorization": "Bearer x"})
    assert answer.status_code == 401


@pytest.mark.parametrize("auth", ["off", "local"])
@pytest.mark.parametrize(("method", "path"), STOCK)
def test_the_stock_reviewer_works_on_this_machine_as_whom_the_configuration_names(
    with_reviewer, auth, method, path
):
    answer = with_reviewer(auth).client().request(method, path)
    if path == "/":
        assert answer.status_code == 200
    else:
        assert who(answer) == ["rob", "reviewer", False]


@pytest.mark.parametrize(("method", "path"), STOCK[1:] + NOT_STOCK)
def test_with_login_the_stock_reviewer_needs_the_configuration(app, method, path):
    assert app(auth="local").client().request(method, path).status_code == 401


@pytest.mark.parametrize(("method", "path"), NOT_STOCK)
def test_with_login_nothing_else_works_without_a_token(with_reviewer, method, path):
    assert with_reviewer("local").client().request(method, path).status_code == 401


@pytest.mark.parametrize(
    ("place", "headers"),
    [
        (ELSEWHERE, {}),
        (HERE | {"client": ("192.0.2.7", 1)}, {}),
        (HERE, {"Host": "evil.example"}),
        (HERE, {"X-Forwarded-For": "127.0.0.1"}),
        (HERE, {"Origin": "http://evil.example"}),
    ],
)
def test_the_stock_reviewer_without_a_token_is_on_this_machine_only(with_reviewer, place, headers):
    answer = with_reviewer("local").client(place, **headers).put(REVIEW)
    assert answer.status_code in {401, 403}


def test_without_login_the_configured_reviewer_may_what_reviewers_may_and_no_more(with_reviewer):
    client = with_reviewer("off").client()
    assert who(client.post("/train/x")) == ["rob", "reviewer", False]
    assert client.get("/logs/").status_code == 401
    assert who(client.put("/datastore/label?image=a&tag=final"))[0] == "unknown"


def test_a_loopback_reviewer_must_be_one(app):
    app()
    for name in ("ana", "nobody"):
        with pytest.raises(UsageError, match=name):
            app(auth="local", loopback_reviewer=name)


def test_a_loopback_reviewer_who_is_demoted_stops_being_one(with_reviewer):
    served = with_reviewer("local")
    assert served.client().put(REVIEW).status_code == 200
    served.readers.set_role("rob", Role.ANNOTATOR)
    assert served.client().put(REVIEW).status_code == 401


def test_a_damaged_readers_file_lets_nobody_in_and_tells_no_path(app):
    served = app(auth="local")
    headers = {"Authorization": f"Bearer {served.token(Role.ADMIN)}"}
    served.readers.path.write_text("{")
    answer = served.client().get("/info/", headers=headers)
    assert answer.status_code == 503
    assert str(served.readers.path) not in answer.text
    with pytest.raises(InputRefusedError):
        app(auth="local")


@pytest.mark.parametrize("change", ["role", "password", "removal", "removal and return"])
def test_a_token_ends_when_its_reader_is_changed(app, change):
    served = app(auth="local")
    headers = {"Authorization": f"Bearer {served.token(Role.REVIEWER)}"}
    assert served.client().get("/info/", headers=headers).status_code == 200
    if change == "role":
        served.readers.set_role("rob", Role.ADMIN)
    elif change == "password":
        served.readers.set_password("rob", "another long password")
    else:
        served.readers.remove("rob")
    if change == "removal and return":
        served.readers.add("rob", Role.REVIEWER, None)
    assert served.client().get("/info/", headers=headers).status_code == 401


def asked(app: Any, method: str, path: str, question: Any) -> Any:
    """What a handler on that route learns about who is asking."""
    learned = []

    async def handler(request: Request):
        learned.append(question(request))

    served_path = path.partition("?")[0]
    app.app.router.routes[:] = [
        r for r in app.app.router.routes if getattr(r, "path", None) != served_path
    ]
    app.app.add_api_route(served_path, handler, methods=[method])
    app.app.router.routes.insert(0, app.app.router.routes.pop())
    answer = app.client().request(method, path)
    assert answer.status_code == 200, answer.text
    return learned[0]


@pytest.mark.parametrize(
    ("client_id", "reader"),
    [
        ("rob", Reader("rob", Role.REVIEWER)),
        (" ROB ", Reader("rob", Role.REVIEWER)),
        ("user-xyz", Reader("user-xyz", Role.ANNOTATOR)),
        ("../../etc", NOBODY),
        ("a" * 65, NOBODY),
        ("a\nb", NOBODY),
        ("", NOBODY),
        (None, NOBODY),
        (7, NOBODY),
        (["rob"], NOBODY),
    ],
)
def test_without_login_a_client_is_whom_it_says(app, client_id, reader):
    def question(request):
        return stated_reader(identity_of(request), client_id)

    assert asked(app(), "PUT", "/datastore/label?image=a", question) == reader


def test_with_login_what_a_client_says_counts_for_nothing(with_reviewer):
    def question(request):
        return stated_reader(identity_of(request), "ada")

    assert asked(with_reviewer("local"), "PUT", CORRECTION, question).name == "rob"
    proved = Identity(Reader("ana", Role.ANNOTATOR), is_proved=True)
    assert stated_reader(proved, "ada").name == "ana"


@pytest.mark.parametrize(
    ("approved_by", "name"),
    [("ada", "ada"), ("ROB", "rob"), (None, "rob")],
)
@pytest.mark.parametrize("auth", ["off", "local"])
def test_the_stock_reviewers_record_names_the_senior(with_reviewer, auth, approved_by, name):
    def question(request):
        return reviewer_without_token(request, approved_by)

    assert asked(with_reviewer(auth), "PUT", REVIEW, question).name == name


@pytest.mark.parametrize("approved_by", ["ana", "nobody"])
def test_nobody_else_is_taken_for_a_senior_who_is_none(with_reviewer, approved_by):
    refused = []

    def question(request):
        with pytest.raises(NotAllowedError, match="no reviewer of that name") as error:
            reviewer_without_token(request, approved_by)
        refused.append(error.value)

    asked(with_reviewer("off"), "PUT", REVIEW, question)
    assert approved_by in str(refused[0])


def test_a_request_that_changes_nothing_is_the_configured_reviewers(with_reviewer):
    def question(request):
        return reviewer_without_token(request, "ada")

    path = "/datastore/label?label=a&tag=final"
    assert asked(with_reviewer("local"), "GET", path, question).name == "rob"


def test_who_has_a_token_or_is_not_the_stock_reviewer_is_not_it(app, with_reviewer):
    def question(request):
        return reviewer_without_token(request, "ada")

    assert asked(with_reviewer("off"), "PUT", "/datastore/label?image=a", question) is None
    assert asked(app(), "PUT", CORRECTION, question) is None


def test_a_public_route_does_not_know_who_asks(app):
    def question(request):
        with pytest.raises(NotAuthenticatedError):
            identity_of(request)

    asked(app(), "GET", "/favicon.ico", question)
