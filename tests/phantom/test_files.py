import json

import numpy as np
import pytest
from tests.phantom.drawn import operated

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.phantom.files import ImageFormat, write_phantom
from parotid_brachy.lib.phantom.truth import Extent


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    phantom = operated(2, Side.LEFT)
    return phantom, folder, write_phantom(phantom, folder, ImageFormat.NIFTI)


def test_the_image_is_read_back_as_it_was_drawn(written):
    phantom, folder, path = written
    assert path == folder / "phantom_0002.nii.gz"
    volume = read_volume(path)
    assert np.array_equal(volume.voxels, phantom.volume.voxels)
    assert volume.grid.is_same_as(phantom.volume.grid, tolerance_mm=1e-3)


def test_the_truth_lies_beside_it_by_side_and_extent(written):
    phantom, folder, _ = written
    for side in Side:
        for extent in Extent:
            path = folder / "labels" / f"{side.value}_{extent.value}" / "phantom_0002.nii.gz"
            labels = read_label_map(path, phantom.volume.grid)
            assert np.array_equal(labels, phantom.truth[side][extent])


def test_the_report_says_what_was_done(written):
    _, folder, _ = written
    report = json.loads((folder / "labels" / "phantom_0002.json").read_text())
    assert report["operated_side"] == "left"
    assert report["sides"]["right"]["residual_fraction"] == 1.0
    removed = report["recipe"]["surgery"]["removed_fraction"]
    assert report["sides"]["left"]["residual_fraction"] == pytest.approx(1 - removed, abs=0.03)


def test_nothing_unfinished_is_left(written):
    _, folder, _ = written
    assert {path.name for path in folder.iterdir()} == {"labels", "phantom_0002.nii.gz"}
