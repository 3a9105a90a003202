import csv
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from tests.dicom.contoured_series import GRIDS, dciodvfy_errors, masks, volume_of, write_ct

from parotid_brachy.lib.anatomy import GLAND, SKIN
from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.dosimetry.comparison import COLUMNS
from parotid_brachy.lib.dosimetry.dose_grid import dose_at_gy
from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import load_seed_model
from parotid_brachy.lib.dosimetry.seeds_file import write_seeds
from parotid_brachy.lib.imaging.files import write_label_map
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.phantom.dicom_series import write_series

GRID = GRIDS["straight"]
MODEL = load_seed_model("6711")


def _plan() -> SeedPlan:
    centre = GRID.to_lps_mm(np.asarray([20.0, 17.0, 5.0]))
    x, y, z = centre.tolist()
    return SeedPlan("plan", "6711", (Seed((x, y, z), 0.9), Seed((x + 5, y, z), 0.9, (0, 0, 1))))


def _grown(labels: np.ndarray) -> np.ndarray:
    """The same contours, one voxel to the left, and without skin."""
    moved = np.roll(labels, 1, axis=2)
    moved[moved == SKIN.value] = 0
    return moved


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def case(tmp_path: Path) -> Path:
    write_ct(tmp_path / "ct", GRID)
    write_seeds(_plan(), tmp_path / "seeds.csv")
    labels = masks(GRID.shape_kji)
    write_label_map(tmp_path / "manual.nii.gz", labels, GRID)
    write_label_map(tmp_path / "auto.nii.gz", _grown(labels), GRID)
    return tmp_path


def _dose(case: Path, *more: str, seeds: str = "seeds.csv") -> int:
    return main(
        [
            *("dose", "--image", str(case / "ct"), "--seeds", str(case / seeds)),
            *("--labels", f"manual={case / 'manual.nii.gz'}", f"auto={case / 'auto.nii.gz'}"),
            *("--output", str(case / "out"), *more),
        ]
    )


def test_one_case_gets_its_dose_histograms_and_dicom(case: Path) -> None:
    assert _dose(case, "--spacing-mm", "2", "--prescription-gy", "100") == 0
    image = sitk.ReadImage(str(case / "out" / "dose.nii.gz"))
    index = (10, 12, 9)
    point = np.asarray(image.TransformIndexToPhysicalPoint(index))
    assert image[index] == pytest.approx(float(dose_at_gy(_plan(), MODEL, point)), rel=1e-3)
    rows = _rows(case / "out" / "dvh.csv")
    assert list(rows[0])[: 2 + len(COLUMNS)] == ["name", "structure", *COLUMNS]
    gland = next(row for row in rows if row["structure"] == GLAND.name)
    labels = masks(GRID.shape_kji)
    k, j, i = np.nonzero(labels == GLAND.value)
    exact = dose_at_gy(_plan(), MODEL, GRID.to_lps_mm(np.stack([i, j, k], axis=-1).astype(float)))
    assert float(gland["dmin_gy"]) == pytest.approx(exact.min(), rel=0.02)
    assert float(gland["v100_percent"]) == pytest.approx(100 * (exact >= 100).mean(), abs=3)
    assert gland["is_partial"] == "false"
    skin = next(row for row in rows if row["name"] == "auto" and row["structure"] == SKIN.name)
    assert skin["dmean_gy"] == ""
    assert (case / "out" / "dvh.png").read_bytes().startswith(b"\x89PNG")
    for name in ("rtdose.dcm", "rtplan.dcm"):
        assert dciodvfy_errors(case / "out" / name) == []


def test_the_plan_that_was_written_gives_the_same_dose(case: Path) -> None:
    assert _dose(case) == 0
    first = _rows(case / "out" / "dvh.csv")
    shutil.copy(case / "out" / "rtplan.dcm", case / "plan.dcm")
    shutil.rmtree(case / "out")
    assert _dose(case, seeds="plan.dcm") == 0
    assert _rows(case / "out" / "dvh.csv") == first


def test_a_plan_of_unknown_seeds_is_refused_until_their_model_is_stated(
    case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _dose(case) == 0
    plan = pydicom.dcmread(case / "out" / "rtplan.dcm")
    for source in plan.SourceSequence:
        source.SourceModelID, source.SourceDescription = "9011", ""
    plan.save_as(case / "other.dcm")
    assert _dose(case, seeds="other.dcm") == 1
    assert "'9011'" in capsys.readouterr().err
    assert _dose(case, "--seed-model", "6711", seeds="other.dcm") == 0


def test_seeds_outside_the_ct_are_refused(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    far = SeedPlan("far", "6711", (*_plan().seeds, Seed((900.0, 0.0, 0.0), 0.9)))
    write_seeds(far, case / "seeds.csv")
    assert _dose(case) == 1
    assert "seed 3 at (900.0, 0.0, 0.0) mm LPS lies outside the CT" in capsys.readouterr().err
    assert not (case / "out" / "dvh.csv").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--output", "o"],
        ["--image", "a", "--seeds", "b", "--output", "o"],
        ["--image", "a", "--seeds", "b", "--labels", "x=y", "--cohort", "c", "--output", "o"],
        ["--image", "a", "--seeds", "b", "--labels", "y", "--output", "o"],
        ["--image", "a", "--seeds", "b", "--labels", "x=y", "x=z", "--output", "o"],
        ["--cohort", "nowhere", "--output", "o"],
        ["--cohort", "c", "--output", "o", "--whole-organs", "--cut", "both"],
        ["--cohort", "c", "--output", "o", "--jobs", "0"],
    ],
)
def test_wrong_calls_are_told(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["dose", *arguments]) == 2


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    folder = tmp_path / "cohort"
    labels = masks(GRID.shape_kji)
    for number in range(4):
        hu = volume_of(GRID).voxels.copy()
        hu[:, :3] = -1000
        write_series(Volume(GRID, hu, "case"), folder / "images" / f"case {number}", seed=number)
        for name, one in (("manual", labels), ("auto", np.roll(labels, number % 3, axis=2))):
            (folder / "labels" / name).mkdir(parents=True, exist_ok=True)
            write_label_map(folder / "labels" / name / f"case {number}.nii.gz", one, GRID)
    (folder / "seeds").mkdir()
    write_seeds(_plan(), folder / "seeds" / "case 1.csv")
    return folder


def _cohort(folder: Path, *more: str) -> int:
    jobs = () if "--jobs" in more else ("--jobs", "1")
    output = str(folder.parent / "out")
    return main(["dose", "--cohort", str(folder), "--output", output, *jobs, *more])


def test_a_cohort_gets_tables_figures_and_the_plans_that_it_lacked(cohort: Path) -> None:
    assert _cohort(cohort, "--spacing-mm", "2") == 0
    out = cohort.parent / "out"
    rows = _rows(out / "differences.csv")
    gland_free = {row["structure"] for row in rows}
    assert GLAND.name not in gland_free
    skin = next(r for r in rows if r["structure"] == SKIN.name and r["metric"] == "dmean_gy")
    assert (skin["name"], skin["n"]) == ("auto", "4")
    doses = {(r["case"], r["name"], r["structure"]): r for r in _rows(out / "dvh.csv")}
    # Case 0's two maps are the same, case 1's lie a voxel apart.
    for number, is_same in ((0, True), (1, False)):
        pair = [
            float(doses[f"case {number}", n, SKIN.name]["dmean_gy"]) for n in ("manual", "auto")
        ]
        assert (pair[0] == pair[1]) is is_same
    page = (out / "report.html").read_text()
    assert "2 seeds of" in page
    assert page.count("made here for study purposes") == 3
    assert sorted(one.name for one in (out / "figures").iterdir()) == [
        f"dvh_case {number}.png" for number in range(4)
    ]


def test_the_plan_made_here_can_be_given_again(cohort: Path) -> None:
    assert _cohort(cohort, "--spacing-mm", "2") == 0
    out = cohort.parent / "out"
    first = _rows(out / "dvh.csv")
    for one in (out / "seeds").iterdir():
        shutil.copy(one, cohort / "seeds" / one.name)
    assert _cohort(cohort, "--spacing-mm", "2", "--prescription-gy", "120") == 0
    assert _rows(out / "dvh.csv") == first
    assert "made here" not in (out / "report.html").read_text()


def test_a_cases_fault_is_told_and_leaves_the_others_whole(
    cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cohort / "labels" / "auto" / "case 2.nii.gz").write_bytes(b"damaged")
    (cohort / "labels" / "auto" / "case 3.nii.gz").unlink()
    write_label_map(cohort / "labels" / "auto" / "stranger.nii.gz", masks(GRID.shape_kji), GRID)
    assert _cohort(cohort, "--spacing-mm", "2") == 1
    out, told = capsys.readouterr()
    assert "case 2:" in told
    assert "case 3: no contours auto" in told
    assert "stranger: contours auto without an image" in told
    assert "report.html: 2 of 4 cases without a fault" in out
    cases = {row["case"] for row in _rows(cohort.parent / "out" / "dvh.csv")}
    assert cases == {"case 0", "case 1", "case 3"}


def test_organs_count_within_reach_of_the_gland_unless_they_are_to_be_whole(cohort: Path) -> None:
    volumes = []
    for more in (("--cut", "both"), (), ("--whole-organs",), ("--cut", "none")):
        assert _cohort(cohort, "--spacing-mm", "3", *more) == 0
        rows = _rows(cohort.parent / "out" / "dvh.csv")
        row = next(r for r in rows if r["structure"] == "mastoid_process")
        volumes.append(float(row["volume_ml"]))
    assert volumes[0] <= volumes[1] < volumes[2] == volumes[3]


def test_an_unknown_reference_is_a_wrong_call(cohort: Path) -> None:
    assert _cohort(cohort, "--reference", "nobody") == 2
    assert _cohort(cohort, "--reference", "auto", "--spacing-mm", "3") == 0
    rows = _rows(cohort.parent / "out" / "differences.csv")
    assert {row["name"] for row in rows} == {"manual"}


def test_several_cuts_give_a_table_each_in_one_report(cohort: Path) -> None:
    assert _cohort(cohort, "--spacing-mm", "3", "--cut", "reference", "both") == 0
    out = cohort.parent / "out"
    page = (out / "report.html").read_text()
    assert page.count("Table 3: auto") == 2
    assert "cut 17 mm from the reference&#x27;s gland (reference)" in page
    assert "cut 17 mm from every set&#x27;s gland (both)" in page
    rows = _rows(out / "dvh.csv")
    of_cut = {
        (r["cut"], r["name"], r["case"]): float(r["volume_ml"] or 0)
        for r in rows
        if r["structure"] == "mastoid_process"
    }
    assert {cut for cut, _, _ in of_cut} == {"reference", "both"}
    # Case 2's glands lie two voxels apart: what both reach is less than what one reaches.
    assert of_cut["both", "manual", "case 2"] < of_cut["reference", "manual", "case 2"]
    assert of_cut["both", "manual", "case 0"] == of_cut["reference", "manual", "case 0"]
    differences = _rows(out / "differences.csv")
    assert [r["cut"] for r in differences[:1]] + [r["cut"] for r in differences[-1:]] == [
        "reference",
        "both",
    ]


def test_processes_give_what_one_gives(cohort: Path) -> None:
    tables = []
    for jobs in ("1", "2"):
        assert _cohort(cohort, "--spacing-mm", "3", "--jobs", jobs) == 0
        tables.append(_rows(cohort.parent / "out" / "dvh.csv"))
    assert [row["case"] for row in tables[0]] == sorted(row["case"] for row in tables[0])
    for one, other in zip(*tables, strict=True):
        assert one.keys() == other.keys()
        assert float(one["dmean_gy"]) == pytest.approx(float(other["dmean_gy"]), rel=1e-5)


def test_a_file_that_cannot_be_written_is_that_cases_problem(
    cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cohort.parent / "out" / "seeds" / "case 1.csv").mkdir(parents=True)
    assert _cohort(cohort, "--spacing-mm", "3") == 1
    out, told = capsys.readouterr()
    assert "case 1:" in told
    assert "directory" in told.lower()
    assert "3 of 4 cases" in out
    assert {row["case"] for row in _rows(cohort.parent / "out" / "dvh.csv")} == {
        "case 0",
        "case 2",
        "case 3",
    }


def test_plans_that_are_nobodys_or_twice_are_told(
    cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_seeds(_plan(), cohort / "seeds" / "stranger.csv")
    (cohort / "seeds" / "case 1.dcm").write_bytes(b"another plan")
    assert _cohort(cohort, "--spacing-mm", "3") == 1
    out, told = capsys.readouterr()
    assert "stranger: a plan in seeds/ without an image" in told
    assert "case 1: seeds/ has both case 1.csv and case 1.dcm; not calculated" in told
    assert "3 of 4 cases" in out
    assert "case 1" not in {row["case"] for row in _rows(cohort.parent / "out" / "dvh.csv")}
