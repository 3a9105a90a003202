import pytest
from tests.evaluation.grading.graded import GRADERS, draw_nothing, inputs

from parotid_brachy.lib.anatomy import ORGANS_AT_RISK
from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.evaluation.grading.ledger import Ledger
from parotid_brachy.lib.evaluation.grading.offered import OfferedStudies
from parotid_brachy.lib.evaluation.grading.study import read_study
from parotid_brachy.lib.review.readers import ReadersFile, readers_file_of
from parotid_brachy.lib.review.roles import Role

BERG, AHO = GRADERS


@pytest.fixture
def folder(tmp_path):
    inputs(tmp_path, cases=2, methods=("two-step",))
    return tmp_path


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing takes most of the time, and one test does it."""
    monkeypatch.setattr("parotid_brachy.lib.report.grading_pictures.draw_item", draw_nothing)


def create(folder, *more, graders=GRADERS, place=None):
    return main(
        [
            "grade",
            "create",
            *("--images", str(folder / "ct"), "--references", str(folder / "ref")),
            *("--predictions", f"two-step={folder / 'two-step'}", "--graders", *graders),
            *(place or ("--output", str(folder / "study"))),
            *more,
        ]
    )


def grade(folder, action, *more):
    return main(["grade", action, str(folder / "study"), *map(str, more)])


def test_a_study_goes_from_the_maps_to_the_report(folder, capsys):
    assert create(folder) == 0
    assert grade(folder, "next", "--grader", BERG) == 0
    told = capsys.readouterr().out
    item = told.split("item ")[1].split()[0]
    assert "0 of 4 done" in told
    assert "two-step" not in told.partition("item ")[2]
    given = [f"{structure.name}=2" for structure in ORGANS_AT_RISK[1:]]
    assert grade(folder, "enter", "--grader", BERG, item, "auricula=na:cut off", *given) == 0
    for grader in GRADERS:
        sheet = folder / f"{grader}.csv"
        assert grade(folder, "sheet", "--grader", grader, "-o", sheet) == 0
        sheet.write_text(sheet.read_text().replace(",,,\n", ",3,,\n"))
        assert grade(folder, "import", "--grader", grader, sheet) == 0
    capsys.readouterr()
    assert grade(folder, "report", "-o", folder / "out") == 1
    assert "not closed" in capsys.readouterr().err
    assert grade(folder, "close") == 0
    assert grade(folder, "status") == 0
    assert f"{AHO}: 4 of 4 items, 24 of 24 grades\nclosed by" in capsys.readouterr().out
    assert grade(folder, "import", "--grader", BERG, folder / f"{AHO}.csv") == 1
    assert grade(folder, "report", "-o", folder / "out") == 0
    assert "two-step" in (folder / "out" / "table.csv").read_text()
    assert grade(folder, "next", "--grader", BERG) == 0
    assert "all 4 items are graded" in capsys.readouterr().out


def test_closing_with_missing_grades_must_be_stated(folder, no_pictures, capsys):
    create(folder)
    assert grade(folder, "close") == 1
    assert "grades are missing" in capsys.readouterr().err
    assert grade(folder, "close", "--incomplete") == 0


@pytest.mark.parametrize(
    "wrong",
    [
        ["skin=4"],
        ["skin"],
        ["skin=2", "skin=3"],
        ["nose=2"],
        ["skin=na:"],
    ],
)
def test_a_wrong_grade_is_refused_and_nothing_kept(folder, no_pictures, wrong):
    create(folder)
    study = read_study(folder / "study")
    item = study.orders[BERG][0]
    assert grade(folder, "enter", "--grader", BERG, item, *wrong) == 2
    assert Ledger(study).history() == []


def test_a_wrong_call_is_told(folder, no_pictures, capsys):
    assert create(folder, graders=("no/name",)) == 2
    assert create(folder, "--structures", "nose") == 2
    create(folder)
    assert grade(folder, "next", "--grader", "Dr Nobody") == 2
    assert main(["grade", "status", str(folder)]) == 1
    assert "no grading study here" in capsys.readouterr().err


def offered_as(folder, name):
    return ("--studies", str(folder / "studies"), "--name", name)


def test_a_study_is_made_for_the_server_of_a_folder_of_studies(folder, no_pictures, capsys):
    (folder / "studies").mkdir()
    readers = ReadersFile(readers_file_of(folder / "studies"))
    readers.add(BERG, Role.REVIEWER, None)
    assert create(folder, place=offered_as(folder, "first round")) == 0
    study = OfferedStudies(folder / "studies" / ".parotid").graded_by("first round", BERG)
    assert len(study.items) == 4
    told = capsys.readouterr().err
    assert f"grader {AHO!r} is not in readers.json" in told
    assert BERG not in told
    assert create(folder, place=offered_as(folder, "first round")) == 2


def test_a_study_lies_in_one_place_and_within_the_folder_of_studies(folder, no_pictures, capsys):
    assert create(folder, place=offered_as(folder, "x")) == 2
    assert "no such folder" in capsys.readouterr().err
    (folder / "studies").mkdir()
    for place in (
        offered_as(folder, "../x"),
        ("--name", "x"),
        ("--studies", str(folder / "studies")),
        ("--output", str(folder / "study"), "--studies", str(folder / "studies")),
        ("--output", str(folder / "study"), *offered_as(folder, "x")),
    ):
        assert create(folder, place=place) == 2, place
    assert not (folder / "study").exists()
    assert not list((folder / "studies").rglob("*.json"))


def test_missing_maps_are_told_and_make_no_study_unless_wished(folder, no_pictures, capsys):
    (folder / "two-step" / "case 0.nii.gz").unlink()
    assert create(folder) == 1
    assert "case 0: two-step has no map" in capsys.readouterr().err
    assert not (folder / "study").exists()
    assert create(folder, "--incomplete") == 1
    assert len(read_study(folder / "study").items) == 4
