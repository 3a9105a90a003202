import numpy as np
import pytest
from tests.imaging.heads import grid_of, head
from tests.imaging.test_sampling import rotation

from parotid_brachy.lib.anatomy import GLAND, SKIN
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.report.planes import Plane, centre_lps_mm, cut_plane

MARKS_LPS_MM = {"L": (30, 0, 0), "R": (-30, 0, 0), "P": (0, 30, 0), "A": (0, -30, 0)}
MARKS_LPS_MM |= {"S": (0, 0, 30), "I": (0, 0, -30)}


def marked(direction, spacing_mm=(3.0, 2.0, 4.0)) -> tuple[Volume, np.ndarray]:
    """Air with one bright, labelled ball in each of the six directions."""
    grid = grid_of((60, 70, 50), spacing_mm, direction)
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape_kji), indexing="ij")
    positions = grid.to_lps_mm(np.stack([i, j, k], axis=-1))
    labels = np.zeros(grid.shape_kji, dtype=np.uint8)
    for value, mark in enumerate(MARKS_LPS_MM.values(), start=1):
        labels[((positions - np.asarray(mark)) ** 2).sum(axis=-1) < 8**2] = value
    hu = np.where(labels > 0, 1000, -1000).astype(np.int16)
    return Volume(grid, hu, "marks"), labels


@pytest.mark.parametrize(
    "direction",
    [
        rotation(0, 0, 0),
        rotation(180, 0, 0),
        rotation(90, 0, 90),
        (-1, 0, 0, 0, 1, 0, 0, 0, 1),
        rotation(20, -15, 35),
    ],
)
@pytest.mark.parametrize("plane", list(Plane))
def test_letters_stand_where_the_anatomy_is(direction, plane):
    volume, labels = marked(direction)
    image = cut_plane(volume, labels, plane, (0.0, 0.0, 0.0), field_mm=100.0)
    rows, columns = image.labels.shape
    seen = {}
    for value, letter in enumerate(MARKS_LPS_MM, start=1):
        pixels = np.argwhere(image.labels == value)
        if len(pixels):
            row, column = pixels.mean(axis=0) / (rows, columns) - 0.5
            seen[letter] = (column, row)
            assert np.hypot(column, row) * 100 == pytest.approx(30, abs=2.5)
            assert image.hu[tuple(pixels.mean(axis=0).astype(int))] > 500
    left, right, top, bottom = plane.letters
    assert set(seen) == {left, right, top, bottom}
    assert seen[left][0] < -0.25
    assert seen[right][0] > 0.25
    assert seen[top][1] < -0.25
    assert seen[bottom][1] > 0.25


def test_readers_see_the_patients_right_on_the_left():
    assert Plane.AXIAL.letters == ("R", "L", "A", "P")
    assert Plane.CORONAL.letters == ("R", "L", "S", "I")
    assert Plane.SAGITTAL.letters == ("A", "P", "S", "I")


def test_pixels_are_square_and_as_large_as_said():
    volume, labels = marked(rotation(0, 0, 0), (0.7, 1.4, 5.0))
    image = cut_plane(volume, labels, Plane.CORONAL, (0.0, 0.0, 0.0), field_mm=70.0)
    assert image.hu.shape[0] == image.hu.shape[1]
    assert image.hu.shape[0] * image.pixel_mm == pytest.approx(70.0, abs=1.0)


def test_the_square_stays_within_the_volume_where_it_fits():
    volume = head()
    labels = np.zeros(volume.voxels.shape, dtype=np.uint8)
    image = cut_plane(volume, labels, Plane.AXIAL, (80.0, 0.0, 0.0), field_mm=60.0)
    assert np.all(image.hu > -1023)


def test_the_centre_is_the_glands():
    volume = head()
    labels = np.zeros(volume.voxels.shape, dtype=np.uint8)
    assert centre_lps_mm(volume, labels) == pytest.approx((0, 0, 0))
    labels[30:35, 10, 5] = SKIN.value
    expected = volume.grid.to_lps_mm(np.asarray([5.0, 10.0, 32.0]))
    assert centre_lps_mm(volume, labels) == pytest.approx(tuple(expected))
    labels[3:6, 20:23, 30:33] = GLAND.value
    expected = volume.grid.to_lps_mm(np.asarray([31.0, 21.0, 4.0]))
    assert centre_lps_mm(volume, labels) == pytest.approx(tuple(expected))
