import numpy as np
import pytest
from tests.imaging.heads import grid_of, head

from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.ct_checks import (
    ct_numbers,
    grid_of_affine,
    require_ct_grid,
    require_ct_numbers,
)
from parotid_brachy.lib.imaging.limits import CT_LIMITS


@pytest.mark.parametrize(
    ("size", "spacing", "fault"),
    [
        ((7, 52, 40), (4.0, 4.0, 5.0), "not a volume"),
        ((400, 400, 40), (0.05, 4.0, 5.0), "voxels of"),
        ((44, 52, 40), (4.0, 4.0, 10.5), "voxels of"),
        ((44, 52, 8), (4.0, 4.0, 3.0), "measures"),
        ((1000, 52, 40), (4.0, 4.0, 5.0), "measures"),
    ],
)
def test_grids_that_no_ct_has_are_refused(size, spacing, fault):
    with pytest.raises(GeometryError, match=f"^a.nii: .*{fault}"):
        require_ct_grid(grid_of(size, spacing), CT_LIMITS, name="a.nii")


@pytest.mark.parametrize("spacing", [(0.3, 0.3, 0.3), (0.5, 0.5, 2.0), (5.4, 5.4, 3.3), (1, 1, 5)])
def test_grids_that_cts_have_are_accepted(spacing):
    require_ct_grid(grid_of((128, 128, 110), spacing), CT_LIMITS, name="a")


def test_a_volume_far_from_the_origin_is_refused():
    with pytest.raises(GeometryError, match="farther than 10000 mm"):
        require_ct_grid(grid_of(centre_lps_mm=(0, 0, 20_000.0)), CT_LIMITS, name="a")


def test_an_affine_gives_back_its_grid():
    grid = grid_of(direction=(0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, -1.0))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = grid.matrix, grid.origin_lps_mm
    again = grid_of_affine(affine, grid.size_ijk, name="a", shear=1e-3)
    assert np.allclose(again.direction, grid.direction)
    assert again.spacing_mm == pytest.approx(grid.spacing_mm)
    assert again.origin_lps_mm == grid.origin_lps_mm


def test_a_sheared_affine_tells_its_angle():
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[1, 2] = 2 * np.tan(np.radians(12.0))
    with pytest.raises(GeometryError, match=r"off by 12\.00 degrees"):
        grid_of_affine(affine, (10, 10, 10), name="a", shear=1e-3)


def test_scaled_numbers_are_hu():
    stored = np.asarray([[[0, 1, 4095]]], dtype=np.uint16)
    hu = ct_numbers(stored, slope=1.0, intercept=-1024.0, name="a")
    assert hu.dtype == np.int16
    assert hu.ravel().tolist() == [-1024, -1023, 3071]


def test_numbers_beyond_int16_stay_exact_as_floats():
    stored = np.asarray([[[-1000, 35_000]]], dtype=np.int32)
    hu = ct_numbers(stored, slope=1.0, intercept=0.0, name="a")
    assert hu.dtype == np.float32
    assert hu.ravel().tolist() == [-1000.0, 35_000.0]


def test_int16_is_taken_as_it_is():
    stored = head().voxels
    assert ct_numbers(stored, slope=1.0, intercept=0.0, name="a") is stored


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda hu: np.full_like(hu, 40), "every voxel is 40"),
        (lambda hu: np.maximum(hu, -400), "no air"),
        (lambda hu: np.where(hu > -500, 1500, hu), "no soft tissue"),
        (lambda hu: hu + 1024, "no air.*offset of 1000 or 1024"),
        (lambda hu: hu * 0.5, "no air"),
        (
            lambda hu: np.where(
                (hu > 0) & (np.arange(hu.size).reshape(hu.shape) % 20 > 0), 500, hu
            ),
            "shifted or scaled",
        ),
    ],
)
def test_numbers_that_are_not_hu_are_refused(change, fault):
    with pytest.raises(InputRefusedError, match=f"^a.nii: .*{fault}"):
        require_ct_numbers(change(head().voxels), name="a.nii")


def test_padding_far_below_air_is_no_fault():
    hu = head().voxels.copy()
    hu[:, :3] = -3024
    require_ct_numbers(hu, name="a")
