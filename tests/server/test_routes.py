import threading

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.server import refusals, routes
from parotid_brachy.lib.server.routes import check_arguments, off_the_event_loop


@pytest.fixture
def served():
    """A client of an app with one endpoint that blocks as the framework's do."""
    app = FastAPI()
    ran_in = []

    async def blocking(image: str, tag: str = "final", params: str = "{}"):
        ran_in.append(threading.current_thread())
        return {"image": image, "tag": tag}

    async def event_loop():
        ran_in.append(threading.current_thread())

    app.add_api_route("/blocking", off_the_event_loop(blocking))
    app.add_api_route("/loop", event_loop)
    refusals.install(app)
    with TestClient(app) as client:
        yield client, ran_in


def test_an_endpoint_keeps_its_arguments_and_answer(served):
    client, _ = served
    answer = client.get("/blocking", params={"image": "case_a"})
    assert answer.json() == {"image": "case_a", "tag": "final"}
    assert client.get("/blocking").status_code == 422


def test_an_endpoint_runs_beside_the_event_loop(served):
    client, ran_in = served
    client.get("/loop")
    client.get("/blocking", params={"image": "case_a"})
    loop, worker = ran_in
    assert worker is not loop


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"image": "../../etc/passwd"}, "image"),
        ({"image": "case_a", "tag": "../x"}, "tag"),
        ({"image": "case_a", "params": "{"}, "params"),
    ],
)
def test_hostile_text_is_refused_with_a_reason_and_does_not_reach_the_endpoint(
    served, query, named
):
    client, ran_in = served
    answer = client.get("/blocking", params=query)
    assert answer.status_code == 400
    assert named in answer.json()["detail"]
    assert not ran_in


def test_empty_text_means_not_given():
    check_arguments({"image": "case_a", "tag": "", "params": ""})


def test_a_label_upload_is_not_taken_for_a_label_id():
    check_arguments({"label": object()})
    with pytest.raises(UsageError):
        check_arguments({"label": "/etc/passwd"})


def test_options_cannot_name_another_task_than_the_address(monkeypatch):
    monkeypatch.setattr(routes, "check_task", lambda name, kind: None)
    begun = []
    run = off_the_event_loop(
        lambda method, params=None: begun.append(params), ("method", "scoring")
    )
    run(method="agreement", params={"method": "agreement"})
    run(method="agreement")
    with pytest.raises(UsageError, match="'appearance' is not 'agreement'"):
        run(method="agreement", params={"method": "appearance"})
    with pytest.raises(UsageError, match="bundle_path"):
        run(method="agreement", params={"bundle_path": "/tmp/modules.zip"})
    assert begun == [{"method": "agreement"}, None]


def test_an_endpoint_that_awaits_is_not_run_in_a_thread():
    import asyncio

    async def awaiting():
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="awaits"):
        off_the_event_loop(awaiting)()
