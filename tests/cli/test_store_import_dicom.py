import numpy as np
import pytest
from tests.imaging.heads import grid_of, head, positions_of

from parotid_brachy.lib.anatomy import GLAND, SKIN
from parotid_brachy.lib.cli.main import DONE, REFUSED, WRONG_CALL, main
from parotid_brachy.lib.imaging.dicom_series import read_series_grid
from parotid_brachy.lib.imaging.files import write_label_map
from parotid_brachy.lib.imaging.limits import CT_LIMITS
from parotid_brachy.lib.phantom.dicom_series import write_series
from parotid_brachy.lib.review.intake import labels_of
from parotid_brachy.lib.review.store import VersionStore


@pytest.fixture
def drawn(tmp_path):
    """A series, and contours of its left gland and skin by another program."""
    folder = write_series(head(grid_of((44, 52, 24), (4.0, 4.0, 7.0))), tmp_path / "ct", seed=3)
    grid = read_series_grid(folder, CT_LIMITS)
    x, y, z = np.moveaxis(positions_of(grid), -1, 0)
    labels = np.zeros(grid.shape_kji, np.uint8)
    labels[(x - 50) ** 2 + y**2 + (z + 20) ** 2 < 22**2] = SKIN.value
    labels[(x - 50) ** 2 + y**2 + (z + 20) ** 2 < 15**2] = GLAND.value
    write_label_map(tmp_path / "map.nii.gz", labels, grid)
    words = ["--dicom", str(folder), "--labels", str(tmp_path / "map.nii.gz")]
    assert main(["export", *words, "--output", str(tmp_path / "drawn")]) == 0
    return labels, grid


def imported(tmp_path, *more):
    (tmp_path / "studies").mkdir(exist_ok=True)
    words = ["import", str(tmp_path / "ct"), *more, "--studies", str(tmp_path / "studies")]
    key = () if more else ("--key", str(tmp_path / "k" / "key"))
    assert main([*words, *key]) == 0
    (image,) = (tmp_path / "studies").glob("*.nii.gz")
    return image.name.removesuffix(".nii.gz")


def keep(tmp_path, *words):
    return main(["store", "import", "--studies", str(tmp_path / "studies"), "--dicom", *words])


def kept(tmp_path, case):
    store = VersionStore.open(tmp_path / "studies" / ".parotid")
    try:
        return [(v, labels_of_version(store, v, tmp_path)) for v in store.versions(case)]
    finally:
        store.close()


def labels_of_version(store, version, tmp_path):
    return labels_of(store.path_of(version.file), read_series_grid(tmp_path / "ct", CT_LIMITS))


@pytest.mark.parametrize("name", ["rtstruct.dcm", "seg.dcm"])
def test_contours_of_another_program_are_initial_contours(drawn, tmp_path, name):
    case = imported(tmp_path, "--no-deidentify")
    assert keep(tmp_path, f"{case}={tmp_path / 'drawn' / name}", "--reader", "anna") == DONE
    ((version, labels),) = kept(tmp_path, case)
    np.testing.assert_array_equal(labels, drawn[0])
    assert (version.author, version.tag) == ("anna", "final")
    # Once is enough.
    assert keep(tmp_path, f"{case}={tmp_path / 'drawn' / name}", "--reader", "anna") == DONE
    assert len(kept(tmp_path, case)) == 1


def test_the_structure_set_that_came_with_a_pseudonymous_case(drawn, tmp_path):
    (tmp_path / "drawn" / "rtstruct.dcm").rename(tmp_path / "ct" / "rs.dcm")
    case = imported(tmp_path)
    (tmp_path / "ct" / "rs.dcm").unlink()
    assert keep(tmp_path, case, "--reader", "anna") == DONE
    ((_, labels),) = kept(tmp_path, case)
    np.testing.assert_array_equal(labels, drawn[0])


def test_contours_of_another_patient_are_refused(drawn, tmp_path, capsys):
    case = imported(tmp_path)  # under a pseudonym: no object of outside is of this case
    assert keep(tmp_path, f"{case}={tmp_path / 'drawn' / 'seg.dcm'}", "--reader", "a") == REFUSED
    assert "frame of reference" in capsys.readouterr().err.lower()
    assert kept(tmp_path, case) == []


def test_wrong_calls_are_told(drawn, tmp_path):
    case = imported(tmp_path, "--no-deidentify")
    assert keep(tmp_path, case, "--reader", "anna") == WRONG_CALL  # none came with it
    assert keep(tmp_path, f"{case}=nowhere.dcm", "--reader", "anna") == WRONG_CALL
    assert keep(tmp_path, f"{case}={tmp_path / 'drawn' / 'seg.dcm'}") == WRONG_CALL
    studies = str(tmp_path / "studies")
    assert main(["store", "import", "--studies", studies, "--side", "left"]) == WRONG_CALL
