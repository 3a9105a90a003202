"""Doses written by us and read by others; doses in all positions; damaged ones."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from tests.dicom.contoured_series import GRIDS, dciodvfy_errors, missing, write_ct
from tests.dosimetry.implants import random_plan

from parotid_brachy.lib.dicom.dose.dose_reading import read_dose
from parotid_brachy.lib.dicom.dose.dose_writing import write_dose
from parotid_brachy.lib.dicom.dose.plan_writing import write_plan
from parotid_brachy.lib.dicom.source_series import SourceSeries, read_source_series
from parotid_brachy.lib.dosimetry.dose_grid import DoseGrid, LpsBox, dose_grid
from parotid_brachy.lib.dosimetry.seed_model import load_seed_model
from parotid_brachy.lib.errors import InputRefusedError

MODEL = load_seed_model("6711")
MADE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
BOX = LpsBox((-30.0, -25.0, -20.0), (24.0, 21.0, 22.0))


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SourceSeries:
    return read_source_series(write_ct(tmp_path_factory.mktemp("ct"), GRIDS["straight"]))


@pytest.fixture(scope="module")
def dose() -> DoseGrid:
    return dose_grid(random_plan(10, seed=1, oriented=True), MODEL, spacing_mm=2.0, around=BOX)


@pytest.fixture
def written(series: SourceSeries, dose: DoseGrid, tmp_path: Path) -> Path:
    plan = random_plan(10, seed=1, oriented=True)
    uid = write_plan(plan, MODEL, series, tmp_path / "plan.dcm", made=MADE)
    write_dose(dose, series, tmp_path / "dose.dcm", plan_uid=uid, made=MADE)
    return tmp_path / "dose.dcm"


def _changed(path: Path, change: Callable[[Dataset], object]) -> Path:
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


def _is_same(read: DoseGrid, dose: DoseGrid) -> bool:
    return read.grid.is_same_as(dose.grid, tolerance_mm=1e-6) and bool(
        np.allclose(read.gy, dose.gy, rtol=1e-6, atol=float(dose.gy.max()) * 3e-10)
    )


def test_a_dose_is_read_as_it_was_written(written: Path, dose: DoseGrid) -> None:
    assert _is_same(read_dose(written), dose)


def test_a_written_dose_is_valid_and_refers_to_its_plan(
    written: Path, series: SourceSeries
) -> None:
    assert dciodvfy_errors(written) == []
    dataset, plan = pydicom.dcmread(written), pydicom.dcmread(written.parent / "plan.dcm")
    assert dataset.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
    assert dataset.FrameOfReferenceUID == series.frame_uid
    assert dataset.PatientID == series.header.PatientID


def test_plastimatch_reads_the_same_dose(written: Path, dose: DoseGrid, tmp_path: Path) -> None:
    missing("plastimatch", "plastimatch")
    program = shutil.which("plastimatch") or ""
    output = tmp_path / "dose.nrrd"
    command = [program, "convert", "--input-dose-img", str(written), "--output-dose-img", output]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    image = sitk.ReadImage(str(output))
    assert image.GetOrigin() == pytest.approx(dose.grid.origin_lps_mm)
    assert image.GetSpacing() == pytest.approx(dose.grid.spacing_mm)
    # plastimatch keeps single precision, and scales before it rounds.
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), dose.gy, rtol=1e-5)


def test_pydicom_reads_the_same_dose(written: Path, dose: DoseGrid) -> None:
    dataset = pydicom.dcmread(written)
    gy = dataset.pixel_array * float(dataset.DoseGridScaling)
    np.testing.assert_allclose(gy, dose.gy, rtol=1e-6, atol=float(dose.gy.max()) * 3e-10)


def test_a_dose_of_nothing_is_written_and_read(
    series: SourceSeries, dose: DoseGrid, tmp_path: Path
) -> None:
    none = DoseGrid(np.zeros_like(dose.gy), dose.grid)
    write_dose(none, series, tmp_path / "none.dcm", plan_uid="1.2.3", made=MADE)
    assert not read_dose(tmp_path / "none.dcm").gy.any()


_POSITIONS = [
    (across, down, up)
    for across, down in itertools.product(
        [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, 0, -1)], [(0, 1, 0), (0, -1, 0), (1, 0, 0)]
    )
    if not np.dot(across, down)
    for up in (1, -1)
]


@pytest.mark.parametrize(("across", "down", "up"), _POSITIONS)
def test_any_position_along_the_axes_is_turned_to_lps(
    written: Path,
    dose: DoseGrid,
    across: tuple[int, int, int],
    down: tuple[int, int, int],
    up: int,
) -> None:
    normal = np.cross(across, down) * up
    axes = [int(np.flatnonzero(vector)[0]) for vector in (across, down, normal)]
    signs = [int(vector[axis]) for vector, axis in zip((across, down, normal), axes, strict=True)]
    gy = dose.gy.transpose([2 - axis for axis in axes[::-1]])
    gy = gy[tuple(slice(None, None, sign) for sign in signs[::-1])]
    origin = np.asarray(dose.grid.origin_lps_mm)
    for axis, sign in zip(axes, signs, strict=True):
        if sign < 0:
            origin[axis] += (dose.grid.size_ijk[axis] - 1) * dose.grid.spacing_mm[axis]

    def turn(dataset: Dataset) -> None:
        dataset.ImageOrientationPatient = [*across, *down]
        dataset.ImagePositionPatient = origin.tolist()
        dataset.NumberOfFrames, dataset.Rows, dataset.Columns = gy.shape
        dataset.GridFrameOffsetVector = [up * 2.0 * k for k in range(gy.shape[0])]
        stored = np.rint(gy.astype(np.float64) / float(dataset.DoseGridScaling))
        dataset.PixelData = stored.astype("<u4").tobytes()

    assert _is_same(read_dose(_changed(written, turn)), dose)


def test_plane_offsets_may_be_absolute(written: Path, dose: DoseGrid) -> None:
    z = dose.grid.origin_lps_mm[2]

    def absolute(dataset: Dataset) -> None:
        dataset.GridFrameOffsetVector = [z + one for one in dataset.GridFrameOffsetVector]

    assert z != 0.0
    assert _is_same(read_dose(_changed(written, absolute)), dose)


def test_sixteen_bits_are_read(written: Path, dose: DoseGrid) -> None:
    scaling = float(dose.gy.max()) / 65535

    def short(dataset: Dataset) -> None:
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit = 15
        dataset.DoseGridScaling = f"{scaling:.9g}"
        dataset.PixelData = np.rint(dose.gy / np.float64(f"{scaling:.9g}")).astype("<u2").tobytes()

    read = read_dose(_changed(written, short))
    assert np.abs(read.gy - dose.gy).max() <= scaling * 0.51


def _set(**elements: object) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_set(DoseUnits="RELATIVE"), "DoseUnits is 'RELATIVE'"),
        (_set(DoseType="EFFECTIVE"), "DoseType is 'EFFECTIVE'"),
        (_set(DoseGridScaling=0), "scaling"),
        (_set(DoseGridScaling=None), "damaged"),
        (_set(PixelData=b"\0" * 64), "cut short"),
        (_set(GridFrameOffsetVector=[0.0, 1.0]), "offsets"),
        (_set(GridFrameOffsetVector=None), "damaged|offsets"),
        (_set(ImageOrientationPatient=[0.8, 0.6, 0, -0.6, 0.8, 0]), "askew"),
        (_set(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), "askew"),
        (_set(PixelSpacing=[0, 2]), "spacing"),
        (_set(Rows=65535, Columns=65535), "voxels|cut short"),
        (_set(BitsAllocated=8), "bits"),
        (_set(SOPClassUID="1.2.840.10008.5.1.4.1.1.2"), "no RT dose"),
    ],
)
def test_what_is_no_dose_in_gray_is_refused(
    written: Path, change: Callable[[Dataset], object], told: str
) -> None:
    with pytest.raises(InputRefusedError, match=told):
        read_dose(_changed(written, change))


def test_uneven_planes_are_refused(written: Path) -> None:
    def uneven(dataset: Dataset) -> None:
        offsets = list(dataset.GridFrameOffsetVector)
        offsets[-1] += 1.0
        dataset.GridFrameOffsetVector = offsets

    with pytest.raises(InputRefusedError, match="evenly"):
        read_dose(_changed(written, uneven))
