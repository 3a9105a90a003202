"""The review over REST, with a real store behind it: what each reader sees and may do."""

import json

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.review.studies import ADMIN, ANNA, BERT, OTHER_SENIOR, SENIOR, sent, write_head

from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.review.hand_over_agreement import compute_open_agreements
from parotid_brachy.lib.review.received_map import IntakeLimits
from parotid_brachy.lib.server import (
    agreement_routes,
    image_routes,
    label_routes,
    refusals,
    review_routes,
)
from parotid_brachy.lib.server.authentication import Identity


class App:
    """Stands in for MONAI Label's app: the review asks it for the datastore only."""

    def __init__(self, studies):
        self._studies = studies

    def datastore(self):
        return self._studies


@pytest.fixture
def studies(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    for case in ("case_a", "case_b", "case_c"):
        write_head(folder, case)
    studies = Studies(folder)
    yield studies
    studies.store.close()


@pytest.fixture
def api(studies, monkeypatch):
    """``api(reader)``: a client as whom the gate has let that reader in."""
    monkeypatch.setattr(label_routes, "app_instance", lambda: App(studies))
    monkeypatch.setattr(label_routes, "reviewer_without_token", lambda *_: None)

    def client(reader, *, is_proved=True):
        app = FastAPI()
        refusals.install(app)
        for routes in (label_routes, image_routes, review_routes, agreement_routes):
            app.include_router(routes.router())

        async def entered(scope, receive, send):
            if scope["type"] == "http":
                scope.setdefault("state", {})["identity"] = Identity(reader, is_proved=is_proved)
            await app(scope, receive, send)

        return TestClient(entered)

    return client


def save(client, case, received=None, tag=""):
    received = received or sent()
    params = {"label_info": received.label_info}
    return client.put(
        "/datastore/label",
        params={"image": case, "tag": tag},
        data={"params": json.dumps(params)},
        files={"label": (received.name, received.content)},
    )


def move(client, case, action, **more):
    return client.post(f"/review/cases/{case}/transitions", json={"action": action, **more})


def test_everybody_learns_who_he_or_she_is(api):
    assert api(SENIOR).get("/review/me").json() == {
        "name": "sofia",
        "role": "reviewer",
        "is_proved": True,
    }


def test_a_case_goes_from_reader_1_to_the_approval(api):
    saved = save(api(ANNA), "case_a")
    assert saved.json() == {"image": "case_a", "label": "case_a", "tag": "final", "version": 1}
    detail = move(api(SENIOR), "case_a", "return", tag="final", comment="skin").json()
    assert (detail["state"], detail["versions"][0]["notes"][0]["comment"]) == ("returned", "skin")
    assert save(api(ANNA), "case_a", sent(at=5)).status_code == 200
    assert save(api(SENIOR), "case_a", sent(at=6)).json()["tag"] == "version_1"
    approved = move(api(SENIOR), "case_a", "approve", version=3, level="hard").json()
    assert (approved["state"], approved["approved_by"], approved["approved_version"]) == (
        "approved",
        "sofia",
        3,
    )
    refused = save(api(ANNA), "case_a")
    assert refused.status_code == 409
    assert "sofia approved it" in refused.json()["detail"]


def test_cases_are_filtered_and_paged(api):
    save(api(ANNA), "case_b")
    client = api(BERT)
    page = client.get("/review/cases", params={"limit": 2}).json()
    assert [row["case"] for row in page["items"]] == ["case_a", "case_b"]
    assert (page["total"], page["next_offset"]) == (3, 2)
    last = client.get("/review/cases", params={"limit": 2, "offset": 2}).json()
    assert ([row["case"] for row in last["items"]], last["next_offset"]) == (["case_c"], None)

    def listed(**query):
        items = client.get("/review/cases", params=query).json()["items"]
        return [row["case"] for row in items]

    assert listed(state=["submitted", "approved"]) == ["case_b"]
    assert listed(initial_author="anna") == ["case_b"]
    assert listed(contains="_C") == ["case_c"]
    assert client.get("/review/cases", params={"limit": 0}).status_code == 422
    assert client.get("/review/cases", params={"state": "lost"}).status_code == 422


def test_a_version_is_served_with_its_file(api, studies):
    save(api(ANNA), "case_a")
    row = api(SENIOR).get("/review/cases/case_a/versions/1").json()
    assert (row["author"], row["kind"], row["tag"]) == ("anna", "initial", "final")
    file = api(SENIOR).get("/review/cases/case_a/versions/1/file")
    assert (
        file.content == studies.store.path_of(studies.store.version("case_a", 1).file).read_bytes()
    )
    assert api(SENIOR).get("/review/cases/case_a/versions/2").status_code == 404
    assert api(SENIOR).get("/review/cases/nobody").status_code == 404


def test_who_loaded_older_contours_cannot_approve_the_newer(api):
    save(api(ANNA), "case_a")
    senior = api(SENIOR)
    assert senior.get("/datastore/label", params={"label": "case_a", "tag": "final"}).is_success
    save(api(ANNA), "case_a", sent(at=6))
    assert "saved anew" in move(senior, "case_a", "approve", tag="final").json()["detail"]
    assert move(senior, "case_a", "approve", version=1).status_code == 409
    assert senior.get("/review/cases/case_a/versions/2/file").is_success
    assert move(senior, "case_a", "approve", version=2).status_code == 200


def test_what_a_transition_needs_is_asked_for(api):
    save(api(ANNA), "case_a")
    senior = api(SENIOR)
    for wish, status in (
        ({"action": "approve"}, 400),
        ({"action": "approve", "tag": "../final"}, 400),
        ({"action": "approve", "version": 9}, 404),
        ({"action": "submit", "tag": "final"}, 400),
        ({"action": "explode", "tag": "final"}, 422),
        ({"action": "approve", "tag": "final", "as": "adam"}, 422),
        ({"action": "reopen", "comment": "x"}, 409),
    ):
        answer = senior.post("/review/cases/case_a/transitions", json=wish)
        assert answer.status_code == status, wish
    assert senior.get("/review/cases/case_a").json()["state"] == "submitted"


def test_an_annotator_cannot_review_over_any_route(api):
    save(api(ANNA), "case_a")
    bert = api(BERT)
    meta = {"segmentationMeta": {"status": "approved", "approvedBy": "sofia"}}
    answers = [
        move(bert, "case_a", "approve", tag="final"),
        move(bert, "case_a", "withdraw", tag="final"),
        bert.put(
            "/datastore/updatelabelinfo",
            params={"label": "case_a", "tag": "final"},
            data={"params": json.dumps(meta)},
        ),
        bert.delete("/datastore/label", params={"id": "case_a", "tag": "final"}),
        bert.put("/review/cases/case_b/consensus", json={"consensus": True}),
    ]
    assert [answer.status_code for answer in answers] == [403] * len(answers)


def test_only_the_review_of_a_label_can_be_changed(api):
    save(api(ANNA), "case_a")
    told = {"params": json.dumps({"client_id": "bert", "segmentationMeta": {"status": ""}})}
    answer = api(SENIOR).put(
        "/datastore/updatelabelinfo", params={"label": "case_a", "tag": "final"}, data=told
    )
    assert answer.status_code == 400
    assert "segmentationMeta" in answer.json()["detail"]


def test_a_withdrawn_version_stays_readable(api):
    save(api(ANNA), "case_a")
    save(api(SENIOR), "case_a", sent(at=6))
    assert move(api(SENIOR), "case_a", "withdraw_correction", tag="version_1").is_success
    rows = api(ANNA).get("/review/cases/case_a/versions").json()["items"]
    assert [row["withdrawn"] for row in rows] == [False, True]
    assert api(ANNA).get("/review/cases/case_a/versions/2/file").is_success


def test_consensus_contours_are_nobody_elses(api):
    assert api(SENIOR).put("/review/cases/case_a/consensus", json={"consensus": True}).is_success
    save(api(ANNA), "case_a", sent(at=2))
    save(api(BERT), "case_a", sent(at=3))
    for client, own in (
        (api(ANNA), [1]),
        (api(BERT), [2]),
        (api(OTHER_SENIOR), []),
        (api(ADMIN), [1, 2]),
    ):
        rows = client.get("/review/cases/case_a/versions").json()["items"]
        assert [row["version"] for row in rows] == own
    assert api(BERT).get("/review/cases/case_a/versions/1/file").status_code == 404
    assert api(BERT).get("/datastore/label", params={"label": "case_a"}).is_success
    assert api(SENIOR).get("/datastore/label", params={"label": "case_a"}).status_code == 404
    agreed = api(ANNA).get("/review/consensus").json()
    assert [(pair["first"], pair["second"]) for pair in agreed["pairs"]] == [("anna", "bert")]
    gland = next(row for row in agreed["table"] if row["structure"] == "parotid_gland")
    assert 0 < gland["dsc"]["mean"] < 1


def test_agreement_and_effort_follow_the_hand_overs(api, studies):
    save(api(ANNA), "case_a")
    save(api(SENIOR), "case_a", sent(at=3))
    move(api(SENIOR), "case_a", "approve", tag="version_1")
    assert api(ANNA).get("/review/cases/case_a/agreement").json()["total"] == 0
    assert compute_open_agreements(studies.store, studies.images) == 1
    (row,) = api(ANNA).get("/review/cases/case_a/agreement").json()["items"]
    assert (row["kind"], row["before"], row["after"]) == ("initial_to_approved", 1, 2)
    skin = next(s for s in row["structures"] if s["structure"] == "skin")
    assert skin["dsc"]["value"] == pytest.approx(2 / 3)
    assert skin["added_ml"] == skin["removed_ml"] > 0
    assert api(ANNA).get("/review/agreement").json()["items"] == [row]
    summed = api(ANNA).get("/review/effort", params={"reader": "sofia"}).json()
    assert {one["structure"] for one in summed["structures"]} >= {"skin", "parotid_gland"}
    assert api(ANNA).get("/review/effort", params={"reader": "bert"}).json()["structures"] == []


def test_the_journal_is_paged(api):
    save(api(ANNA), "case_a")
    move(api(SENIOR), "case_a", "comment", tag="final", comment="hm")
    page = api(SENIOR).get("/review/journal", params={"case": "case_a", "limit": 1}).json()
    assert (page["total"], page["next_offset"], page["items"][0]["action"]) == (2, 1, "submit")
    rest = api(SENIOR).get("/review/journal", params={"case": "case_a", "offset": 1}).json()
    assert [entry["action"] for entry in rest["items"]] == ["comment"]


def test_notes_on_an_image_are_not_the_servers_words(api):
    def note(**info):
        return api(ANNA).put(
            "/datastore/image/info", params={"image": "case_a"}, data={"info": json.dumps(info)}
        )

    assert note(side="left").json()["side"] == "left"
    for own in ("strategy", "state", "name", "user"):
        refused = note(**{own: {"random": {"client_id": "sofia"}}})
        assert refused.status_code == 400
        assert own in refused.json()["detail"]
    assert note(big="x" * 20_000).status_code == 413


def test_an_image_is_added_by_whoever_is_logged_in(api, studies, tmp_path):
    new = write_head(tmp_path, "case_new").read_bytes()
    client = api(ANNA)
    added = client.put("/datastore/image", files={"file": ("case_new.nii.gz", new)})
    assert added.json() == {"image": "case_new"}
    again = client.put("/datastore/image", files={"file": ("case_new.nii.gz", new)})
    assert again.status_code == 409
    script = client.put("/datastore/image", files={"file": ("main.py", b"print()")})
    assert script.status_code == 400
    assert sorted(path.name for path in studies.folder.glob("*.py")) == []


def test_a_map_that_is_too_large_is_refused_before_it_is_read(api, monkeypatch):
    monkeypatch.setattr(label_routes, "LIMITS", IntakeLimits(received_bytes=10))
    monkeypatch.setattr(label_routes, "Received", None)  # would be made of what was read
    answer = save(api(ANNA), "case_a")
    assert answer.status_code == 413
    assert "at most 10" in answer.json()["detail"]


def test_a_name_alone_neither_approves_nor_returns_with_a_save(api, studies):
    save(api(ANNA), "case_a")
    meta = {"segmentationMeta": {"status": "approved", "approvedBy": "sofia"}}
    received = sent(at=6)

    def saved(client):
        return client.put(
            "/datastore/label",
            params={"image": "case_a"},
            data={"params": json.dumps(meta)},
            files={"label": (received.name, received.content)},
        )

    only_named = saved(api(SENIOR, is_proved=False))
    assert only_named.status_code == 401
    assert "loopback_reviewer" in only_named.json()["detail"]
    assert len(studies.store.versions("case_a")) == 1
    assert saved(api(SENIOR)).status_code == 200
    assert studies.store.case("case_a").approved_by == "sofia"
