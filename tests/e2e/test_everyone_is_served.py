"""While an inference runs, other requests are answered; the next inference waits its turn."""

import threading
import time

import pytest
import requests
from tests.e2e.conftest import painted_labels

pytestmark = pytest.mark.e2e


@pytest.fixture
def running(server):
    """An inference that is held in its network until the test has made its requests."""
    hold, held = server.gate / "hold", server.gate / "held"
    hold.touch()
    answers = []

    def ask():
        url = f"{server.url}/infer/two_step"
        answers.append(requests.post(url, params={"image": "operated_left"}, timeout=120))

    thread = threading.Thread(target=ask)
    thread.start()
    until = time.monotonic() + 60
    while not held.exists():
        assert time.monotonic() < until, "the inference never began"
        time.sleep(0.02)

    def finish():
        hold.unlink(missing_ok=True)
        thread.join(60)
        held.unlink(missing_ok=True)
        return answers

    yield finish
    finish()


def test_others_are_served_while_an_inference_runs(server, running):
    case = {"image": "operated right"}
    asked = [
        requests.get(f"{server.url}/info/", timeout=30),
        requests.get(f"{server.url}/datastore/", params={"output": "all"}, timeout=30),
        requests.get(f"{server.url}/datastore/image", params=case, timeout=30),
        requests.get(f"{server.url}/openapi.json", timeout=30),
    ]
    assert [answer.status_code for answer in asked] == [200] * len(asked)
    put = requests.put(
        f"{server.url}/datastore/label",
        params=case,
        files={"label": ("label.nii.gz", painted_labels(server.studies, case["image"]))},
        timeout=30,
    )
    assert put.status_code == 200, put.text
    got = requests.get(
        f"{server.url}/datastore/label",
        params={"label": case["image"], "tag": "final"},
        timeout=30,
    )
    assert got.status_code == 200
    assert b"parotid_gland" in got.content
    assert [answer.status_code for answer in running()] == [200]


def test_a_second_inference_waits_for_the_first(server, running):
    second = []

    def ask():
        url = f"{server.url}/infer/parotid_gland"
        second.append(requests.post(url, params={"image": "operated right"}, timeout=120))

    thread = threading.Thread(target=ask)
    thread.start()
    for _ in range(5):
        assert requests.get(f"{server.url}/info/", timeout=30).status_code == 200
    assert not second
    (first,) = running()
    thread.join(60)
    assert (first.status_code, second[0].status_code) == (200, 200)


def test_a_wrong_request_is_refused_at_once_while_an_inference_runs(server, running):
    answer = requests.post(
        f"{server.url}/infer/two_step",
        params={"image": "operated_left"},
        data={"params": "{"},
        timeout=30,
    )
    assert answer.status_code == 400
    assert [answer.status_code for answer in running()] == [200]
