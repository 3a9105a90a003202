"""Retraining over REST, with a queue whose trainers train nothing."""

import pytest
from fastapi import FastAPI
from monailabel.client import MONAILabelClient
from starlette.testclient import TestClient
from tests.retraining.stub_queue import stub_queue, wait_until
from tests.review.studies import SENIOR

from parotid_brachy.lib.retraining import job_processes
from parotid_brachy.lib.retraining.job import JobPolicy
from parotid_brachy.lib.retraining.job_status import JobState
from parotid_brachy.lib.segmentation.registry import Registry
from parotid_brachy.lib.server import refusals, train_routes
from parotid_brachy.lib.server.authentication import Identity
from parotid_brachy.lib.trainers.retraining import Retraining


class App:
    """Stands in for MONAI Label's app."""

    def __init__(self, retraining):
        self.retraining = retraining


@pytest.fixture
def retraining(tmp_path):
    queue = stub_queue(tmp_path / ".parotid")
    yield Retraining(queue, Registry(tmp_path / "model"), JobPolicy())
    for job in queue.jobs():
        job_processes.kill_all_of(job.id)


@pytest.fixture
def api(retraining, monkeypatch):
    """As a senior."""
    monkeypatch.setattr(train_routes, "app_instance", lambda: App(retraining))
    app = FastAPI()
    refusals.install(app)
    app.include_router(train_routes.router())

    async def entered(scope, receive, send):
        if scope["type"] == "http":
            scope.setdefault("state", {})["identity"] = Identity(SENIOR, is_proved=True)
        await app(scope, receive, send)

    return TestClient(entered)


def started(api, model="two_step", **params):
    answer = api.post(f"/train/{model}", json={"client_id": "slicer", **params})
    assert answer.status_code == 200, answer.text
    return answer.json()


def finish(retraining, job_id):
    folder = retraining.queue.job(job_id)
    (folder.path / "finish").touch()
    wait_until(folder, JobState.DONE)


def test_a_training_is_started_watched_and_stopped_as_stock_clients_do_it(api, retraining):
    assert api.get("/train/").status_code == 404
    assert api.get("/train/", params={"check_if_running": True}).status_code == 404
    task = started(api, max_epochs=3)
    assert task["status"] == "RUNNING"
    assert task["request"]["model"] == "two_step"
    assert task["request"]["epochs"] == 3
    assert api.get("/train/", params={"check_if_running": True}).status_code == 200
    assert api.get("/train/").json()["id"] == task["id"]
    assert api.delete("/train/").json()["id"] == task["id"]
    folder = retraining.queue.job(task["id"])
    assert folder.stop_asked_by == SENIOR.name
    wait_until(folder, JobState.STOPPED)
    assert api.get("/train/", params={"check_if_running": True}).status_code == 404
    assert api.get("/train/").json()["status"] == "STOPPED"
    assert api.delete("/train/").json() is None, "nothing is running"


def test_the_stock_client_understands_the_answers(api, monkeypatch):
    client = MONAILabelClient("http://testserver")

    def over_the_api(method, server, selector, body=None, **_):
        answer = api.request(method, selector, json=body or None)
        return answer.status_code, answer.content, None, None

    monkeypatch.setattr("monailabel.client.client.MONAILabelUtils.http_method", over_the_api)
    assert not client.train_status(check_if_running=True)
    assert client.train_start("parotid_gland", {"max_epochs": 2})["status"] == "RUNNING"
    assert client.train_status(check_if_running=True)
    assert client.train_status()["request"]["task"] == "parotid_gland"
    assert client.train_stop()["request"]["task"] == "parotid_gland"


def test_a_second_training_is_refused_unless_it_may_wait(api, retraining):
    first = started(api)
    refused = api.post("/train/one_step", json={})
    assert refused.status_code == 409
    assert first["id"] in refused.json()["detail"]
    waiting = api.post("/train/one_step", params={"enqueue": True}).json()
    assert waiting["status"] == "SUBMITTED"
    assert [one["status"] for one in api.get("/train/", params={"all": True}).json()] == [
        "RUNNING",
        "SUBMITTED",
    ]
    finish(retraining, first["id"])
    retraining.queue.look_after()
    assert api.get("/train/").json()["request"]["task"] == "one_step"


def test_all_is_both_methods(api):
    found = api.post("/train/", json={"one_step": {"preset": "unet3d"}}).json()
    assert set(found) == {"two_step", "one_step"}
    assert found["one_step"]["result"]["request"]["preset"] == "unet3d"


@pytest.mark.parametrize(
    ("model", "params", "status"),
    [
        ("none", {}, 404),
        ("two_step", {"max_epochs": "many"}, 400),
        ("two_step", {"preset": "unet3d"}, 400),
        ("two_step", {"name": "../../etc"}, 400),
        ("two_step", {"train_ds": "/etc/passwd"}, 400),
        ("two_step", {"name": {"deep": []}}, 400),
    ],
)
def test_nonsense_is_refused_and_starts_nothing(api, retraining, model, params, status):
    assert api.post(f"/train/{model}", json=params).status_code == status
    assert retraining.queue.jobs() == []


def test_jobs_are_listed_the_newest_first_with_all_that_is_known(api, retraining):
    first = started(api, "parotid_gland", max_epochs=2)["id"]
    finish(retraining, first)
    second = started(api, "organs_at_risk")["id"]
    page = api.get("/review/jobs", params={"limit": 1}).json()
    assert (page["total"], page["next_offset"]) == (2, 1)
    assert page["items"][0]["id"] == second
    (row,) = api.get("/review/jobs", params={"offset": 1}).json()["items"]
    assert (row["id"], row["state"], row["task"]) == (first, "done", "parotid_gland")
    assert row["asked_by"] == SENIOR.name
    assert {"progress", "epoch", "train_loss", "dice", "seconds_left", "results"} <= set(row)
    detail = api.get(f"/review/jobs/{first}").json()
    assert detail["choice"]["epochs"] == 2
    assert detail["policy"]["gate"]["margin_dsc"] == 0.01
    assert isinstance(detail["log"], list)


def test_a_stopped_job_is_resumed_and_a_done_one_is_not(api, retraining):
    job = started(api)["id"]
    assert api.delete(f"/review/jobs/{job}").status_code == 200
    folder = retraining.queue.job(job)
    wait_until(folder, JobState.STOPPED)
    assert api.delete(f"/review/jobs/{job}").status_code == 409
    assert api.post(f"/review/jobs/{job}/resume").json()["state"] == "running"
    finish(retraining, job)
    assert api.post(f"/review/jobs/{job}/resume").status_code == 409


@pytest.mark.parametrize("job", ["none", "..", "20261124-030000-123456", "%2e%2e", "a" * 300])
def test_jobs_that_are_not_there_are_not_found(api, job):
    started(api)
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/resume")):
        assert api.request(method, f"/review/jobs/{job}{path}").status_code in {404, 405}


def test_where_nothing_is_trained_that_is_told(api, monkeypatch):
    monkeypatch.setattr(train_routes, "app_instance", lambda: App(None))
    for method, path in (("GET", "/review/jobs"), ("POST", "/train/two_step"), ("GET", "/train/")):
        answer = api.request(method, path)
        assert answer.status_code == 404
        assert "nothing is trained here" in answer.json()["detail"]
