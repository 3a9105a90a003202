import numpy as np
import pytest
from tests.imaging.heads import grid_of, head, head_hu, positions_of
from tests.imaging.test_sampling import rotation

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.half_head import (
    LATERAL_EXTENT_MM,
    MEDIAL_MARGIN_MM,
    find_midplane,
    half_head_box,
)
from parotid_brachy.lib.imaging.volume import Volume


@pytest.mark.parametrize("midline_mm", [0.0, 13.0, -21.5])
def test_the_midplane_is_found_by_symmetry_not_by_the_field_of_view(midline_mm):
    volume = head(grid_of((70, 52, 40)), midline_mm=midline_mm)
    plane = find_midplane(volume)
    assert plane.is_believed
    assert plane.x_lps_mm == pytest.approx(midline_mm, abs=2.5)


def test_a_head_cut_off_on_one_side_keeps_its_midplane():
    # The field of view ends 45 mm right of the midline, within the head.
    volume = head(grid_of((32, 52, 40), centre_lps_mm=(17.0, 0.0, 0.0)))
    plane = find_midplane(volume)
    assert plane.is_believed
    assert plane.x_lps_mm == pytest.approx(0.0, abs=4.5)


def test_a_tilted_grid_does_not_move_the_midplane():
    volume = head(grid_of((60, 60, 50), direction=rotation(12.0, 8.0, -10.0)))
    assert find_midplane(volume).x_lps_mm == pytest.approx(0.0, abs=3.0)


def test_in_one_half_head_no_midplane_is_believed():
    volume = head(grid_of((18, 52, 40), centre_lps_mm=(48.0, 0.0, 0.0)))
    plane = find_midplane(volume)
    assert not plane.is_believed
    for side in Side:
        box = half_head_box(volume, side, plane)
        assert box.low_lps_mm[0] <= 14.0
        assert box.high_lps_mm[0] >= 80.0


def test_a_volume_of_air_is_refused():
    grid = grid_of()
    with pytest.raises(InputRefusedError, match="nothing: no tissue"):
        find_midplane(Volume(grid, np.full(grid.shape_kji, -1000, dtype=np.int16), "nothing"))


def test_half_heads_reach_just_over_the_midplane_and_to_their_own_skin():
    volume = head(midline_mm=10.0)
    plane = find_midplane(volume)
    left = half_head_box(volume, Side.LEFT, plane)
    right = half_head_box(volume, Side.RIGHT, plane)
    assert left.low_lps_mm[0] == plane.x_lps_mm - MEDIAL_MARGIN_MM
    assert right.high_lps_mm[0] == plane.x_lps_mm + MEDIAL_MARGIN_MM
    assert left.high_lps_mm[0] >= 10.0 + 78.0
    assert right.low_lps_mm[0] <= 10.0 - 78.0
    assert left.low_lps_mm[1:] == right.low_lps_mm[1:]


def test_a_half_head_leaves_out_what_is_far_from_the_midplane():
    grid = grid_of((100, 52, 40))
    hu = head_hu(positions_of(grid))
    hu[:, 20:30, 95:] = 40  # a shoulder or a cushion at the field's edge
    volume = Volume(grid, hu, "cushion")
    plane = find_midplane(volume)
    box = half_head_box(volume, Side.LEFT, plane)
    assert box.high_lps_mm[0] <= plane.x_lps_mm + LATERAL_EXTENT_MM


def test_the_body_is_boxed_without_a_couch():
    grid = grid_of((60, 80, 40))
    hu = head_hu(positions_of(grid))
    hu[:, 76, 28:30] = 200
    body = find_midplane(Volume(grid, hu, "couch")).body
    assert body.high_lps_mm[1] < 110.0
