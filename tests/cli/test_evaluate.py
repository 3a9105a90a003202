import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tests.imaging.heads import grid_of

from parotid_brachy.lib.anatomy import GLAND, SKIN, STRUCTURES
from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.imaging.files import write_label_map
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes
from parotid_brachy.lib.imaging.volume import to_image

GRID = grid_of((40, 40, 24), (1.5, 1.5, 2.0))
COLUMNS = [
    "method",
    "case",
    "structure",
    "status",
    "dsc",
    "jaccard",
    "hd95_mm",
    "assd_mm",
    "surface_dsc_1mm",
    "precision",
    "recall",
    "reference_ml",
    "prediction_ml",
]


def painted(shift: int = 0) -> np.ndarray:
    """A gland in the middle, and each organ as a block beside it."""
    labels = np.zeros(GRID.shape_kji, dtype=np.uint8)
    labels[8:16, 15:25, 15 + shift : 25 + shift] = GLAND.value
    for place, structure in enumerate(STRUCTURES[:6]):
        low = 8 + 4 * place
        labels[8:16, 10:14, low + shift : low + 3 + shift] = structure.value
    return labels


def save(folder: Path, case: str, labels: np.ndarray, grid=GRID, suffix=".nii.gz") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case}{suffix}"
    write_label_map(path, labels, grid)
    return path


@pytest.fixture
def cohort(tmp_path):
    for number in range(4):
        case = f"case {number}"
        save(tmp_path / "ref", case, painted())
        save(tmp_path / "two", case, painted(number % 2))
        save(tmp_path / "one", case, painted(2 + number % 2))
    return tmp_path


def evaluate(folder: Path, *more: object, methods=("two", "one")) -> int:
    predictions = [f"{name}={folder / name}" for name in methods]
    return main(
        [
            "evaluate",
            *("--references", str(folder / "ref"), "--output", str(folder / "out")),
            *("--jobs", "1", "--predictions", *predictions),
            *map(str, more),
        ]
    )


def rows_of(folder: Path, name: str = "metrics.csv") -> list[dict[str, str]]:
    with (folder / "out" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def page_of(folder: Path) -> str:
    return (folder / "out" / "report.html").read_text()


def test_every_score_of_every_method_is_written(cohort):
    assert evaluate(cohort) == 0
    rows = rows_of(cohort)
    assert list(rows[0]) == COLUMNS
    assert len(rows) == 2 * 4 * 7
    exact = [r for r in rows if r["method"] == "two" and r["case"] == "case 0"]
    assert {r["status"] for r in exact} == {"scored"}
    assert {(r["dsc"], r["hd95_mm"], r["recall"]) for r in exact} == {("1", "0", "1")}
    shifted = next(
        r for r in rows if (r["method"], r["case"], r["structure"]) == ("one", "case 0", GLAND.name)
    )
    assert float(shifted["dsc"]) == pytest.approx(0.8)
    assert float(shifted["jaccard"]) == pytest.approx(2 / 3, abs=1e-5)
    assert float(shifted["hd95_mm"]) == pytest.approx(3.0)
    assert float(shifted["reference_ml"]) == pytest.approx(800 * GRID.voxel_ml)


def test_both_definitions_of_the_95hd_and_both_tolerances_are_written(cohort):
    assert evaluate(cohort) == 0
    rows = rows_of(cohort, "surface_metrics.csv")
    assert list(rows[0])[4:] == [
        "hd95_mm",
        "hd95_pooled_mm",
        "assd_mm",
        "surface_dsc_1mm",
        "surface_dsc_2mm",
    ]
    shifted = [r for r in rows if (r["method"], r["case"]) == ("one", "case 0")]
    for row in shifted:
        assert 0 < float(row["hd95_pooled_mm"]) <= float(row["hd95_mm"])
        assert float(row["surface_dsc_1mm"]) <= float(row["surface_dsc_2mm"])
    assert "both directions&#x27; distances together" in page_of(cohort)


def test_several_processes_write_the_same_tables(cohort):
    assert evaluate(cohort) == 0
    alone = (cohort / "out" / "metrics.csv").read_bytes()
    assert evaluate(cohort, "--jobs", 2) == 0
    assert (cohort / "out" / "metrics.csv").read_bytes() == alone


def test_a_missing_prediction_is_a_miss_of_every_structure(cohort, capsys):
    (cohort / "two" / "case 2.nii.gz").unlink()
    assert evaluate(cohort) == 1
    rows = [r for r in rows_of(cohort) if (r["method"], r["case"]) == ("two", "case 2")]
    assert [r["status"] for r in rows] == ["missed"] * 7
    assert {(r["dsc"], r["recall"], r["hd95_mm"], r["precision"]) for r in rows} == {
        ("0", "0", "", "")
    }
    assert "case 2: two has no map" in capsys.readouterr().err
    assert "case 2: two has no map" in page_of(cohort)


def test_absent_structures_are_told_apart(cohort):
    reference, prediction = painted(), painted()
    reference[reference == SKIN.value] = 0
    prediction[prediction == 1] = 0
    save(cohort / "ref", "case 0", reference)
    save(cohort / "two", "case 0", prediction)
    reference[reference == 2] = 0
    save(cohort / "ref", "case 1", reference)
    save(cohort / "two", "case 1", reference)
    assert evaluate(cohort, methods=("two",)) == 0
    status = {(r["case"], r["structure"]): r["status"] for r in rows_of(cohort)}
    assert status["case 0", "skin"] == "false_positive"
    assert status["case 0", "auricula"] == "missed"
    assert status["case 1", "skin"] == "not_applicable"
    assert status["case 1", "parotid_gland"] == "scored"


def spoil_grid(folder: Path) -> str:
    save(folder / "two", "case 1", painted(), grid_of((40, 40, 24), (1.5, 1.5, 2.5)))
    return "case 1: two was refused"


def spoil_value(folder: Path) -> str:
    labels = painted()
    labels[0, 0, 0] = 9
    (folder / "two" / "case 1.nii.gz").write_bytes(nifti_bytes(labels, GRID))
    return "values [9] belong to no structure"


def spoil_bytes(folder: Path) -> str:
    (folder / "two" / "case 1.nii.gz").write_bytes(b"no image")
    return "case 1: two was refused"


def spoil_twice(folder: Path) -> str:
    save(folder / "two", "case 1", painted(), suffix=".nrrd")
    return "'case 1' is given more than once in two"


@pytest.mark.parametrize("spoil", [spoil_grid, spoil_value, spoil_bytes, spoil_twice])
def test_a_bad_prediction_is_named_and_a_miss_and_the_rest_is_evaluated(cohort, capsys, spoil):
    said = spoil(cohort)
    assert evaluate(cohort) == 1
    assert said in capsys.readouterr().err
    rows = {(r["method"], r["case"], r["structure"]): r for r in rows_of(cohort)}
    assert len(rows) == 2 * 4 * 7
    missed = {key[:2] for key, row in rows.items() if row["status"] == "missed"}
    assert missed == {("two", "case 1")}
    assert {row["dsc"] for key, row in rows.items() if key[:2] == ("two", "case 1")} == {"0"}


def test_a_bad_reference_is_named_and_the_rest_evaluated(cohort, capsys):
    (cohort / "ref" / "case 3.nii.gz").write_bytes(b"no image")
    save(cohort / "ref", "case 2", painted(), suffix=".nrrd")
    assert evaluate(cohort) == 1
    said = capsys.readouterr().err
    assert "case 3: the reference was refused" in said
    assert "'case 2' is given more than once in references" in said
    assert {r["case"] for r in rows_of(cohort)} == {"case 0", "case 1"}


def test_a_prediction_without_reference_is_named(cohort, capsys):
    save(cohort / "one", "stranger", painted())
    assert evaluate(cohort) == 1
    assert "stranger: one has a map but the references have none" in capsys.readouterr().err


def test_a_case_id_that_a_spreadsheet_would_run_is_refused(cohort):
    for case in ("=1+1", "@a", "-a", "a\tb"):
        save(cohort / "ref", case, painted())
    assert evaluate(cohort) == 1
    assert {r["case"] for r in rows_of(cohort)} == {f"case {n}" for n in range(4)}


def test_the_first_method_is_tested_against_the_others(cohort):
    for number in range(4, 8):
        save(cohort / "ref", f"case {number}", painted())
        save(cohort / "two", f"case {number}", painted(1))
        save(cohort / "one", f"case {number}", painted(number % 4))
    assert evaluate(cohort) == 0
    tests = rows_of(cohort, "tests.csv")
    assert {(t["baseline"], t["method"]) for t in tests} == {("two", "one")}
    assert len(tests) == 7 * 7
    dsc = [t for t in tests if t["metric"] == "dsc" and t["p"]]
    assert dsc
    for test in dsc:
        assert float(test["p"]) <= float(test["p_holm"]) <= 1
    assert max(float(t["p_holm"]) / float(t["p"]) for t in dsc) > 1


def test_nothing_that_is_no_number_is_written(cohort):
    (cohort / "two" / "case 2.nii.gz").unlink()
    save(cohort / "ref", "case 1", np.zeros(GRID.shape_kji, dtype=np.uint8))
    assert evaluate(cohort) == 1
    page = re.sub(r"data:image/png;base64,[^\"]*", "", page_of(cohort))
    for text in (
        (cohort / "out" / "metrics.csv").read_text(),
        (cohort / "out" / "tests.csv").read_text(),
        page,
    ):
        assert not re.search(r"\b(nan|NaN|inf|None)\b", text)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "action", "data", "srcset")]


def test_the_report_opens_offline_and_holds_what_a_clinician_asks(cohort):
    volume = (painted() > 0).astype(np.int16) * 60
    volume[:, :5] = -1000
    (cohort / "ct").mkdir()
    for number in range(4):
        sitk.WriteImage(to_image(volume, GRID), str(cohort / "ct" / f"case {number}.nii.gz"))
    assert evaluate(cohort, "--images", cohort / "ct", "--readers", "one") == 0
    page = page_of(cohort)
    links = _Links()
    links.feed(page)
    assert all(address.startswith("data:image/png;base64,") for address in links.addresses)
    assert not links.tags & {"script", "link", "iframe", "object"}
    assert "default-src 'none'" in page
    for text in (
        "published, two-step",
        "J Contemp Brachytherapy 2022;14:527-535",
        "Missed / false positive",
        "Agreement of readers beside models",
        "p (Holm)",
        "the most challenging first",
    ):
        assert text in page
    figures = sorted(path.name for path in (cohort / "out" / "figures").iterdir())
    assert figures == [
        "best_1.png",
        "best_2.png",
        "box_dsc.png",
        "box_hd95_mm.png",
        "box_surface_dsc_1mm.png",
        "challenging_1.png",
        "challenging_2.png",
    ]
    assert len(links.addresses) == len(figures)


def test_pictures_of_an_earlier_run_do_not_stay(cohort):
    (cohort / "out" / "figures").mkdir(parents=True)
    (cohort / "out" / "figures" / "best_1.png").write_bytes(b"old")
    assert evaluate(cohort) == 0
    assert not (cohort / "out" / "figures" / "best_1.png").exists()


def test_a_missing_image_costs_only_its_picture(cohort, capsys):
    (cohort / "ct").mkdir()
    assert evaluate(cohort, "--images", cohort / "ct") == 1
    assert "no image of this case" in capsys.readouterr().err
    assert len(rows_of(cohort)) == 2 * 4 * 7


def test_ids_are_escaped(cohort):
    case = "<script>alert(1)<&"
    save(cohort / "ref", case, painted())
    assert evaluate(cohort) == 1
    page = page_of(cohort)
    assert "&lt;script&gt;alert(1)&lt;&amp;" in page
    assert "<script" not in page


@pytest.mark.parametrize(
    "predictions", [["two"], ["two="], ["=x"], ["a/b=x"], ["two=x", "two=y"], ["two=missing"]]
)
def test_a_wrong_call_is_told_apart(cohort, predictions):
    code = main(
        [
            "evaluate",
            *("--references", str(cohort / "ref"), "--output", str(cohort / "out")),
            *("--predictions", *predictions),
        ]
    )
    assert code == 2
    assert not (cohort / "out").exists()


def test_an_input_is_not_the_output(cohort):
    code = main(
        [
            "evaluate",
            *("--references", str(cohort / "ref"), "--output", str(cohort / "two")),
            *("--predictions", f"two={cohort / 'two'}"),
        ]
    )
    assert code == 2
    assert not (cohort / "two" / "metrics.csv").exists()


def test_readers_must_be_among_the_predictions(cohort):
    assert evaluate(cohort, "--readers", "nobody") == 2
