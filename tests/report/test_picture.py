import io

import numpy as np
import pytest
from PIL import Image
from tests.imaging.heads import head

from parotid_brachy.lib.anatomy import GLAND, SKIN
from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.report.picture import draw_picture


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def coloured(pixels: np.ndarray, structure) -> np.ndarray:
    return np.abs(pixels - np.asarray(structure.colour)).max(axis=-1) < 12


@pytest.fixture
def labels():
    labels = np.zeros(head().voxels.shape, dtype=np.uint8)
    labels[15:25, 20:32, 30:37] = GLAND.value
    return labels


def test_a_labelled_structure_is_outlined_in_its_colour(labels):
    with_gland = coloured(pixels_of(draw_picture(head(), labels, title="head")), GLAND)
    without = coloured(pixels_of(draw_picture(head(), labels * 0, title="head")), GLAND)
    assert with_gland.sum() > 10 * max(without.sum(), 20)
    thirds = np.array_split(with_gland[60:480], 3, axis=1)
    assert all(part.sum() > 100 for part in thirds)


def test_structures_that_are_not_there_are_not_outlined(labels):
    skin = coloured(pixels_of(draw_picture(head(), labels, title="head")), SKIN)
    assert skin.sum() < 20


def test_outlines_are_hollow(labels):
    pixels = coloured(pixels_of(draw_picture(head(), labels, title="head")), GLAND)[60:480]
    rows, columns = np.nonzero(pixels[:, :450])
    box = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert box.mean() < 0.2


def test_warnings_make_room_for_themselves(labels):
    plain = pixels_of(draw_picture(head(), labels, title="head"))
    warned = pixels_of(draw_picture(head(), labels, title="head", warnings=["a", "b " * 200]))
    assert warned.shape[0] > plain.shape[0]
    assert warned.shape[1] == plain.shape[1]


def test_titles_are_no_formulas(labels):
    draw_picture(head(), labels, title="case $\\frac{1$ ^_{", warnings=["$\\bad$"])


def test_an_empty_map_is_drawn_all_the_same():
    volume = head()
    empty = np.zeros(volume.voxels.shape, dtype=np.uint8)
    assert pixels_of(draw_picture(volume, empty, title="")).std() > 10


def test_labels_of_another_shape_are_refused(labels):
    with pytest.raises(GeometryError, match="head: labels of shape"):
        draw_picture(head(), labels[1:], title="head")
