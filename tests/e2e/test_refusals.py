"""Wrong and hostile requests get a 4xx with a reason, and the server lives on."""

import pytest
import requests

pytestmark = pytest.mark.e2e

CASE = {"image": "operated_left"}
GONE = "2f5c7e0a-8f1b-11ee-b9d1-0242ac120002"


@pytest.fixture(autouse=True)
def _lives_on(server):
    yield
    assert server.is_alive()
    assert requests.get(f"{server.url}/info/", timeout=30).status_code == 200


def reason(answer):
    return str(answer.json()["detail"])


@pytest.mark.parametrize(
    ("path", "query", "params", "status", "named"),
    [
        ("deepedit", CASE, "{}", 404, "deepedit"),
        ("one_step", CASE, "{}", 404, "one_step"),
        ("two_step", {"image": "nobody"}, "{}", 404, "nobody"),
        ("two_step", {"image": "/etc/passwd"}, "{}", 400, "/etc/passwd"),
        ("two_step", {"image": "../models"}, "{}", 400, "../models"),
        ("two_step", {}, "{}", 400, "image"),
        ("two_step", {"session_id": GONE}, "{}", 404, GONE),
        ("two_step", {"session_id": "../../x"}, "{}", 400, "../../x"),
        ("two_step", {**CASE, "output": "dicom_seg"}, "{}", 400, "dicom_seg"),
        ("two_step", CASE, "{", 400, "JSON"),
        ("two_step", CASE, "[]", 400, "JSON"),
        ("two_step", CASE, '{"side": "up"}', 400, "up"),
        ("two_step", CASE, '{"keep_beyond_reach": "perhaps"}', 400, "perhaps"),
        ("two_step", CASE, '{"gland_model": "painted-9"}', 404, "painted-9"),
        ("two_step", CASE, '{"gland_model": "../../x"}', 404, "../../x"),
        ("two_step", CASE, '{"result_extension": ".exe"}', 400, ".exe"),
        ("two_step", CASE, '{"label_tag": "../../x"}', 400, "label_tag"),
    ],
)
def test_a_wrong_inference_is_refused(server, path, query, params, status, named):
    url = f"{server.url}/infer/{path}"
    answer = requests.post(url, params=query, data={"params": params}, timeout=60)
    assert answer.status_code == status
    assert named in reason(answer)


def test_parameters_cannot_name_another_image_or_label(server):
    params = '{"image": "/etc/passwd", "label": "/etc/passwd", "model": "nope", "session": {}}'
    answer = requests.post(
        f"{server.url}/infer/two_step",
        params={**CASE, "output": "json"},
        data={"params": params},
        timeout=60,
    )
    assert answer.status_code == 200
    assert answer.json()["report"]["case"] == CASE["image"]


@pytest.mark.parametrize("name", ["case.py", "case", "../../case.exe", "case.nii.gz/.."])
def test_an_upload_of_another_kind_is_refused(server, name):
    url = f"{server.url}/infer/two_step"
    answer = requests.post(url, files={"file": (name, b"print()")}, timeout=60)
    assert answer.status_code == 400


def test_a_damaged_upload_is_refused_with_the_fault(server):
    url = f"{server.url}/infer/two_step"
    answer = requests.post(url, files={"file": ("case.nii.gz", b"\x1f\x8bjunk")}, timeout=60)
    assert answer.status_code == 422
    assert reason(answer)


@pytest.mark.parametrize(
    ("method", "path", "query", "status"),
    [
        ("GET", "/datastore/image", {"image": "../../etc/passwd"}, 400),
        ("GET", "/datastore/image", {"image": "nobody"}, 404),
        ("GET", "/datastore/label", {"label": "operated_left", "tag": "version_77"}, 404),
        ("GET", "/datastore/label", {"label": "operated_left", "tag": "../final"}, 400),
        ("PUT", "/datastore/label/info", {"label": "nobody", "tag": "final"}, 400),
        ("POST", "/activelearning/nothing", {}, 404),
        ("POST", "/scoring/nothing", {}, 404),
        ("POST", "/train/nothing", {}, 404),
        ("POST", "/batch/infer/nothing", {}, 404),
    ],
)
def test_what_does_not_exist_is_told_so(server, method, path, query, status):
    answer = requests.request(method, f"{server.url}{path}", params=query, timeout=60)
    assert answer.status_code == status
    assert reason(answer)


@pytest.mark.parametrize(
    "query",
    [
        {"image": "nobody"},
        {"image": "operated_left", "tag": "../../outside"},
        {"image": "../operated_left"},
    ],
)
def test_a_label_for_no_case_or_outside_the_studies_is_not_kept(server, query):
    before = sorted(server.studies.parent.rglob("*"))
    answer = requests.put(
        f"{server.url}/datastore/label",
        params=query,
        files={"label": ("x.nii.gz", b"x")},
        timeout=60,
    )
    assert answer.status_code in {400, 404}
    assert sorted(server.studies.parent.rglob("*")) == before


def test_an_image_is_not_written_outside_the_studies(server):
    answer = requests.put(
        f"{server.url}/datastore/image",
        params={"image": "../planted"},
        files={"file": ("x.nii.gz", b"x")},
        timeout=60,
    )
    assert answer.status_code == 400
    assert not list(server.studies.parent.glob("planted*"))
