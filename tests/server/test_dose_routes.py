"""Seed plans and doses over REST, with a real store behind them."""

from __future__ import annotations

import csv
import hashlib
import io
import json

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.review.studies import ADMIN, ANNA, BERT, GRID, SENIOR, sent, write_head

from parotid_brachy.lib.anatomy import AURICULA, GLAND, SKIN
from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.dosimetry.contour_change import CHANGED
from parotid_brachy.lib.dosimetry.dose_grid import dose_at_gy
from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import load_seed_model
from parotid_brachy.lib.dosimetry.seeds_file import seeds_csv
from parotid_brachy.lib.review.verification import verify
from parotid_brachy.lib.server import dose_routes, label_routes, refusals, review_routes
from parotid_brachy.lib.server.authentication import Identity

MODEL = load_seed_model("6711")


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
    for case in ("case_a", "case_b"):
        write_head(folder, case)
    studies = Studies(folder)
    yield studies
    studies.store.close()


@pytest.fixture
def api(studies, monkeypatch):
    """``api(reader)``: a client as whom the gate has let that reader in."""
    monkeypatch.setattr(label_routes, "app_instance", lambda: App(studies))
    monkeypatch.setattr(label_routes, "reviewer_without_token", lambda *_: None)

    def client(reader):
        app = FastAPI()
        refusals.install(app)
        for routes in (label_routes, review_routes, dose_routes):
            app.include_router(routes.router())

        async def entered(scope, receive, send):
            if scope["type"] == "http":
                scope.setdefault("state", {})["identity"] = Identity(reader, is_proved=True)
            await app(scope, receive, send)

        return TestClient(entered)

    return client


def save(client, received, case="case_a"):
    answer = client.put(
        "/datastore/label",
        params={"image": case},
        data={"params": json.dumps({"label_info": received.label_info})},
        files={"label": (received.name, received.content)},
    )
    assert answer.status_code == 200, answer.json()
    return answer.json()["version"]


def seeds(*, strength=0.9, move=0.0):
    x, y, z = GRID.to_lps_mm(np.asarray([6.0, 6.0, 3.0])).tolist()
    places = ((x + move, y, z), (x + 6.0, y, z), (x, y, z + 7.0))
    return SeedPlan("p", "6711", tuple(Seed(one, strength, (1.0, 0.0, 0.0)) for one in places))


def give(client, content, *, name="seeds.csv", case="case_a", **params):
    return client.put(
        f"/review/cases/{case}/seed_plan", params=params, files={"plan": (name, content)}
    )


def compared(client, case="case_a", **params):
    answer = client.get(f"/review/cases/{case}/dose", params=params)
    assert answer.status_code == 200, answer.json()
    return answer.json()


def test_a_correction_is_compared_under_the_plan_that_was_given(api, studies):
    save(api(ANNA), sent(at=2))
    save(api(SENIOR), sent(SKIN.value, GLAND.value, AURICULA.value, at=3))
    given = give(api(SENIOR), seeds_csv(seeds()))
    assert given.status_code == 200, given.json()
    found = compared(api(SENIOR), prescription_gy=100)
    assert (found["case"], found["before"], found["after"]) == ("case_a", 1, 2)
    assert (found["plan"]["origin"], found["plan"]["number"]) == ("uploaded", 1)
    assert found["plan"]["author"] == "sofia"
    assert found["plan"]["total_strength_u"] == pytest.approx(2.7)
    lines = {one["structure"]: one for one in found["structures"]}
    assert list(lines) == [AURICULA.name, SKIN.name, GLAND.name]
    exact = []
    for number in (1, 2):
        version = studies.store.version("case_a", number)
        labels = studies.doses._labels(version)
        kji = np.argwhere(labels.labels == GLAND.value) + labels.start_kji
        exact.append(dose_at_gy(seeds(), MODEL, GRID.to_lps_mm(kji[:, ::-1].astype(float))))
    gland = lines[GLAND.name]
    assert gland["before"]["dmean_gy"] == pytest.approx(exact[0].mean(), rel=1e-3)
    assert gland["change"]["dmean_gy"] == pytest.approx(
        exact[1].mean() - exact[0].mean(), abs=1e-3 * exact[0].mean()
    )
    assert gland["before"]["v100_percent"] == pytest.approx(100 * (exact[0] >= 100).mean(), abs=0.1)
    assert gland["before"]["d2cc_gy"] is not None
    assert lines[AURICULA.name]["is_in_one_only"]
    assert lines[AURICULA.name]["before"]["dmean_gy"] is None
    assert lines[AURICULA.name]["change"] == dict.fromkeys(CHANGED)


def test_without_a_plan_one_is_made_for_study_purposes_in_the_older_gland(api):
    save(api(ANNA), sent(at=2))
    save(api(SENIOR), sent(at=4))
    plan = compared(api(SENIOR))["plan"]
    assert (plan["origin"], plan["made_in_version"]) == ("made for study purposes", 1)
    assert (plan["made_for_gy"], plan["number"]) == (120.0, None)
    again = compared(api(SENIOR))["plan"]
    assert again == plan
    assert compared(api(SENIOR), before=2, after=1)["plan"]["made_in_version"] == 2
    assert compared(api(SENIOR), prescription_gy=60)["plan"]["made_for_gy"] == 60.0
    detail = api(ANNA).get("/review/cases/case_a/seed_plan", params={"version": 1}).json()
    assert detail["sha256"] == plan["sha256"]
    assert len(detail["positions"]) == plan["seeds"]


def test_no_plan_and_no_gland_says_what_to_do(api):
    save(api(ANNA), sent(SKIN.value))
    save(api(SENIOR), sent(SKIN.value, at=4))
    refused = api(SENIOR).get("/review/cases/case_a/dose")
    assert refused.status_code == 422
    assert "Contour it, or upload a plan (PUT /review/cases/case_a/seed_plan)" in refused.text
    give(api(SENIOR), seeds_csv(seeds()))
    assert [one["structure"] for one in compared(api(SENIOR))["structures"]] == [SKIN.name]


def test_the_newest_contours_are_compared_with_what_they_were_made_from(api):
    save(api(ANNA), sent(at=2))
    client = api(SENIOR)
    assert client.get("/review/cases/case_a/dose").status_code == 404
    save(api(ANNA), sent(at=3))
    assert [compared(client)[key] for key in ("before", "after")] == [1, 2]
    save(client, sent(at=4))
    save(client, sent(at=5))
    assert [compared(client)[key] for key in ("before", "after")] == [2, 4]
    assert [compared(client, after=2)[key] for key in ("before", "after")] == [1, 2]
    assert [compared(client, before=3)[key] for key in ("before", "after")] == [3, 4]


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/review/cases/nowhere/dose", 404, "nowhere"),
        ("/review/cases/case_b/dose", 404, "case_b: there are no two versions to compare"),
        ("/review/cases/case_a/dose?before=9", 404, "case_a: there is no version 9"),
        ("/review/cases/case_a/dose?before=1&after=1", 400, "name two versions"),
        ("/review/cases/case_a/dose?before=x", 422, "before"),
        ("/review/cases/case_a/dose?before=0", 422, "before"),
        ("/review/cases/case_a/dose?cut=all", 422, "cut"),
        ("/review/cases/case_a/dose?prescription_gy=nan", 422, "prescription_gy"),
        ("/review/cases/case_a/seed_plan?version=9", 404, "no version 9"),
        ("/review/cases/case_b/seed_plan", 422, "no parotid gland is contoured"),
        ("/review/cases/nowhere/seed_plans", 404, "nowhere"),
        ("/review/cases/case_a/seed_plans/1/file", 404, "no seed plan 1"),
        ("/review/cases/.../seed_plans", 400, "no id"),
    ],
)
def test_what_is_not_there_or_not_meant_is_told(api, path, status, told):
    save(api(ANNA), sent(at=2))
    save(api(ANNA), sent(at=3))
    answer = api(SENIOR).get(path)
    assert (answer.status_code, told in answer.text) == (status, True), answer.text


def test_every_plan_that_was_given_is_kept_and_the_last_counts(api, studies):
    client = api(SENIOR)
    contents = [seeds_csv(seeds(strength=one)) for one in (0.8, 0.9)]
    for content in contents:
        give(client, content)
    rows = api(ANNA).get("/review/cases/case_a/seed_plans").json()
    assert rows["total"] == 2
    for row, content in zip(rows["items"], contents, strict=True):
        assert row["received_sha256"] == hashlib.sha256(content).hexdigest()
        file = api(ANNA).get(f"/review/cases/case_a/seed_plans/{row['number']}/file")
        assert file.content == content
        assert hashlib.sha256(file.content).hexdigest() == row["sha256"]
    detail = api(ANNA).get("/review/cases/case_a/seed_plan").json()
    assert (detail["number"], detail["origin"]) == (2, "uploaded")
    assert [one["air_kerma_strength_u"] for one in detail["positions"]] == [0.9] * 3
    assert detail["positions"][0]["direction_lps"] == [1.0, 0.0, 0.0]
    assert [one.action for one in studies.store.journal(case="case_a")] == ["set_seed_plan"] * 2
    assert verify(studies.store).faults == ()


@pytest.mark.parametrize(
    ("content", "name", "status", "told"),
    [
        (b"x_mm,y_mm\n1,2\n", "seeds.csv", 422, "z_mm missing"),
        (b"\0" * 200, "plan.dcm", 422, "DICOM"),
        (b"", "plan.dcm", 422, "is an empty file"),
        (b"x" * (2 * 1024**2 + 1), "seeds.csv", 413, "at most 2097152"),
        (seeds_csv(seeds()), "seeds.exe", 400, "send one of .csv, .dcm"),
        (seeds_csv(seeds(move=900.0)), "seeds.csv", 422, "seed 1 at"),
        (seeds_csv(SeedPlan("p", "6711", seeds().seeds * 2)), "seeds.csv", 422, "two seeds at"),
    ],
)
def test_what_is_no_plan_is_refused_and_nothing_is_kept(api, studies, content, name, status, told):
    answer = give(api(SENIOR), content, name=name)
    assert (answer.status_code, told in answer.text) == (status, True), answer.text
    assert studies.store.seed_plans("case_a") == []
    assert studies.store.journal(case="case_a") == []


@pytest.mark.parametrize("model", ["9011", "../6711", "/etc/hosts.json", ""])
def test_seed_models_are_those_that_come_along(api, model):
    answer = give(api(SENIOR), seeds_csv(seeds()), seed_model=model)
    assert answer.status_code == 400
    assert "there are 6711" in answer.text
    assert give(api(SENIOR), seeds_csv(seeds()), seed_model="6711").status_code == 200


def test_only_seniors_give_plans_and_only_to_cases(api):
    refused = give(api(ANNA), seeds_csv(seeds()))
    assert refused.status_code == 403
    assert give(api(SENIOR), seeds_csv(seeds()), case="nowhere").status_code == 404


def test_activities_are_taken_as_strengths_and_kept_so(api):
    table = "x_mm,y_mm,z_mm,activity_mci\n" + ",".join(
        f"{one:.3f}" for one in GRID.to_lps_mm(np.asarray([6.0, 6.0, 3.0]))
    )
    assert give(api(SENIOR), f"{table},0.7\n".encode()).status_code == 200
    file = api(ANNA).get("/review/cases/case_a/seed_plans/1/file").text
    (row,) = csv.DictReader(io.StringIO(file))
    assert float(row["air_kerma_strength_u"]) == pytest.approx(0.7 * 1.27)


def test_in_a_consensus_case_nobody_learns_the_doses_of_anothers_contours(api):
    assert api(SENIOR).put("/review/cases/case_a/consensus", json={"consensus": True}).is_success
    save(api(ANNA), sent(at=2))
    save(api(BERT), sent(at=3))
    save(api(BERT), sent(at=4))
    hidden = api(BERT).get("/review/cases/case_a/dose", params={"before": 1, "after": 3})
    assert hidden.status_code == 404
    assert [compared(api(BERT))[key] for key in ("before", "after")] == [2, 3]
    assert api(ANNA).get("/review/cases/case_a/dose").status_code == 404
    plan = api(BERT).get("/review/cases/case_a/seed_plan").json()
    assert plan["made_in_version"] == 2
    assert compared(api(ADMIN), before=1, after=3)["plan"]["made_in_version"] == 1
