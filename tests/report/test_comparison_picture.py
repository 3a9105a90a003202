import io

import numpy as np
import pytest
from matplotlib.image import imread
from tests.imaging.heads import head

from parotid_brachy.lib.anatomy import GLAND
from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.report.picture import draw_comparison


def test_every_map_gets_a_column_and_its_own_outlines():
    volume = head()
    gland = np.zeros(volume.voxels.shape, np.uint8)
    gland[10:20, 20:30, 20:30] = GLAND.value
    nothing = np.zeros_like(gland)
    one = imread(io.BytesIO(draw_comparison(volume, {"reference": gland}, title="a $ b")))
    assert one.shape[1] == 1100
    four = dict.fromkeys(("reference", "b", "c"), gland)
    same = imread(io.BytesIO(draw_comparison(volume, {**four, "d": gland}, title="a")))
    less = imread(io.BytesIO(draw_comparison(volume, {**four, "d": nothing}, title="a")))
    assert same.shape[1] == 1600
    differs = np.flatnonzero((same != less).any(axis=(0, 2)))
    assert differs.min() > 1150


def test_a_map_of_another_shape_is_refused():
    with pytest.raises(GeometryError, match="model of shape"):
        draw_comparison(head(), {"model": np.zeros((2, 2, 2), np.uint8)}, title="")
