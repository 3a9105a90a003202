"""Which plan a case has: given, imported with it, or made for study purposes."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pydicom
import pytest
from tests.dicom.contoured_series import GRIDS, masks, volume_of

from parotid_brachy.lib.case_dose.case_doses import CaseDoses
from parotid_brachy.lib.case_dose.plan_of_case import PlanOrigin
from parotid_brachy.lib.cli.main import DONE, main
from parotid_brachy.lib.dicom.case_series import CaseSeries
from parotid_brachy.lib.dicom.dose.plan_writing import write_plan
from parotid_brachy.lib.dicom.source_series import read_source_series
from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.planner import plan_implant
from parotid_brachy.lib.dosimetry.seed_model import load_seed_model
from parotid_brachy.lib.dosimetry.seeds_file import seeds_csv
from parotid_brachy.lib.errors import ConflictError, InputRefusedError
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.phantom.dicom_series import write_series
from parotid_brachy.lib.review.quarantine import Quarantine
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.states import ReviewPolicy
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.study_images import StudyImages
from parotid_brachy.lib.review.workflow import Received, Workflow

GRID = GRIDS["straight"]
MODEL = load_seed_model("6711")
SENIOR = Reader("sofia", Role.REVIEWER)


def _plan(strength: float = 0.9) -> SeedPlan:
    x, y, z = GRID.to_lps_mm(np.asarray([20.0, 17.0, 5.0])).tolist()
    places = ((x, y, z), (x + 5.0, y, z))
    return SeedPlan("plan", "6711", tuple(Seed(one, strength) for one in places))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A series as a scanner and a planning system leave it, with one plan."""
    hu = volume_of(GRID).voxels.copy()
    hu[:, :3] = -1000
    write_series(Volume(GRID, hu, "case"), tmp_path / "in" / "ct", seed=1)
    _write(_plan(), tmp_path / "in")
    return tmp_path / "in"


def _write(plan: SeedPlan, folder: Path, name: str = "plan.dcm") -> str:
    series = read_source_series(folder / "ct")
    made = datetime(2026, 3, 4, tzinfo=timezone.utc)
    return write_plan(plan, MODEL, series, folder / name, made=made)


class Desk:
    def __init__(self, folder: Path) -> None:
        self.images = StudyImages(folder)
        self.store = VersionStore.open(folder / ".parotid")
        self.series = CaseSeries(folder / ".parotid")
        self.doses = CaseDoses(self.store, self.images, self.series)
        (self.case,) = self.images.files()
        self.store.register(self.images.files())
        self.workflow = Workflow(
            self.store,
            self.images,
            Quarantine(folder / ".parotid" / "quarantine"),
            ReviewPolicy(),
        )

    def save(self, labels: np.ndarray):
        received = Received(nifti_bytes(labels, GRID), "map.nii.gz")
        return self.workflow.save(self.case, received, Reader("anna", Role.ANNOTATOR))


@pytest.fixture
def imported(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    desks = []

    def run(*more: str) -> Desk:
        studies = tmp_path / "studies"
        studies.mkdir(exist_ok=True)
        assert main(["import", str(source), "--studies", str(studies), *more]) == DONE
        desks.append(Desk(studies))
        return desks[-1]

    yield run
    for desk in desks:
        desk.store.close()


def test_the_plan_that_came_with_a_case_counts_after_de_identification_too(imported) -> None:
    desk = imported()
    found = desk.doses.plan_for(desk.case, ())
    assert (found.origin, found.number, found.author) == (PlanOrigin.IMPORTED, None, None)
    assert [seed.air_kerma_strength_u for seed in found.plan.seeds] == pytest.approx([0.9, 0.9])
    assert found.plan.seeds[0].position_lps_mm == pytest.approx(_plan().seeds[0].position_lps_mm)
    assert found.remarks == ("the plan does not name its seeds' model; calculated as 6711",)
    (file,) = desk.series.related_of(desk.case)
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_plan_that_is_given_counts_before_the_one_that_came_along(imported) -> None:
    desk = imported()
    for strength in (0.7, 0.8):
        desk.doses.keep_plan(desk.case, seeds_csv(_plan(strength)), ".csv", SENIOR)
    found = desk.doses.plan_for(desk.case, ())
    assert (found.origin, found.number, found.author) == (PlanOrigin.UPLOADED, 2, "sofia")
    assert found.plan.seeds == _plan(0.8).seeds


def test_an_rtplan_that_is_given_is_kept_as_its_seeds_without_the_patient(imported, source) -> None:
    desk = imported()
    content = (source / "plan.dcm").read_bytes()
    kept = desk.doses.keep_plan(desk.case, content, ".dcm", SENIOR)
    assert (kept.plan.received_as, kept.plan.seeds) == (".dcm", 2)
    assert kept.plan.received_sha256 == hashlib.sha256(content).hexdigest()
    table = desk.store.path_of(kept.plan.file).read_bytes()
    assert table == seeds_csv(desk.doses.plan_for(desk.case, ()).plan)
    patient = str(pydicom.dcmread(source / "plan.dcm").PatientID)
    assert patient
    for path in (desk.store.folder / "objects").rglob("*.*"):
        assert patient.encode() not in path.read_bytes()


def test_of_several_that_came_along_the_stated_one_counts_or_none(imported, source) -> None:
    uid = _write(_plan(0.5), source, "second.dcm")
    desk = imported("--seed-plan", uid)
    assert desk.doses.plan_for(desk.case, ()).plan.seeds[0].air_kerma_strength_u == (
        pytest.approx(0.5)
    )
    info = dict(desk.store.case(desk.case).image_info)
    desk.store.keep_image_info(desk.case, {**info, "facts": {}})
    with pytest.raises(ConflictError, match="2 seed plans came with it, and nothing says which"):
        desk.doses.plan_for(desk.case, ())


def test_a_stated_plan_that_did_not_come_along_is_not_replaced_by_another(imported) -> None:
    desk = imported("--seed-plan", "1.2.3.4.5.6")
    version = desk.save(masks(GRID.shape_kji))
    found = desk.doses.plan_for(desk.case, (version,))
    assert found.origin is PlanOrigin.MADE
    assert found.remarks[0].startswith("the plan that is stated for it, 2.25.")


def test_a_plan_of_another_treatment_is_told_and_one_made_in_the_gland(imported, source) -> None:
    dataset = pydicom.dcmread(source / "plan.dcm")
    dataset.BrachyTreatmentTechnique = "INTRACAVITARY"
    dataset.save_as(source / "plan.dcm")
    desk = imported()
    labels = masks(GRID.shape_kji)
    version = desk.save(labels)
    found = desk.doses.plan_for(desk.case, (version,))
    assert (found.origin, found.version) == (PlanOrigin.MADE, version.number)
    assert "only PERMANENT" in found.remarks[0]
    volume = read_volume(desk.images.path_of(desk.case), case=desk.case)
    whole = plan_implant(volume, labels, MODEL)
    assert [one.position_lps_mm for one in found.plan.seeds] == [
        pytest.approx(one.position_lps_mm) for one in whole.seeds
    ]
    assert found.plan.seeds[0].air_kerma_strength_u == pytest.approx(
        whole.seeds[0].air_kerma_strength_u
    )


def test_a_plan_of_seeds_that_are_named_and_unknown_is_not_taken_for_the_usual(
    imported, source
) -> None:
    dataset = pydicom.dcmread(source / "plan.dcm")
    for item in dataset.SourceSequence:
        item.SourceIsotopeHalfLife = 17.0
    dataset.save_as(source / "plan.dcm")
    desk = imported()
    with pytest.raises(InputRefusedError, match="no parotid gland is contoured"):
        desk.doses.plan_for(desk.case, ())
    version = desk.save(masks(GRID.shape_kji))
    assert "a half-life of 17 days" in desk.doses.plan_for(desk.case, (version,)).remarks[0]
