import anyio
import pytest
from fastapi import FastAPI, File, Request, UploadFile
from starlette.testclient import TestClient
from tests.server.guarded import HERE

from parotid_brachy.lib.server.answers import Answers
from parotid_brachy.lib.server.limits import (
    LARGEST_TEXT,
    LONGEST_URL,
    MOST_PARTS,
    Limits,
)

LARGEST_UPLOAD = 3 * 2**20


@pytest.fixture
def served():
    """A client of an application with limits, and what has reached it."""
    app = FastAPI()
    reached = []

    @app.put("/datastore/label")
    async def upload(label: UploadFile = File()):  # noqa: B008
        reached.append(len(await label.read()))

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT"])
    async def anything(request: Request):
        reached.append(len(await request.body()))

    app.add_middleware(Limits, max_upload_bytes=LARGEST_UPLOAD)
    app.add_middleware(Answers)
    return TestClient(app, **HERE, raise_server_exceptions=False), reached


def raw_request(app, path, query=b"", headers=(), body=()):
    """Sends bytes as they are, which clients would put right first."""
    sent = []
    parts = [*({"type": "http.request", "body": part, "more_body": True} for part in body)]
    parts.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive():
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    from urllib.parse import unquote

    scope = {
        "type": "http", "method": "PUT", "scheme": "http", "http_version": "1.1",
        "path": unquote(path.decode("latin-1")), "raw_path": path, "query_string": query,
        "headers": list(headers), "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        "root_path": "",
    }  # fmt: skip
    anyio.run(app, scope, receive, send)
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


@pytest.mark.parametrize(
    "path",
    [
        "/a/../b", "/..", "/../x", "/./x", "/a/.", "/%2e%2e/x", "/.%2e/x", "/%2E%2E%2fx",
        "/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/..\\..\\x", "/a%00b", "/a%0ab", "/a%0d%0ab",
        "/a%7fb", "/a%c2%85b", "/a%ffb", "/a%c0%afb", "/a%", "/a%2", "/a%zz", "/a%u002f",
        "/a b", "/a\tb", "a", "*", "", "/\xe4", "/a\x00b", "/a/%2e%2e%00",
    ],
)  # fmt: skip
def test_an_address_that_could_be_misread_is_refused(served, path):
    client, reached = served
    status, body = raw_request(client.app, path.encode("latin-1"))
    assert status == 400
    assert b'"detail"' in body
    assert not reached


@pytest.mark.parametrize("query", [b"a=%", b"a=%0", b"a=%ff", b"a=%00", b"a=%0a", b"a=\x80"])
def test_a_query_that_is_no_text_is_refused(served, query):
    client, reached = served
    assert raw_request(client.app, b"/x", query)[0] == 400
    assert raw_request(client.app, b"/x", b"&".join([b"a=1"] * 101))[0] == 400
    assert not reached


@pytest.mark.parametrize("path", ["/x", "/Gr%C3%B6%C3%9Fe/x", "/a..b/.c", "/a%252e", "/a+b;c,d(e)"])
def test_an_ordinary_address_is_not_refused(served, path):
    client, reached = served
    assert client.get(path, params={"image": "CT neck 2", "größe": "50 %"}).status_code == 200
    assert reached


def test_an_overlong_address_is_refused(served):
    client, _ = served
    assert client.get("/" + "a" * LONGEST_URL).status_code == 414
    assert client.get("/x", params={"a": "b" * LONGEST_URL}).status_code == 414


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Many", "1")] * 101,
        [("X-Long", "a" * 40_000)],
        [("Cookie", "a=" + "b" * 40_000)],
    ],
)
def test_a_bomb_of_headers_is_refused(served, headers):
    client, reached = served
    answer = client.get("/x", headers=headers)
    assert answer.status_code == 431
    assert answer.json()["detail"]
    assert not reached


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"a"), (b"host", b"b")],
        [(b"content-length", b"1"), (b"Content-Length", b"2")],
        [(b"content-length", b"-1")],
        [(b"content-length", b"1e3")],
        [(b"content-length", "\u0661".encode())],
        [(b"content-type", b"multipart/form-data")],
        [(b"content-type", b"multipart/form-data; boundary=" + b"b" * 101)],
    ],
)
def test_contradictory_headers_are_refused(served, headers):
    client, reached = served
    status, body = raw_request(client.app, b"/x", headers=headers)
    assert status == 400
    assert b'"detail"' in body
    assert not reached


def test_a_body_may_be_as_large_as_its_route_takes(served):
    client, reached = served
    assert client.post("/info/", content=b"x" * LARGEST_TEXT).status_code == 200
    files = {"label": ("x.nrrd", b"x" * (LARGEST_UPLOAD - 1000))}
    assert client.put("/datastore/label", files=files).status_code == 200
    assert reached == [LARGEST_TEXT, LARGEST_UPLOAD - 1000]


def test_a_body_that_says_that_it_is_larger_is_not_read(served):
    client, reached = served
    for size in (LARGEST_TEXT + 1, 10**30):
        headers = [(b"content-length", str(size).encode())]
        status, body = raw_request(client.app, b"/info/", headers=headers)
        assert status == 413
        assert b"max_upload_mb" in body
    files = {"label": ("x.nrrd", b"x" * LARGEST_UPLOAD)}
    assert client.put("/datastore/label", files=files).status_code == 413
    assert not reached


def test_a_length_that_slicers_client_left_over_from_an_upload_is_no_upload(served):
    client, reached = served
    headers = {"Content-Length": str(LARGEST_UPLOAD)}
    assert client.get("/info/", headers=headers).status_code == 200
    assert reached == [0]


def test_a_body_that_does_not_say_how_large_it_is_is_read_no_further(served):
    client, reached = served
    taken = []

    def endless():
        for _ in range(1000):
            taken.append(1)
            yield b"x" * 2**16

    body = (part for part in endless())
    status, answered = raw_request(client.app, b"/info/", body=list(body)[:50])
    assert status == 413
    assert b'"detail"' in answered
    assert not reached


def test_a_large_upload_in_parts_is_refused_though_the_form_reader_hides_it(served):
    client, reached = served

    def form():
        yield b'--b\r\nContent-Disposition: form-data; name="label"; filename="x.nrrd"\r\n\r\n'
        for _ in range(60):
            yield b"x" * 2**16
        yield b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = client.put("/datastore/label", content=form(), headers=headers)
    assert answer.status_code == 413
    assert "larger than" in answer.json()["detail"]
    assert not reached


def test_a_form_of_too_many_parts_is_refused_wherever_it_is_cut(served):
    client, reached = served
    part = b'--bound\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    headers = [(b"content-type", b"multipart/form-data; boundary=bound")]
    few, many = part * MOST_PARTS + b"--bound--", part * (MOST_PARTS + 1) + b"--bound--"
    for size in (7, 1000, 10**6):
        cut = [many[at : at + size] for at in range(0, len(many), size)]
        assert raw_request(client.app, b"/x", headers=headers, body=cut)[0] == 413
        cut = [few[at : at + size] for at in range(0, len(few), size)]
        assert raw_request(client.app, b"/x", headers=headers, body=cut)[0] == 200
    assert len(reached) == 3
