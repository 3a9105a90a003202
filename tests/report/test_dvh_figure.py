import io

import numpy as np
from PIL import Image

from parotid_brachy.lib.anatomy import GLAND, SKIN
from parotid_brachy.lib.dosimetry.dvh import Dvh
from parotid_brachy.lib.report.dvh_figure import draw_dvh


def _dvh(structure, doses):
    values = np.sort(np.asarray(doses, dtype=float))[::-1]
    return Dvh(structure, 0.01 * len(values), 1.0, values, 0.01)


def _pixels(png, colour):
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return np.argwhere(np.abs(image - colour).max(axis=-1) < 12)


def test_each_structure_is_drawn_in_its_colour_for_each_set():
    doses = np.linspace(0.0, 100.0, 500)
    one = draw_dvh({"manual": {SKIN: _dvh(SKIN, doses)}}, title="case $x_1$")
    both = draw_dvh(
        {"manual": {SKIN: _dvh(SKIN, doses)}, "auto": {SKIN: _dvh(SKIN, doses / 2)}},
        title="case $x_1$",
    )
    assert len(_pixels(both, SKIN.colour)) > 1.2 * len(_pixels(one, SKIN.colour)) > 0
    assert not len(_pixels(one, GLAND.colour))


def test_the_curve_falls_with_dose():
    png = draw_dvh({"manual": {SKIN: _dvh(SKIN, np.linspace(0.0, 100.0, 500))}}, title="t")
    drawn = _pixels(png, SKIN.colour)
    left, right = drawn[drawn[:, 1].argsort()][[20, len(drawn) // 2]]
    assert left[0] < right[0]


def test_nothing_to_draw_is_still_a_picture():
    assert draw_dvh({"manual": {}}, title="").startswith(b"\x89PNG")
