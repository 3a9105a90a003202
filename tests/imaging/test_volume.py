import numpy as np
import pytest
import SimpleITK as sitk
from tests.imaging.heads import grid_of, head

from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.imaging.volume import Grid, Volume, to_image

OBLIQUE = tuple(
    float(v)
    for v in np.linalg.qr(np.asarray([[0.9, 0.2, 0.1], [-0.1, 0.95, 0.2], [0.05, -0.1, 1]]))[
        0
    ].ravel()
)


@pytest.fixture
def oblique() -> Grid:
    return Grid((7, 9, 11), (0.7, 1.3, 2.1), (-30.0, 12.5, 400.0), OBLIQUE)


def test_positions_and_indices_are_inverse_to_each_other(oblique):
    index = np.random.default_rng(0).uniform(-5, 20, (50, 3))
    assert np.allclose(oblique.to_index(oblique.to_lps_mm(index)), index)


def test_positions_agree_with_simpleitk(oblique):
    image = to_image(np.zeros(oblique.shape_kji, dtype=np.uint8), oblique)
    for index in ((0, 0, 0), (6, 8, 10), (3, 0, 7)):
        theirs = image.TransformIndexToPhysicalPoint(index)
        assert np.allclose(oblique.to_lps_mm(np.asarray(index)), theirs)


def test_a_grid_survives_simpleitk(oblique):
    image = to_image(np.zeros(oblique.shape_kji, dtype=np.uint8), oblique)
    assert Grid.of(image) == oblique


def test_a_volume_survives_simpleitk(oblique):
    voxels = np.random.default_rng(1).integers(-1000, 3000, oblique.shape_kji).astype(np.int16)
    again = Volume.of(to_image(voxels, oblique), case="x")
    assert again.grid == oblique
    assert again.voxels.dtype == np.int16
    assert np.array_equal(again.voxels, voxels)


def test_channels_are_a_last_axis(oblique):
    image = to_image(np.zeros((*oblique.shape_kji, 3), dtype=np.float32), oblique)
    assert image.GetNumberOfComponentsPerPixel() == 3
    assert image.GetSize() == oblique.size_ijk


def test_a_cropped_grid_keeps_its_voxels_in_place(oblique):
    part = oblique.cropped((2, 1, 4), (5, 9, 10))
    assert part.size_ijk == (3, 8, 6)
    assert np.allclose(part.to_lps_mm(np.zeros(3)), oblique.to_lps_mm(np.asarray([2, 1, 4])))
    assert np.allclose(part.matrix, oblique.matrix)


def test_corners_are_those_of_the_outer_faces():
    grid = Grid((2, 3, 4), (1.0, 2.0, 3.0), (0.5, 1.0, 1.5), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    corners = grid.corners_lps_mm()
    assert corners.min(axis=0).tolist() == [0.0, 0.0, 0.0]
    assert corners.max(axis=0).tolist() == [2.0, 6.0, 12.0]


def test_a_voxel_has_the_volume_of_its_edges(oblique):
    assert oblique.voxel_ml == pytest.approx(0.7 * 1.3 * 2.1 / 1000)


def test_grids_are_the_same_within_a_tolerance(oblique):
    moved = Grid(oblique.size_ijk, oblique.spacing_mm, (-30.005, 12.5, 400.0), oblique.direction)
    assert oblique.is_same_as(moved)
    assert not oblique.is_same_as(moved, tolerance_mm=1e-3)


@pytest.mark.parametrize(
    "other",
    [
        grid_of((44, 52, 39)),
        grid_of(spacing_mm=(4.0, 4.0, 5.01)),
        grid_of(centre_lps_mm=(0.0, 0.1, 0.0)),
        grid_of(direction=(-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)),
    ],
)
def test_another_grid_is_refused_and_both_are_named(other):
    with pytest.raises(GeometryError, match=r"Image: 44 x 52 x 40.*reader's map: ") as refusal:
        grid_of().require_same(other, what="reader's map")
    assert other.describe() in str(refusal.value)


def test_an_array_must_fit_its_grid():
    with pytest.raises(GeometryError, match="head"):
        Volume(grid_of(), np.zeros((44, 52, 40), dtype=np.int16), "head")


def test_the_head_of_the_tests_lies_where_simpleitk_sees_it():
    volume = head()
    image = to_image(volume.voxels, volume.grid)
    nose = image.TransformPhysicalPointToIndex((0.0, -92.0, -5.0))
    assert sitk.GetArrayFromImage(image)[nose[::-1]] == 30
