import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi import FastAPI
from monailabel.config import settings
from starlette.testclient import TestClient
from tests.server.guarded import HERE

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.server import proxy, refusals
from parotid_brachy.lib.server.answers import Answers
from parotid_brachy.lib.server.limits import Limits
from parotid_brachy.lib.server.proxy import checked_resource

UID = "1.2.840.113619.2.55"


@pytest.fixture
def archive(monkeypatch):
    """A DICOMweb archive below /dicom-web, what it was asked, and what it answers."""
    asked = []
    answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.command, self.path, dict(self.headers)))
            path = urlsplit(self.path).path
            status, headers, content = answers.get(path, (200, {}, b"[]"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815 (the base class calls it so)

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    root = f"http://127.0.0.1:{server.server_port}/dicom-web"
    monkeypatch.setattr(settings, "MONAI_LABEL_STUDIES", root)
    yield asked, answers
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def client():
    app = FastAPI()
    app.include_router(proxy.router())
    app.add_middleware(Limits, max_upload_bytes=2**20)
    app.add_middleware(Answers)
    refusals.install(app)
    return TestClient(app, **HERE, raise_server_exceptions=False, follow_redirects=False)


@pytest.mark.parametrize(
    "resource",
    [
        "studies",
        f"studies/{UID}",
        f"studies/{UID}/metadata",
        f"studies/{UID}/instances",
        f"studies/{UID}/series",
        f"studies/{UID}/series/{UID}",
        f"studies/{UID}/series/{UID}/thumbnail",
        f"studies/{UID}/series/{UID}/instances/{UID}/rendered",
        f"studies/{UID}/series/{UID}/instances/{UID}/frames/1",
        f"studies/{UID}/series/{UID}/instances/{UID}/frames/1,2,{','.join(map(str, range(3, 90)))}",
        f"studies/{UID}/series/{UID}/instances/{UID}/frames/3/rendered",
        f"studies/{UID}/series/{UID}/instances/{UID}/bulkdata/7FE00010",
        f"studies/{UID}/series/{UID}/instances/{UID}/bulk/00420011/1/7FE00010",
    ],
)
def test_resources_of_dicomweb_are_read(resource):
    assert checked_resource(resource) == resource


@pytest.mark.parametrize(
    "path",
    [
        "", "system", "../system", "studies/../../system", "studies/..", "studies/../instances",
        "instances", "patients", f"studies/{UID}/archive", f"studies/{UID}/modify", "studies/abc",
        "studies/1..2", "studies/1.2.", f"studies/{'1' * 65}", f"studies/{UID}/series/{UID}/x",
        f"studies/{UID}/frames/1", f"studies/{UID}/series/{UID}/instances/{UID}/frames/0",
        f"studies/{UID}/series/{UID}/instances/{UID}/frames/a", "studies?x", "studies#x",
        "studies/1.2;x", "studies/%31", "studies\n", "http://evil.example/studies",
        "//evil.example/studies", "@evil.example/studies", "studies/1.2/bulkdata",
        "studies/1.2/bulkdata/../x", f"studies/{UID}/bulk/{'a/' * 17}a", "STUDIES",
        "studies/\u0661",
        "studies/" + "1." * 2000 + "1",
    ],
)  # fmt: skip
def test_nothing_else_is(path):
    with pytest.raises(UsageError, match="DICOMweb"):
        checked_resource(path)


@pytest.mark.parametrize(
    "path",
    ["..%2fsystem", "%2e%2e/system", "wado/..%2f..%2fsystem", "studies/..%5c..%5csystem",
     "wado//system", "qido/system", "stow/studies%3fx", "studies%23x"],
)  # fmt: skip
def test_no_spelling_of_a_path_leads_out(archive, client, path):
    asked, _ = archive
    answer = client.get(f"/proxy/dicom/{path}")
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert not asked


def test_prefixes_query_and_what_is_accepted_are_passed_on_and_nothing_else(
    archive, client, monkeypatch
):
    asked, answers = archive
    monkeypatch.setattr(settings, "MONAI_LABEL_WADO_PREFIX", "wado")
    monkeypatch.setattr(settings, "MONAI_LABEL_QIDO_PREFIX", "/qido/")
    answers["/dicom-web/wado/studies"] = (
        200,
        {"Content-Type": "application/dicom+json", "Set-Cookie": "a=b", "X-Secret": "1"},
        b'[{"a": 1}]',
    )
    answer = client.get(
        "/proxy/dicom/wado/studies?PatientName=M%C3%BC*&limit=2&limit=3",
        headers={"Accept": "application/dicom+json", "Authorization": "Bearer x", "Cookie": "c=d"},
    )
    assert answer.json() == [{"a": 1}]
    assert answer.headers["content-type"] == "application/dicom+json"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert not {"set-cookie", "x-secret"} & set(answer.headers)
    (_, path, headers) = asked[0]
    assert parse_qsl(urlsplit(path).query) == [
        ("PatientName", "Mü*"), ("limit", "2"), ("limit", "3"),
    ]  # fmt: skip
    assert urlsplit(path).path == "/dicom-web/wado/studies"
    headers = {name.lower(): value for name, value in headers.items()}
    assert headers["accept"] == "application/dicom+json"
    assert not {"authorization", "cookie"} & set(headers)

    for address, expected in {
        "qido/studies": "qido/studies",
        f"qido/studies/{UID}/metadata": f"wado/studies/{UID}/metadata",
        "stow/studies": "studies",
        "studies/": "studies",
    }.items():
        client.get(f"/proxy/dicom/{address}")
        assert asked[-1][1] == f"/dicom-web/{expected}"


def test_the_servers_credentials_are_the_archives_only(archive, client, monkeypatch):
    asked, _ = archive
    monkeypatch.setattr(settings, "MONAI_LABEL_DICOMWEB_USERNAME", "server")
    monkeypatch.setattr(settings, "MONAI_LABEL_DICOMWEB_PASSWORD", "secret")
    client.get("/proxy/dicom/studies")
    assert asked[0][2]["Authorization"].startswith("Basic ")


def test_a_large_answer_comes_as_it_is(archive, client):
    _, answers = archive
    content = bytes(range(256)) * 20_000
    path = f"studies/{UID}/series/{UID}/instances/{UID}/frames/1"
    answers[f"/dicom-web/{path}"] = (200, {"Content-Type": "multipart/related"}, content)
    assert client.get(f"/proxy/dicom/wado/{path}").content == content
    zipped = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answers["/dicom-web/studies"] = (200, zipped, gzip.compress(b"[1]"))
    assert client.get("/proxy/dicom/studies").json() == [1]


def test_only_the_head_can_be_asked_for(archive, client):
    asked, _ = archive
    assert client.head("/proxy/dicom/studies").status_code == 200
    assert asked[0][0] == "HEAD"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_is_changed_in_the_archive(archive, client, method):
    asked, _ = archive
    assert client.request(method, "/proxy/dicom/stow/studies").status_code == 405
    assert not asked


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [(301, 502), (302, 502), (401, 502), (403, 502), (404, 404), (400, 400), (500, 502)],
)
def test_what_the_archive_refuses_is_told_without_its_pages(archive, client, theirs, ours):
    asked, answers = archive
    headers = {"Location": "http://127.0.0.1:1/elsewhere"} if theirs in {301, 302} else {}
    answers["/dicom-web/studies"] = (theirs, headers, b"<html>inner matters</html>")
    answer = client.get("/proxy/dicom/studies")
    assert answer.status_code == ours
    assert answer.json()["detail"]
    assert "inner matters" not in answer.text
    assert len(asked) == 1


def test_an_archive_that_is_down_is_told(client, monkeypatch):
    monkeypatch.setattr(settings, "MONAI_LABEL_STUDIES", "http://127.0.0.1:1/dicom-web")
    answer = client.get("/proxy/dicom/studies")
    assert answer.status_code == 502
    assert answer.json()["detail"]


def test_a_folder_of_studies_has_no_dicomweb(client, monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "MONAI_LABEL_STUDIES", str(tmp_path))
    answer = client.get("/proxy/dicom/studies")
    assert answer.status_code == 404
    assert answer.json()["detail"]
