import numpy as np
import pytest
from tests.imaging.heads import head, positions_of

from parotid_brachy.lib.anatomy import GLAND, SKIN, Side
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.gland_side import side_of_gland
from parotid_brachy.lib.imaging.volume import Volume


def ball(volume, x_mm):
    where = positions_of(volume.grid) - [x_mm, 10.0, -20.0]
    return np.where((where**2).sum(axis=-1) < 15**2, GLAND.value, 0).astype(np.uint8)


@pytest.mark.parametrize("midline_mm", [0.0, 20.0])
@pytest.mark.parametrize(("offset_mm", "side"), [(50.0, Side.LEFT), (-50.0, Side.RIGHT)])
def test_the_side_is_counted_from_the_midplane_not_from_the_image(midline_mm, offset_mm, side):
    volume = head(midline_mm=midline_mm)
    assert side_of_gland(ball(volume, midline_mm + offset_mm), volume) is side


def test_what_does_not_tell_a_side_is_refused():
    volume = head()
    nothing = np.full(volume.grid.shape_kji, SKIN.value, np.uint8)
    with pytest.raises(InputRefusedError, match="no gland"):
        side_of_gland(nothing, volume)
    with pytest.raises(InputRefusedError, match="left of the midplane"):
        side_of_gland(np.maximum(ball(volume, 50.0), ball(volume, -50.0)), volume)


def test_without_a_midplane_nobody_guesses():
    volume = head()
    one_side = np.where(positions_of(volume.grid)[..., 0] < 5.0, -1000, volume.voxels)
    half = Volume(volume.grid, one_side.astype(np.int16), "half")
    with pytest.raises(InputRefusedError, match="no sagittal midplane"):
        side_of_gland(ball(half, 50.0), half)
