import io

import pytest
from matplotlib.image import imread

from parotid_brachy.lib.report.box_plots import draw_box_plots


@pytest.mark.parametrize("values", [[[0.1, 0.5, 0.9], []], [[], []], [[0.5], [0.5]]])
def test_any_number_of_values_can_be_drawn(values):
    png = draw_box_plots({"two $x": values, "one_y$": values}, ["Skin", "Gland"], label="DSC")
    assert imread(io.BytesIO(png)).shape[0] > 300


def test_the_values_are_what_is_drawn():
    first, second = (
        draw_box_plots({"a": [[0.2, 0.4], [low, 0.9]]}, ["x", "y"], label="DSC")
        for low in (0.1, 0.5)
    )
    assert first != second
