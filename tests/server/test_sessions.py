import gzip
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from monailabel.utils.sessions import Sessions
from starlette.testclient import TestClient

from parotid_brachy.lib.imaging.label_encoding import nifti_bytes
from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.server import refusals, sessions
from parotid_brachy.lib.server.mislabelled_forms import MislabelledForms


@pytest.fixture
def store(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    return Sessions(str(tmp_path / "sessions"), expiry=3600)


@pytest.fixture
def client(store, monkeypatch):
    class Instance:
        @staticmethod
        def sessions():
            return store

    monkeypatch.setattr(sessions, "app_instance", Instance)
    app = FastAPI()
    app.include_router(sessions.router())
    app.add_middleware(MislabelledForms)
    refusals.install(app)
    return TestClient(app, raise_server_exceptions=False)


def image(ending=".nii"):
    """A small CT as a file; of a slice of DICOM, nothing is looked at here."""
    grid = Grid((4, 5, 6), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    packed = nifti_bytes(np.zeros(grid.shape_kji, np.uint8), grid)
    return {".nii": gzip.decompress(packed), ".nii.gz": packed}.get(ending, b"slice")


def put(client, *names, query="", content=None):
    files = [
        ("files", (name, content if content is not None else image(name[name.find(".n") :])))
        for name in names
    ]
    return client.put(f"/session/{query}", files=files)


def test_an_image_is_kept_under_a_random_id_and_can_be_removed(client, store):
    created = put(client, "../../My CT.nii.gz").json()
    session = created["session_id"]
    kept = Path(created["session_info"]["image"])
    assert kept.parent == Path(store.store_path) / session
    assert kept.name == "image-0.nii.gz"
    assert client.get(f"/session/{session}").json()["name"] == session
    answer = client.get(f"/session/{session}", params={"image": True})
    assert answer.content == image(".nii.gz")
    assert client.delete(f"/session/{session}").status_code == 200
    assert not kept.exists()
    assert client.get(f"/session/{session}").status_code == 404


@pytest.mark.parametrize(
    "left_over", ["application/json", "multipart/form-data; boundary=another", "text/plain"]
)
def test_slicers_client_may_leave_its_last_content_type_on_the_form(client, store, left_over):
    body = (
        b'--b0\r\nContent-Disposition: form-data; name="files"; filename="a.nii"\r\n\r\n'
        + image()
        + b"\r\n--b0--\r\n"
    )
    answer = client.put("/session/", content=body, headers={"Content-Type": left_over})
    assert Path(answer.json()["session_info"]["image"]).read_bytes() == image()
    answer = client.put("/session/", content=b"{}", headers={"Content-Type": left_over})
    assert answer.status_code in {400, 422}


def test_ids_cannot_be_guessed(client):
    first, second = (put(client, "a.nii").json()["session_id"] for _ in range(2))
    assert first[14] == second[14] == "4"  # a random UUID, not one of clock and machine
    assert first[19:] != second[19:]


def test_a_series_of_slices_is_kept_in_a_folder(client):
    created = put(client, "1.dcm", "1.dcm", "2.dcm").json()
    folder = Path(created["session_info"]["image"])
    assert len(list(folder.iterdir())) == 3
    answer = client.get(f"/session/{created['session_id']}", params={"image": True})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "names",
    [
        ["case.zip"], ["case.py"], ["meta.info"], [".."], ["case"], ["a.nii", "b.nii"],
        ["a.dcm", "b.nii"], ["a.nii.gz/.."], ["a.nii.gz\\..\\x"],
    ],
)  # fmt: skip
def test_other_files_are_refused(client, store, names):
    answer = put(client, *names)
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert not Path(store.store_path).exists()


@pytest.mark.parametrize("content", [b"", b"junk", gzip.compress(bytes(100_000)), image()[:300]])
def test_what_is_no_image_is_not_kept(client, store, content):
    answer = put(client, "case.nii.gz", content=content)
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert not Path(store.store_path).exists()


@pytest.mark.parametrize("expiry", ["-1", "99999999999999999999", "x"])
def test_a_session_ends_some_day(client, expiry):
    assert put(client, "case.nii", query=f"?expiry={expiry}").status_code == 422


def test_archives_are_not_unpacked(client, store):
    answer = put(client, "case.nii.gz", query="?uncompress=true")
    assert answer.status_code == 400
    assert "unpacked" in answer.json()["detail"]
    assert not Path(store.store_path).exists()


@pytest.mark.parametrize(
    "session", ["..", "%2e%2e", "x", "secret.txt", "..%5csecret.txt", "0" * 36, "*"]
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_id_is_never_a_path(client, store, tmp_path, method, session):
    put(client, "case.nii.gz")
    answer = client.request(method, f"/session/{session}")
    assert answer.status_code in {400, 404, 405}
    assert (tmp_path / "secret.txt").exists()
    assert len(list(Path(store.store_path).iterdir())) == 1
