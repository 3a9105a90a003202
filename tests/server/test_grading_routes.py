"""Blind grading over REST: each grader's own items and grades, and nothing of anybody else's."""

import json

import pytest
from tests.evaluation.grading.graded import made
from tests.review.passwords import quick_hashes
from tests.server.grading_desk import AHO, ANNA, BERG, NAME, ROOT, SOFIA, grading_desk

from parotid_brachy.lib.evaluation.grading.grades import LONGEST_TEXT, Grade
from parotid_brachy.lib.evaluation.grading.study import CONTROL, read_key

__all__ = ["quick_hashes"]
STUDY = f"{ROOT}/{NAME}"


@pytest.fixture(scope="module")
def made_study(tmp_path_factory):
    return made(tmp_path_factory.mktemp("made")).folder


@pytest.fixture
def desk(tmp_path, made_study, monkeypatch, quick_hashes):
    with grading_desk(tmp_path, made_study, monkeypatch, auth="local") as desk:
        yield desk


@pytest.fixture
def open_desk(tmp_path, made_study, monkeypatch, quick_hashes):
    """A server without login."""
    with grading_desk(tmp_path, made_study, monkeypatch) as desk:
        yield desk


def row(structure="skin", grade=2, **more):
    return {"structure": structure, "grade": grade, **more}


def post(client, item, *grades, grader=BERG):
    body = {"grader": grader, "grades": list(grades)}
    return client.post(f"{STUDY}/items/{item}/grades", json=body)


def grade_all(desk, *graders):
    for grader in graders:
        desk.ledger.add(
            grader,
            [
                Grade(item=item, structure=structure.name, grade=3)
                for item in desk.study.items
                for structure in desk.study.structures
            ],
        )


def test_a_grader_sees_the_study_in_an_order_of_his_or_her_own(desk):
    berg, aho = (desk.client(name).get(STUDY).json() for name in (BERG, AHO))
    for told, name in ((berg, BERG), (aho, AHO)):
        assert [one["item"] for one in told["items"]] == list(desk.study.orders[name])
        assert told["next_item"] == desk.study.orders[name][0]
    assert berg["items"] != aho["items"]
    assert [one["name"] for one in berg["structures"]] == [s.name for s in desk.study.structures]
    assert berg["scale"][0] == "severe error"
    (listed,) = desk.client(BERG).get(ROOT).json()
    assert listed == {"study": NAME, "progress": berg["progress"], "closing": None}
    assert listed["progress"]["items"] == 9


def test_grades_are_kept_in_the_name_of_whoever_has_logged_in_and_shown_to_nobody_else(desk):
    berg, aho = desk.client(BERG), desk.client(AHO)
    first, second = desk.study.orders[BERG][:2]
    names = [structure.name for structure in desk.study.structures]
    grades = [row(name, place % 4, comment=f"berg's {name}") for place, name in enumerate(names)]
    grades[2] = row(names[2], None, reason="cut off")
    answer = post(berg, first, *grades)
    assert answer.status_code == 200
    own = {one["structure"]: one for one in answer.json()["grades"]}
    assert (own[names[2]]["grade"], own[names[2]]["reason"]) == (None, "cut off")
    assert own[names[1]]["at"].endswith("+00:00")
    kept = desk.ledger.history()
    assert [(k.grader, k.grade.structure, k.grade.grade) for k in kept] == [
        (BERG, one["structure"], one["grade"]) for one in grades
    ]
    assert berg.get(f"{STUDY}/next").json()["item"]["item"] == second
    assert berg.get(STUDY).json()["items"][0] == {"item": first, "is_done": True}
    assert berg.get(STUDY).json()["progress"]["items_done"] == 1

    for path in (ROOT, STUDY, f"{STUDY}/next", f"{STUDY}/items/{first}"):
        assert "berg" not in aho.get(path).text.lower()
    assert aho.get(f"{STUDY}/items/{first}").json()["grades"] == []
    assert aho.get(STUDY).json()["progress"]["grades"] == 0


def test_nothing_before_the_closing_tells_case_method_or_another_grader(desk):
    key = read_key(desk.study)
    secrets = {key.secret, *key.methods, *(one.case for one in key.items.values()), AHO}
    item = desk.study.orders[BERG][0]
    berg = desk.client(BERG)
    answers = [
        berg.get(f"{path}", params={"grader": BERG})
        for path in (ROOT, STUDY, f"{STUDY}/next", f"{STUDY}/items/{item}", f"{STUDY}/items/x",
                     f"{STUDY}/items/{item}/pictures/0", f"{STUDY}/items/{item}/pictures/99",
                     f"{STUDY}/items/{item}/map", f"{STUDY}/items/{item}/image",
                     f"{STUDY}/results", f"{STUDY}/report")
    ]  # fmt: skip
    answers += [post(berg, item, row("nose")), post(berg, "x", row()), post(berg, item, row())]
    for answer in answers:
        told = answer.text + str(dict(answer.headers))
        assert not [word for word in secrets if word in told], answer.request.url
        assert desk.study.items[item].image not in told
        assert not {"last-modified", "etag", "content-disposition"} & set(answer.headers)


def test_the_files_of_an_item_are_what_was_made(desk):
    item = desk.study.item(desk.study.orders[BERG][3])
    berg = desk.client(BERG)
    address = f"{STUDY}/items/{item.id}"
    shown = berg.get(f"{address}/pictures/0")
    assert (shown.content, shown.headers["content-type"]) == (b"png", "image/png")
    assert berg.get(f"{address}/map").content == desk.study.map_of(item).read_bytes()
    assert berg.get(f"{address}/image").content == desk.study.image_of(item).read_bytes()
    assert berg.get(f"{address}/map").headers["cache-control"] == "no-store"
    desk.study.map_of(item).unlink()
    answer = berg.get(f"{address}/map")
    assert (answer.status_code, "Restore it" in answer.json()["detail"]) == (500, True)


@pytest.mark.parametrize("name", [ANNA, SOFIA])
def test_whoever_does_not_grade_in_a_study_finds_none(desk, name):
    client = desk.client(name)
    item = desk.study.orders[BERG][0]
    assert client.get(ROOT).json() == []
    answers = [
        client.get(path)
        for path in (STUDY, f"{STUDY}/next", f"{STUDY}/items/{item}",
                     f"{STUDY}/items/{item}/pictures/0", f"{STUDY}/items/{item}/map",
                     f"{STUDY}/items/{item}/image", f"{ROOT}/another")
    ]  # fmt: skip
    answers.append(post(client, item, row(), grader=name))
    told = {answer.json()["detail"].replace("another", NAME) for answer in answers}
    assert {answer.status_code for answer in answers} == {404}
    assert told == {f"grading study {NAME}: there is none of that name in which {name} grades"}
    assert desk.ledger.history() == []


def test_grades_are_never_kept_under_another_name_than_the_page_shows(desk):
    item = desk.study.orders[BERG][0]
    for path in (ROOT, STUDY, f"{STUDY}/next", f"{STUDY}/items/{item}/pictures/0"):
        answer = desk.client(AHO).get(path, params={"grader": BERG})
        assert answer.status_code == 409
    answer = post(desk.client(AHO), item, row(), grader=BERG)
    assert answer.status_code == 409
    assert (
        answer.json()["detail"] == f"it is {AHO} who is asking now, not {BERG}; open the page again"
    )
    unnamed = desk.client(AHO).post(f"{STUDY}/items/{item}/grades", json={"grades": [row()]})
    assert unnamed.status_code == 422
    assert desk.ledger.history() == []


def test_without_login_the_stated_name_counts_and_the_readers_file_spells_it(open_desk):
    client, item = open_desk.client(), open_desk.study.orders[AHO][0]
    assert client.get(ROOT).json() == []
    assert client.get(STUDY).status_code == 404
    (listed,) = client.get(ROOT, params={"grader": AHO}).json()
    assert listed["progress"]["grader"] == AHO
    assert post(client, item, row(), grader=AHO).status_code == 200
    assert post(client, item, row(), grader="dr aho").status_code == 409
    assert post(client, item, row(), grader="../x").status_code == 409
    assert [kept.grader for kept in open_desk.ledger.history()] == [AHO]
    assert client.post(f"{STUDY}/close", json={}).status_code == 401


def test_saving_twice_keeps_one_row_and_a_changed_grade_another(desk):
    item = desk.study.orders[BERG][0]
    client = desk.client(BERG)
    for grade in (2, 2, 3):
        assert post(client, item, row(grade=grade)).status_code == 200
    assert [kept.grade.grade for kept in desk.ledger.history()] == [2, 3]
    (own,) = client.get(f"{STUDY}/items/{item}").json()["grades"]
    assert own["grade"] == 3


@pytest.mark.parametrize(
    ("grades", "status"),
    [
        ([], 422),
        ([row(grade=4)], 400),
        ([row(grade=-1)], 400),
        ([row(grade=10**30)], 400),
        ([row(grade="2")], 422),
        ([row(grade=2.0)], 422),
        ([row(grade=True)], 422),
        ([{"structure": "skin"}], 422),
        ([row(grade=None)], 400),
        ([row(grade=None, reason=" \n")], 400),
        ([row(reason="no reason with a grade")], 400),
        ([row(comment="x" * (LONGEST_TEXT + 1))], 400),
        ([row(comment=["x"])], 422),
        ([row(comment="\0")], 400),
        ([row(structure="parotid_gland")], 400),
        ([row(structure="../skin")], 400),
        ([row(method="v-net")], 422),
        ([row(), row(grade=3)], 400),
        ([row()] * 17, 422),
        ({"skin": 2}, 422),
        ("skin", 422),
        (None, 422),
    ],
)
def test_what_is_no_grade_is_refused_and_nothing_of_it_kept(desk, grades, status):
    item = desk.study.orders[BERG][0]
    if isinstance(grades, list) and grades:
        grades = [row("auricula"), *grades]
    body = {"grader": BERG, "grades": grades}
    answer = desk.client(BERG).post(f"{STUDY}/items/{item}/grades", json=body)
    assert answer.status_code == status, answer.text
    assert desk.ledger.history() == []


def test_half_a_character_in_a_comment_is_refused(desk):
    item = desk.study.orders[BERG][0]
    body = json.dumps({"grader": BERG, "grades": [row(comment="\ud800")]})
    answer = desk.client(BERG).post(
        f"{STUDY}/items/{item}/grades",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code in {400, 422}
    assert answer.json()["detail"]
    assert desk.ledger.history() == []


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        (f"{ROOT}/..", {400, 404}),
        (f"{ROOT}/.%2e", {400, 404}),
        (f"{ROOT}/..%2f..%2freaders.json", {400, 404}),
        (f"{ROOT}/.hidden", {400}),
        (f"{ROOT}/{'x' * 300}", {400}),
        (f"{ROOT}/a:b", {400}),
        (f"{STUDY}/items/..%2f..%2fkey.json", {400, 404}),
        (f"{STUDY}/items/key.json", {404}),
        (f"{STUDY}/items/{'0' * 32}", {404}),
        (f"{STUDY}/items/{{item}}/pictures/-1", {404}),
        (f"{STUDY}/items/{{item}}/pictures/1", {404}),
        (f"{STUDY}/items/{{item}}/pictures/x", {422}),
        (f"{STUDY}/items/{{item}}/pictures/{'9' * 5000}", {404, 422}),
        (f"{STUDY}/key.json", {404}),
        (f"{STUDY}/items/{{item}}/key", {404}),
    ],
)
def test_no_address_leads_out_of_a_study(desk, path, statuses):
    item = desk.study.orders[BERG][0]
    answer = desk.client(BERG).get(path.replace("{item}", item))
    assert answer.status_code in statuses, answer.text
    assert answer.json()["detail"]


def test_roles_keep_the_study_and_graders_do_not(desk):
    for name in (AHO, ANNA):
        client = desk.client(name)
        for path in ("progress", "results", "report"):
            assert client.get(f"{STUDY}/{path}").status_code == 403
        assert client.post(f"{STUDY}/close", json={}).status_code == 403
    assert desk.client().get(ROOT).status_code == 401
    told = desk.client(SOFIA).get(f"{STUDY}/progress").json()
    assert [(one["grader"], one["grades"]) for one in told["graders"]] == [(BERG, 0), (AHO, 0)]
    for path in ("progress", "results", "report"):
        assert desk.client(SOFIA).get(f"{ROOT}/another/{path}").status_code == 404


def test_nothing_is_unmasked_before_the_closing(desk):
    for path in ("results", "report"):
        answer = desk.client(SOFIA).get(f"{STUDY}/{path}")
        assert answer.status_code == 409
        assert "not closed" in answer.json()["detail"]


def test_a_grader_closes_a_whole_study_and_cuts_nobodys_grading_short(desk):
    berg = desk.client(BERG)
    grade_all(desk, BERG)
    assert berg.post(f"{STUDY}/close", json={}).status_code == 409
    refused = berg.post(f"{STUDY}/close", json={"incomplete": True})
    assert (refused.status_code, desk.ledger.closing()) == (403, None)
    grade_all(desk, AHO)
    assert berg.post(f"{STUDY}/close", json={}).json()["by"] == BERG


def test_somebody_who_does_not_grade_may_close_an_incomplete_study(desk):
    sofia = desk.client(SOFIA)
    assert sofia.post(f"{STUDY}/close", json={}).status_code == 409
    assert sofia.post(f"{STUDY}/close", json={"incomplete": 1}).status_code == 422
    assert sofia.post(f"{STUDY}/close", json={"incomplete": True}).json()["is_incomplete"] is True


def test_a_study_without_its_key_is_not_closed(desk):
    grade_all(desk, BERG, AHO)
    (desk.study.folder / "key.json").unlink()
    assert desk.client(SOFIA).post(f"{STUDY}/close", json={}).status_code == 404
    assert desk.ledger.closing() is None


def test_a_closed_study_takes_no_grade_and_shows_results(desk):
    grade_all(desk, BERG, AHO)
    item = desk.study.orders[BERG][0]
    post(desk.client(BERG), item, row(grade=1, comment="<script>x</script>"))
    sofia, berg = desk.client(SOFIA), desk.client(BERG)
    assert sofia.post(f"{STUDY}/close", json={}).status_code == 200
    assert sofia.post(f"{STUDY}/close", json={}).status_code == 409
    for refused in (post(berg, item, row(grade=0)), berg.get(f"{STUDY}/next")):
        assert refused.status_code == 409
        assert "closed by sofia" in refused.json()["detail"]
    assert berg.get(STUDY).json()["closing"]["by"] == SOFIA
    assert berg.get(f"{STUDY}/items/{item}").json()["grades"]

    told = sofia.get(f"{STUDY}/results").json()
    assert told["methods"] == ["two-step", "v-net", CONTROL]
    assert (told["cases"], told["changed"], len(told["grades"])) == (3, 1, 108)
    masked = read_key(desk.study).items[item]
    (changed,) = [one for one in told["grades"] if one["grade"] == 1]
    assert (changed["method"], changed["case"]) == (masked.method, masked.case)
    (cell,) = [
        one
        for one in told["table"]
        if (one["method"], one["structure"], one["grader"]) == (masked.method, "skin", BERG)
    ]
    assert (cell["n"], cell["mean"]) == (3, pytest.approx(7 / 3))
    assert cell["share_at_2_or_more"] == pytest.approx(2 / 3)
    kappas = {(one["structure"], one["weights"]): one for one in told["agreements"]}
    assert kappas[None, "linear"]["n"] == 54
    assert kappas["auricula", "quadratic"]["agreement"] == 1.0

    page = sofia.get(f"{STUDY}/report")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "&lt;script&gt;x" in page.text
    assert "<script" not in page.text
    assert berg.get(f"{STUDY}/report").status_code == 200


def test_a_damaged_study_hides_no_other_and_is_told_by_name(desk):
    damaged = desk.study.folder.with_name("damaged")
    damaged.mkdir()
    (damaged / "study.json").write_text("{")
    (desk.study.folder.with_name("no study")).mkdir()
    assert [one["study"] for one in desk.client(BERG).get(ROOT).json()] == [NAME]
    assert desk.client(BERG).get(f"{ROOT}/damaged").status_code == 500
    assert desk.client(BERG).get(f"{ROOT}/no study").status_code == 404
