import numpy as np
import pytest
from scripts.measure import dicom_objects
from tests.dicom.contoured_series import GRIDS, content, masks, missing, write_ct

from parotid_brachy.lib.anatomy import STRUCTURES, Side
from parotid_brachy.lib.dicom.exporting import export_case
from parotid_brachy.lib.dicom.source_series import read_source_series

READERS = {
    "ours": dicom_objects.by_our_segmentation_reader,
    "our structure sets": dicom_objects.by_our_structure_set_reader,
    "highdicom": dicom_objects.by_highdicom,
    "dcmqi": dicom_objects.by_dcmqi,
    "plastimatch": dicom_objects.by_plastimatch,
}


@pytest.fixture(scope="module", params=["straight", "oblique", "feet first", "non-square"])
def exported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    ct = write_ct(folder / "ct", GRIDS[request.param], order="shuffled")
    series = read_source_series(ct)
    labels = masks(series.grid.shape_kji)
    return series, labels, export_case(labels, series.grid, ct, folder, content(side=Side.LEFT))


@pytest.mark.parametrize("reader", list(READERS))
def test_independent_readers_find_the_same_voxels(exported, reader):
    if reader == "plastimatch":
        missing("plastimatch", "plastimatch")
    series, labels, done = exported
    found = READERS[reader](done, series, Side.LEFT)
    assert set(found) == set(STRUCTURES)
    differing = {
        one.name: int(np.count_nonzero(mask != (labels == one.value)))
        for one, mask in found.items()
    }
    assert differing == dict.fromkeys(differing, 0)


def test_a_program_that_is_no_structure_set_reader_is_seen(exported, tmp_path):
    series, _, done = exported
    assert dicom_objects.errors_of(done.rtstruct) == []
    assert dicom_objects.named(tmp_path, "{}.nrrd", done, series, Side.LEFT) == {}
