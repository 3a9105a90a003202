import numpy as np
import pytest
from tests.imaging.heads import grid_of
from tests.retraining.painted_cases import GRID
from tests.segmentation.painted import painted_head
from tests.segmentation.studies import write_case

from parotid_brachy.lib.anatomy import GLAND, SKIN, STRUCTURES, Side
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.retraining.reference import ReferenceCase, references_from, references_in
from parotid_brachy.lib.retraining.snapshot import Snapshot, SnapshotCase
from parotid_brachy.lib.review.splits import Part
from parotid_brachy.lib.segmentation.presets import Step


@pytest.fixture(scope="module")
def head():
    """Glands of 14 mm on the left and 18 mm on the right."""
    return painted_head(GRID, case="head")


def x_of(case, mask):
    return case.grid.to_lps_mm(np.argwhere(mask)[:, ::-1].astype(float))[:, 0]


def test_of_two_contoured_glands_the_smaller_is_the_operated_one(head):
    case = ReferenceCase.of(*head)
    assert case.side is Side.LEFT
    assert (x_of(case, case.labels > 0) > 0).all()
    assert set(np.unique(case.labels)) == {0, *(one.value for one in STRUCTURES)}


@pytest.mark.parametrize(("side", "sign"), [(Side.LEFT, 1), (Side.RIGHT, -1)])
def test_a_stated_side_is_the_one_that_is_judged(head, side, sign):
    case = ReferenceCase.of(*head, side=side)
    assert case.side is side
    assert (x_of(case, case.gland) * sign > 0).all()


def test_one_contoured_gland_tells_the_side():
    case = ReferenceCase.of(*painted_head(GRID, radii_mm=(0.0, 15.0)))
    assert case.side is Side.RIGHT


def test_without_a_gland_there_is_nothing_to_judge_by(head):
    volume, labels = head
    with pytest.raises(InputRefusedError, match="head: no gland is contoured, so"):
        ReferenceCase.of(volume, np.where(labels == GLAND.value, np.uint8(0), labels))
    with pytest.raises(InputRefusedError, match="contoured on the left"):
        ReferenceCase.of(*painted_head(GRID, radii_mm=(0.0, 15.0)), side=Side.LEFT)


def test_in_half_a_head_all_contours_are_of_one_side():
    half = grid_of((24, 48, 44), (3.5, 4.0, 4.5), centre_lps_mm=(60.0, 0.0, 0.0))
    volume, labels = painted_head(half, case="half")
    case = ReferenceCase.of(volume, labels, side=Side.LEFT)
    assert np.array_equal(case.labels, labels)


def test_what_a_map_is_about_is_what_it_has_unless_that_is_told(head):
    volume, labels = head
    plain = np.where(labels == SKIN.value, np.uint8(0), labels)
    assert "skin" not in ReferenceCase.of(volume, plain).contoured
    told = ReferenceCase.of(volume, plain, contoured=("skin", "parotid_gland"))
    assert told.contoured == {"skin", "parotid_gland"}


def test_plain_folders_are_read_as_trainings_read_them(head, tmp_path):
    write_case(tmp_path, *head)
    (case,) = references_from(tmp_path / "images", tmp_path / "labels")
    assert (case.case, case.patient, case.side) == ("head", "head", Side.LEFT)
    assert case.gland.any()


def test_of_a_snapshot_the_validation_cases_alone_are_judged_on(head, tmp_path):
    cases = []
    for name, part in (("a", Part.TRAIN), ("b", Part.VALIDATION)):
        volume = type(head[0])(head[0].grid, head[0].voxels, name)
        write_case(tmp_path, volume, head[1])
        contoured = ("parotid_gland", "skin")
        told = (name, "Erika", part, f"{name}.nii.gz", 1, "0" * 64, True, contoured, Side.RIGHT)
        cases.append(SnapshotCase(*told))
    (case,) = references_in(tmp_path, Snapshot(Step.GLAND, tuple(cases), ()))
    assert (case.case, case.patient, case.side) == ("b", "Erika", Side.RIGHT)
    assert case.contoured == {"parotid_gland", "skin"}
