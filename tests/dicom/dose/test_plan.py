"""Plans written by us, and plans as others write or break them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from tests.dicom.contoured_series import GRIDS, dciodvfy_errors, write_ct
from tests.dosimetry.implants import random_plan

from parotid_brachy.lib.dicom.dose.plan_reading import read_plan
from parotid_brachy.lib.dicom.dose.plan_writing import write_plan
from parotid_brachy.lib.dicom.source_series import SourceSeries, read_source_series
from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import load_seed_model
from parotid_brachy.lib.errors import InputRefusedError

MODEL = load_seed_model("6711")
MADE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SourceSeries:
    return read_source_series(write_ct(tmp_path_factory.mktemp("ct"), GRIDS["straight"]))


@pytest.fixture
def written(series: SourceSeries, tmp_path: Path) -> Path:
    write_plan(_plan(), MODEL, series, tmp_path / "plan.dcm", made=MADE)
    return tmp_path / "plan.dcm"


def _plan() -> SeedPlan:
    return SeedPlan(
        "plan",
        "6711",
        (
            Seed((10.25, -20.5, 30.125), 0.889, (0.0, 0.0, 1.0)),
            Seed((12.0, -20.5, 30.125), 0.889),
            Seed((-3.0, 4.0, -5.0), 0.762, (1.0, 0.0, 0.0)),
        ),
    )


def _changed(path: Path, change: Callable[[Dataset], object]) -> Path:
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


def _channels(dataset: Dataset) -> list[Dataset]:
    return list(dataset.ApplicationSetupSequence[0].ChannelSequence)


def test_a_plan_is_read_as_it_was_written(written: Path) -> None:
    assert read_plan(written) == _plan()


def test_many_seeds_keep_their_places(series: SourceSeries, tmp_path: Path) -> None:
    plan = random_plan(60, seed=2, oriented=True)
    write_plan(plan, MODEL, series, tmp_path / "random.dcm", made=MADE)
    read = read_plan(tmp_path / "random.dcm")
    for one, other in zip(plan.seeds, read.seeds, strict=True):
        assert other.position_lps_mm == pytest.approx(one.position_lps_mm, abs=1e-10)
        assert other.direction_lps == pytest.approx(one.direction_lps, abs=1e-6)
        assert other.air_kerma_strength_u == pytest.approx(one.air_kerma_strength_u, rel=1e-13)


def test_a_written_plan_is_valid_and_of_its_patient(written: Path, series: SourceSeries) -> None:
    assert dciodvfy_errors(written) == []
    dataset = pydicom.dcmread(written)
    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert dataset[keyword].value == series.header[keyword].value


def test_control_points_of_one_seed_count_once_however_many(written: Path) -> None:
    def more(dataset: Dataset) -> None:
        points = _channels(dataset)[0].BrachyControlPointSequence
        points.append(points[0])
        points.append(points[1])

    assert read_plan(_changed(written, more)) == _plan()


def test_one_channel_may_hold_a_needle_of_seeds(written: Path) -> None:
    def one_needle(dataset: Dataset) -> None:
        first, second, _ = _channels(dataset)
        first.BrachyControlPointSequence.extend(second.BrachyControlPointSequence)
        dataset.ApplicationSetupSequence[0].ChannelSequence = [first, _channels(dataset)[2]]

    read = read_plan(_changed(written, one_needle))
    assert [seed.position_lps_mm for seed in read.seeds] == [
        seed.position_lps_mm for seed in _plan().seeds
    ]


def test_an_orientation_at_one_of_a_seeds_points_is_the_seeds(written: Path) -> None:
    def half(dataset: Dataset) -> None:
        del _channels(dataset)[0].BrachyControlPointSequence[0].ControlPointOrientation

    assert read_plan(_changed(written, half)) == _plan()


def test_without_orientations_seeds_are_unoriented(written: Path) -> None:
    def none(dataset: Dataset) -> None:
        for channel in _channels(dataset):
            for point in channel.BrachyControlPointSequence:
                if "ControlPointOrientation" in point:
                    del point.ControlPointOrientation

    read = read_plan(_changed(written, none))
    assert [seed.direction_lps for seed in read.seeds] == [None, None, None]


@pytest.mark.parametrize("value", [None, "", 0])
def test_a_plan_without_a_half_life_gets_its_models(
    written: Path, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    def unset(dataset: Dataset) -> None:
        for source in dataset.SourceSequence:
            if value is None:
                del source.SourceIsotopeHalfLife
            else:
                source.SourceIsotopeHalfLife = value

    assert read_plan(_changed(written, unset)) == _plan()
    assert "no half-life stated; 59.4 days" in caplog.text


def _with_model(text: str) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for source in dataset.SourceSequence:
            source.SourceModelID, source.SourceDescription = text, ""

    return change


def test_an_unknown_model_is_refused_unless_the_caller_says_which(written: Path) -> None:
    path = _changed(written, _with_model("67110"))
    with pytest.raises(InputRefusedError, match="seed model is '67110'; known are 6711"):
        read_plan(path)
    assert read_plan(path, MODEL) == _plan()


def test_a_model_is_known_within_a_longer_name(written: Path) -> None:
    assert read_plan(_changed(written, _with_model("OncoSeed 6711"))) == _plan()


def _palladium(dataset: Dataset) -> None:
    for source in dataset.SourceSequence:
        source.SourceIsotopeHalfLife = 16.99


def _dose_rate(dataset: Dataset) -> None:
    dataset.SourceSequence[1].SourceStrengthUnits = "DOSE_RATE_WATER"


def _no_strength(dataset: Dataset) -> None:
    dataset.SourceSequence[0].ReferenceAirKermaRate = None


def _negative(dataset: Dataset) -> None:
    dataset.SourceSequence[0].ReferenceAirKermaRate = -1


def _high_dose_rate(dataset: Dataset) -> None:
    dataset.BrachyTreatmentTechnique = "INTERSTITIAL"


def _moving(dataset: Dataset) -> None:
    _channels(dataset)[1].SourceMovementType = "STEPWISE"


def _stranger(dataset: Dataset) -> None:
    _channels(dataset)[1].ReferencedSourceNumber = 9


def _no_position(dataset: Dataset) -> None:
    del _channels(dataset)[2].BrachyControlPointSequence[1].ControlPoint3DPosition


def _no_points(dataset: Dataset) -> None:
    del _channels(dataset)[2].BrachyControlPointSequence


def _twice(dataset: Dataset) -> None:
    channels = dataset.ApplicationSetupSequence[0].ChannelSequence
    channels.append(channels[0])


def _same_number(dataset: Dataset) -> None:
    dataset.SourceSequence[1].SourceNumber = 1


def _no_sources(dataset: Dataset) -> None:
    del dataset.SourceSequence


def _no_seeds(dataset: Dataset) -> None:
    dataset.ApplicationSetupSequence = []


def _other_kind(dataset: Dataset) -> None:
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_palladium, "half-life of 16.99 days"),
        (_dose_rate, "source 2: its strength is in 'DOSE_RATE_WATER'"),
        (_no_strength, "source 1: its reference air-kerma rate"),
        (_negative, "source 1: its reference air-kerma rate"),
        (_high_dose_rate, "only PERMANENT"),
        (_moving, "channel 2: its source moves"),
        (_stranger, "channel 2: it refers to source 9"),
        (_no_position, "channel 3: a control point without a position"),
        (_no_points, "channel 3: no control point"),
        (_twice, "two seeds at"),
        (_same_number, "stands twice"),
        (_no_sources, "no source is described"),
        (_no_seeds, "without seeds"),
        (_other_kind, "no RT plan"),
    ],
)
def test_what_would_give_a_wrong_dose_is_refused(
    written: Path, change: Callable[[Dataset], object], told: str
) -> None:
    with pytest.raises(InputRefusedError, match=told):
        read_plan(_changed(written, change))


def test_damaged_files_are_refused(written: Path) -> None:
    content = written.read_bytes()
    for length in (0, 100, 200, len(content) // 2):
        written.write_bytes(content[:length])
        with pytest.raises(InputRefusedError):
            read_plan(written)
