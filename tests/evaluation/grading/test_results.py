"""Sheets in, tables out; numbers known by hand."""

import csv
import io

import pytest
from tests.evaluation.grading.graded import GRADERS, made

from parotid_brachy.lib.anatomy import AURICULA, ORGANS_AT_RISK, SKIN
from parotid_brachy.lib.errors import ConflictError, NotFoundError, UsageError
from parotid_brachy.lib.evaluation.grading.grades import Grade
from parotid_brachy.lib.evaluation.grading.kappa import Weights
from parotid_brachy.lib.evaluation.grading.ledger import Ledger
from parotid_brachy.lib.evaluation.grading.results import (
    grades_csv,
    kappa_csv,
    table_csv,
    unmask,
)
from parotid_brachy.lib.evaluation.grading.sheets import read_sheet, sheet_csv
from parotid_brachy.lib.evaluation.grading.study import CONTROL, read_key
from parotid_brachy.lib.report.grading_page import write_grading_report

BERG, AHO = GRADERS


def rows(content: bytes):
    return list(csv.DictReader(io.StringIO(content.decode())))


@pytest.fixture
def study(tmp_path):
    return made(tmp_path)


def give(study, grader, number_of):
    """Grades everything by ``number_of(case number, method, structure)``."""
    masked = read_key(study).items
    Ledger(study).add(
        grader,
        [
            Grade(
                item=item,
                structure=structure.name,
                grade=number_of(int(one.case[-1]), one.method, structure),
            )
            for item, one in masked.items()
            for structure in study.structures
        ],
    )


def closed(study):
    """Two-step: 1, 2, 3 by case; v-net 0; manual 3. Aho gives one less to the skin."""

    def by_berg(case, method, structure):
        return {"two-step": case + 1, "v-net": 0, CONTROL: 3}[method]

    def by_aho(case, method, structure):
        return max(by_berg(case, method, structure) - (structure is SKIN), 0)

    give(study, BERG, by_berg)
    give(study, AHO, by_aho)
    item = next(i for i, one in read_key(study).items.items() if one.method == "v-net")
    Ledger(study).add(
        BERG,
        [Grade(item=item, structure="skin", grade=None, reason="=cmd()", comment="<b>x</b>")],
    )
    Ledger(study).close("ada", incomplete=False)
    return unmask(study)


def test_nothing_is_unmasked_before_the_study_is_closed(study):
    with pytest.raises(ConflictError, match="not closed"):
        unmask(study)


def test_means_spread_and_shares_are_what_a_hand_computes(study):
    results = closed(study)
    cell = results.cell("two-step", AURICULA, BERG)
    assert (cell.n, cell.mean, cell.sd) == (3, 2.0, 1.0)
    assert cell.acceptable == pytest.approx(2 / 3)
    assert results.cell("two-step", SKIN, AHO).mean == 1.0
    assert results.cell(CONTROL, SKIN).mean == 2.5
    assert results.cell(CONTROL).acceptable == 1.0
    missing = results.cell("v-net", SKIN, BERG)
    assert (missing.n, missing.not_gradable, missing.mean, missing.acceptable) == (2, 1, 0, 0)
    assert (results.cases, results.changed, results.closing.is_incomplete) == (3, 1, False)


def test_agreement_is_by_structure_and_pooled(study):
    agreements = closed(study).agreements()
    assert len(agreements) == (len(ORGANS_AT_RISK) + 1) * len(Weights)
    found = {(one.structure, one.weights): one.kappa for one in agreements}
    assert found[AURICULA, Weights.LINEAR].kappa == 1.0
    assert found[SKIN, Weights.LINEAR].n == 8
    assert found[SKIN, Weights.LINEAR].kappa < 1.0
    assert found[None, Weights.QUADRATIC].n == 53
    assert found[None, Weights.LINEAR].agreement == pytest.approx(47 / 53)


def test_tables_hold_every_cell_and_no_formula(study):
    results = closed(study)
    grades = rows(grades_csv(results))
    assert len(grades) == 108
    (odd,) = [row for row in grades if row["grade"] == "not gradable"]
    assert odd["reason"] == "'=cmd()"
    table = rows(table_csv(results))
    assert len(table) == 3 * 3 * 7
    (one,) = [
        r
        for r in table
        if (r["method"], r["structure"], r["grader"]) == ("two-step", "auricula", BERG)
    ]
    assert (one["n"], one["mean"], one["sd"], one["share_at_2_or_more"]) == (
        "3",
        "2.0000",
        "1.0000",
        "0.6667",
    )
    assert len(rows(kappa_csv(results.agreements()))) == 14


def test_the_page_shows_published_grades_beside_ours_and_runs_nothing(study, tmp_path):
    write_grading_report(closed(study), tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert 'published, two-step, oncologist 1</td><td class="published">2.63</td>' in page
    assert f"two-step, {BERG}</td><td>2.00</td>" in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "<b>x" not in page
    assert "<script" not in page
    assert "http://" not in page
    assert "default-src 'none'" in page
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "grades.csv",
        "table.csv",
        "kappa.csv",
        "report.html",
    }


def test_an_incomplete_study_is_reported_as_such(study, tmp_path):
    give(study, BERG, lambda *_: 3)
    Ledger(study).close("ada", incomplete=True)
    results = unmask(study)
    assert results.agreements()[0].kappa.remark == "no item was graded by both"
    assert results.cell(CONTROL, SKIN, AHO).mean is None
    write_grading_report(results, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Closed incomplete: 54 of 108 grades are missing" in page


def test_a_sheet_is_filled_in_imported_and_comes_back(study, tmp_path):
    sheet = rows(sheet_csv(study, BERG))
    order = [row["item"] for row in sheet[:: len(study.structures)]]
    assert tuple(order) == study.orders[BERG]
    sheet[0].update(grade="3", comment="-5 mm, fine")
    sheet[1].update(grade="not gradable", reason="'cut off")
    path = tmp_path / "sheet.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(sheet[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(sheet)
    assert Ledger(study).add(BERG, read_sheet(path)) == 2
    assert Ledger(study).add(BERG, read_sheet(path)) == 0
    again = tmp_path / "again.csv"
    again.write_bytes(sheet_csv(study, BERG))
    assert read_sheet(again) == read_sheet(path)
    assert Ledger(study).current(AHO) == {}


@pytest.mark.parametrize(
    "comment",
    [
        "a\r=1+1",
        "a\r\nb,c",
        " =1+1",
        "\n+1",
        "\uff1d1",
        "'so'",
        " 'so'",
        "\t-1",
        '"a";=1',
        "@x\x1b[1m",
    ],
)
def test_no_text_of_a_grader_begins_a_cell_as_a_formula_and_all_come_back(study, tmp_path, comment):
    item = study.orders[BERG][0]
    Ledger(study).add(BERG, [Grade(item=item, structure="skin", grade=1, comment=comment)])
    sheet = sheet_csv(study, BERG)
    assert b"\r" not in sheet
    (told,) = [row["comment"] for row in rows(sheet) if row["comment"]]
    assert told.lstrip()[0] not in "=+-@\uff1d"
    path = tmp_path / "sheet.csv"
    path.write_bytes(sheet)
    (grade,) = read_sheet(path)
    assert grade.comment == comment.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("item,structure\na,b\n", "no column grade"),
        ("", "no column"),
        ("item,structure,grade\na,skin,4\n", "line 2: '4' is no grade"),
        ("item,structure,grade\na,skin,2\n\na,skin,3\n", "twice"),
        ("item,structure,grade\na,skin,2,x\n", "more cells than columns"),
        ("item,structure,grade,reason\na,skin,,why\n", "without a grade"),
        ("item,structure,grade\na,skin,not gradable\n", "needs a reason"),
        ('item,structure,grade\na,"skin,2\n', "no CSV"),
    ],
)
def test_a_wrong_sheet_is_refused_by_its_line(tmp_path, text, told):
    path = tmp_path / "sheet.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=told):
        read_sheet(path)


def test_a_sheet_of_another_study_keeps_nothing(study, tmp_path):
    item = study.orders[BERG][0]
    path = tmp_path / "sheet.csv"
    path.write_text(f"item,structure,grade\n{item},skin,2\n{'0' * 32},skin,2\n")
    with pytest.raises(NotFoundError):
        Ledger(study).add(BERG, read_sheet(path))
    assert Ledger(study).history() == []
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        read_sheet(path)
