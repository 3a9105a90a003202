import numpy as np
import pytest
from tests.segmentation.studies import write_case, write_studies

from parotid_brachy.lib.anatomy import GLAND, Side
from parotid_brachy.lib.comparison.references import write_references
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.segmentation.training_cases import find_cases


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    root = tmp_path_factory.mktemp("studies")
    write_studies(root, count=1)
    return root


def silent(done, total):
    del done, total


def test_a_map_of_both_sides_becomes_one_reference_for_each(studies, tmp_path):
    (case,) = find_cases(studies / "images", studies / "labels")
    items = write_references([case], tmp_path / "references", silent)
    assert [(one.name, one.side) for one in items] == [
        ("case0_left", Side.LEFT),
        ("case0_right", Side.RIGHT),
    ]
    volume = read_volume(case.image, case="case0")
    whole = read_label_map(case.labels, volume.grid)
    left, right = (
        read_label_map(tmp_path / "references" / one.file_name, volume.grid) for one in items
    )
    np.testing.assert_array_equal(np.maximum(left, right), whole)
    x = [
        volume.grid.to_lps_mm(np.argwhere(own == GLAND.value)[:, ::-1].astype(float))[:, 0].mean()
        for own in (left, right)
    ]
    assert x[0] > x[1], "the patient's left has the larger LPS x"


def test_without_a_gland_there_is_nothing_to_compare(studies, tmp_path):
    volume = read_volume(studies / "images" / "case0.nii.gz", case="empty")
    case = write_case(tmp_path, volume, np.zeros(volume.grid.shape_kji))
    with pytest.raises(UsageError, match="nothing could be compared"):
        write_references([case], tmp_path / "references", silent)
