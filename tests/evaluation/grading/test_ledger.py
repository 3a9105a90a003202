import sqlite3
import threading

import pytest
from tests.evaluation.grading.graded import GRADERS, made

from parotid_brachy.lib.errors import ConflictError, NotFoundError, StoreError, UsageError
from parotid_brachy.lib.evaluation.grading.grades import Grade
from parotid_brachy.lib.evaluation.grading.ledger import Ledger, make_ledger
from parotid_brachy.lib.evaluation.grading.progress import progress_of

BERG, AHO = GRADERS


@pytest.fixture
def study(tmp_path):
    return made(tmp_path)


def grade(item, structure="skin", number=2, **more):
    return Grade(item=item, structure=structure, grade=number, **more)


def whole(study, number=3):
    return [grade(item, s.name, number) for item in study.items for s in study.structures]


def test_a_changed_grade_is_a_new_row_and_the_newest_counts(study):
    ledger, item = Ledger(study), study.orders[BERG][0]
    ledger.add(BERG, [grade(item, number=1, comment="lobe")])
    ledger.add(BERG, [grade(item, number=3)])
    ledger.add(AHO, [grade(item, number=0)])
    assert [(k.grader, k.grade.grade, k.grade.comment) for k in ledger.history()] == [
        (BERG, 1, "lobe"),
        (BERG, 3, ""),
        (AHO, 0, ""),
    ]
    assert ledger.current(BERG)[item, "skin"].grade.grade == 3
    assert ledger.history()[0].at.endswith("+00:00")


def test_saving_twice_keeps_one_row_and_giving_back_an_old_grade_another(study):
    ledger, item = Ledger(study), study.orders[BERG][0]
    assert [ledger.add(BERG, [grade(item, number=n)]) for n in (2, 2, 3, 2)] == [1, 0, 1, 1]
    assert [kept.grade.grade for kept in ledger.history()] == [2, 3, 2]


def test_a_structure_graded_twice_in_one_call_is_refused(study):
    item = study.orders[BERG][0]
    with pytest.raises(UsageError, match="twice"):
        Ledger(study).add(BERG, [grade(item, number=1), grade(item, number=2)])
    assert Ledger(study).history() == []


def test_rows_can_neither_be_changed_nor_deleted(study):
    ledger, item = Ledger(study), study.orders[BERG][0]
    ledger.add(BERG, [grade(item)])
    with sqlite3.connect(study.folder / "grades.sqlite") as file:
        for statement in ("UPDATE grades SET grade = 0", "DELETE FROM grades"):
            with pytest.raises(sqlite3.IntegrityError):
                file.execute(statement)
    file.close()
    assert ledger.current(BERG)[item, "skin"].grade.grade == 2


@pytest.mark.parametrize(
    ("grader", "change", "error"),
    [
        ("Dr Nobody", {}, UsageError),
        (BERG, {"item": "0" * 32}, NotFoundError),
        (BERG, {"item": "../key"}, NotFoundError),
        (BERG, {"structure": "parotid_gland"}, UsageError),
    ],
)
def test_what_is_not_of_the_study_is_refused_and_nothing_kept(study, grader, change, error):
    item = study.orders[BERG][0]
    with pytest.raises(error):
        Ledger(study).add(grader, [grade(item), grade(**{"item": item, **change})])
    assert Ledger(study).history() == []


def test_progress_stops_and_goes_on(study):
    ledger, order = Ledger(study), study.orders[BERG]
    ledger.add(BERG, [grade(order[0], s.name) for s in study.structures])
    ledger.add(BERG, [grade(order[1], "skin"), grade(order[2], "skin")])
    progress = progress_of(study, BERG)
    assert (progress.items, progress.items_done, progress.grades) == (9, 1, 8)
    assert (progress.grades_wanted, progress.next_item) == (54, order[1])
    assert progress_of(study, AHO).next_item == study.orders[AHO][0]


def test_two_graders_at_once_lose_nothing(study):
    def give(grader):
        for item in study.orders[grader]:
            for structure in study.structures:
                Ledger(study).add(grader, [grade(item, structure.name)])

    threads = [threading.Thread(target=give, args=(grader,)) for grader in GRADERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(progress_of(study, grader).next_item is None for grader in GRADERS)
    assert len(Ledger(study).history()) == 2 * 54


def test_closing_needs_all_grades_and_ends_the_grading(study):
    ledger = Ledger(study)
    ledger.add(BERG, whole(study))
    with pytest.raises(ConflictError, match="Dr Aho: 54"):
        ledger.close("ada", incomplete=False)
    assert ledger.closing() is None
    ledger.add(AHO, whole(study))
    closing = ledger.close("ada", incomplete=True)
    assert (closing.by, closing.is_incomplete) == ("ada", False)
    assert ledger.closing() == closing
    with pytest.raises(ConflictError, match="closed by ada"):
        ledger.add(BERG, whole(study, 0))
    with pytest.raises(ConflictError, match="already"):
        ledger.close("bob", incomplete=True)
    with sqlite3.connect(study.folder / "grades.sqlite") as file:
        row = "VALUES ('x', 'y', 'z', 1, '', '', '')"
        with pytest.raises(sqlite3.IntegrityError, match="closed"):
            file.execute(
                f"INSERT INTO grades (grader, item, structure, grade, reason, comment, at) {row}"
            )
    file.close()


def test_an_incomplete_study_says_so(study):
    assert Ledger(study).close("ada", incomplete=True).is_incomplete


def test_a_damaged_or_missing_file_is_told(study):
    with pytest.raises(StoreError):
        make_ledger(study.folder)
    path = study.folder / "grades.sqlite"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(StoreError, match=r"grades\.sqlite"):
        Ledger(study).history()
    path.unlink()
    with pytest.raises(StoreError, match=r"grades\.sqlite"):
        Ledger(study).add(BERG, whole(study))
    assert not path.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"grade": 4},
        {"grade": -1},
        {"grade": True},
        {"grade": 2.5},
        {"grade": None},
        {"grade": None, "reason": " "},
        {"grade": 2, "reason": "why"},
        {"grade": 2, "comment": "x" * 1001},
        {"grade": 2, "comment": "\0"},
        {"grade": 2, "comment": "\ud800"},
    ],
)
def test_what_is_no_grade_is_refused(wrong):
    with pytest.raises(UsageError):
        Grade(item="a", structure="skin", **wrong)
