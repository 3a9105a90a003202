"""Scoring on a running server: in a process of its own, and what strategies make of it."""

import time

import pytest
import requests
import SimpleITK as sitk
from tests.e2e.conftest import OUR_ASGI, UNCHANGED
from tests.segmentation.versions import planted_head, planted_registry

from parotid_brachy.lib.imaging.volume import to_image
from parotid_brachy.lib.review.readers import ReadersFile, readers_file_of
from parotid_brachy.lib.review.roles import Role

pytestmark = pytest.mark.e2e
PASSWORD = "correct horse battery"
CASES = ("planted_a", "planted_b")


@pytest.fixture
def server(start_server, tmp_path):
    planted_registry(tmp_path / "models")
    studies = tmp_path / "studies"
    studies.mkdir()
    head = planted_head()
    for case in CASES:
        sitk.WriteImage(to_image(head.voxels, head.grid), str(studies / f"{case}.nii.gz"))
    readers = ReadersFile(readers_file_of(studies))
    readers.add("sofia", Role.REVIEWER, PASSWORD)
    readers.add("anna", Role.ANNOTATOR, PASSWORD)
    return start_server(
        *OUR_ASGI,
        *("--conf", "auth", "local"),
        studies=studies,
        model_dir=tmp_path / "models",
        program=UNCHANGED,
    )


def logged_in(server, name):
    session = requests.Session()
    form = {"username": name, "password": PASSWORD, "grant_type": "password"}
    answer = session.post(f"{server.url}/auth/token", data=form, timeout=30)
    session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return session


def test_scores_of_a_process_of_its_own_decide_the_next_case(server):
    anna, sofia = logged_in(server, "anna"), logged_in(server, "sofia")
    assert anna.post(f"{server.url}/scoring/expected_edit", timeout=30).status_code == 403
    strategy = f"{server.url}/activelearning/largest_expected_edit"
    before = anna.post(strategy, json={}, timeout=30).json()
    assert (before["id"], before["reason"][:14]) == ("planted_a", "not scored yet")

    started = sofia.post(f"{server.url}/scoring/expected_edit", timeout=60)
    assert started.status_code == 200, started.text
    until = time.monotonic() + 300
    while (state := anna.get(f"{server.url}/scoring/", timeout=30).json())["status"] != "DONE":
        assert state["status"] in {"SUBMITTED", "RUNNING"}, state
        assert time.monotonic() < until, state
        time.sleep(0.5)

    assert any("Result: " in line for line in state["details"])
    assert not [line for line in state["details"] if "conf" in line or str(server.studies) in line]

    scores = anna.get(f"{server.url}/review/scores/expected_edit", timeout=30).json()
    assert {one["case"] for one in scores["cases"]} == set(CASES)
    assert all(one["values"]["members"] == 7 for one in scores["cases"])
    after = anna.post(strategy, json={}, timeout=30).json()
    assert after["reason"].endswith("ml are expected to change")

    described = sofia.post(
        f"{server.url}/scoring/appearance", params={"run_sync": True}, timeout=300
    )
    assert described.json()["scored"] == len(CASES)
    wrong = sofia.post(
        f"{server.url}/scoring/appearance",
        params={"run_sync": True},
        json={"again": "perhaps"},
        timeout=30,
    )
    assert wrong.status_code == 400
    assert "again" in wrong.text

    # Python looks for modules in a bundle's path, and begins with what it finds there.
    wrong = sofia.post(f"{server.url}/scoring/agreement", json={"bundle_path": "/tmp"}, timeout=30)
    assert wrong.status_code == 400
    assert "bundle_path" in wrong.text
