import numpy as np
import pytest
from tests.imaging.heads import grid_of, positions_of

from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.imaging.files import write_label_map
from parotid_brachy.lib.imaging.roi import Box
from parotid_brachy.lib.segmentation.training_regions import (
    found_gland,
    jittered,
    regions_of_interest,
)

GRID = grid_of((60, 60, 60), (3.0, 3.0, 3.0))


def ball(x, y, z, radius=12.0):
    return ((positions_of(GRID) - (x, y, z)) ** 2).sum(axis=-1) < radius**2


READERS = ball(20, 0, 0)
FOUND = ball(26, 0, 0, radius=9.0)


def faces(box):
    return np.array([box.low_lps_mm, box.high_lps_mm])


def test_without_a_found_gland_one_wide_region_is_laid_round_the_readers():
    (region,) = regions_of_interest(READERS, None, GRID, seed_text="a")
    assert (region.suffix, region.origin) == ("", "contoured")
    assert region.box == Box.of_mask(READERS, GRID).grown(35.0).clipped(Box.of_grid(GRID))


def test_regions_are_laid_round_the_found_gland_as_an_inference_does_it():
    wide, exact = regions_of_interest(READERS, FOUND, GRID, seed_text="a")
    assert (wide.origin, exact.origin) == ("found", "found")
    assert wide.suffix != exact.suffix
    roi = Box.of_mask(FOUND, GRID).grown(17.0)
    off = np.abs(faces(exact.box) - faces(roi))
    assert off.max() <= 8.0
    assert off.mean() > 0.3, "faces are moved"
    assert wide.box == Box.of_mask(FOUND, GRID).grown(35.0).clipped(Box.of_grid(GRID))


def test_faces_move_by_a_few_millimetres_and_always_by_the_same():
    box = Box((0.0, 0.0, 0.0), (60.0, 60.0, 60.0))
    assert jittered(box, "case0__left") == jittered(box, "case0__left")
    moves = np.concatenate([faces(jittered(box, str(n))) - faces(box) for n in range(300)])
    assert np.abs(moves).max() <= 8.0
    assert moves.std() == pytest.approx(3.0, abs=0.25)
    assert abs(moves.mean()) < 0.3


def test_a_found_gland_is_read_from_its_file(tmp_path):
    write_label_map(tmp_path / "case0.nrrd", FOUND.astype(np.uint8) * np.uint8(7), GRID)
    assert (found_gland(tmp_path, "case0", READERS, GRID) == FOUND).all()


def test_where_step_1_finds_nothing_or_something_else_there_is_no_found_gland(tmp_path):
    for case, mask in (("empty", FOUND & False), ("elsewhere", ball(-60, 0, 0))):
        write_label_map(tmp_path / f"{case}.nrrd", mask.astype(np.uint8) * np.uint8(7), GRID)
        assert found_gland(tmp_path, case, READERS, GRID) is None
    assert found_gland(tmp_path, "missing", READERS, GRID) is None
    assert found_gland(None, "case0", READERS, GRID) is None


def test_a_found_gland_of_another_image_is_refused(tmp_path):
    other = grid_of((10, 10, 10), (3.0, 3.0, 3.0))
    write_label_map(tmp_path / "case0.nrrd", np.zeros((10, 10, 10), np.uint8), other)
    with pytest.raises(GeometryError):
        found_gland(tmp_path, "case0", READERS, GRID)
