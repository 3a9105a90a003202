import numpy as np
import pydicom
import pytest
from tests.imaging.heads import grid_of, head, positions_of
from tests.review.saves import add, approve

from parotid_brachy.lib.anatomy import GLAND
from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.imaging.files import read_grid, write_label_map
from parotid_brachy.lib.phantom.dicom_series import write_series
from parotid_brachy.lib.review.store import VersionStore

PATIENT = "KIS-4711-0815"


@pytest.fixture
def series(tmp_path):
    """A series of a patient, as it comes from the scanner."""
    folder = write_series(head(grid_of((44, 52, 24), (4.0, 4.0, 7.0))), tmp_path / "ct", seed=3)
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        one.PatientID, one.PatientName = PATIENT, "Mustermann^Erika"
        one.save_as(path, write_like_original=False)
    return folder


@pytest.fixture
def case(series, tmp_path):
    """The series, imported under a pseudonym, with approved contours."""
    studies = tmp_path / "studies"
    studies.mkdir()
    key = ("--key", str(tmp_path / "hospital" / "our.key"))
    assert main(["import", str(series), "--studies", str(studies), *key, "--side", "left"]) == 0
    (image,) = studies.glob("*.nii.gz")
    grid = read_grid(image)
    x, y, z = np.moveaxis(positions_of(grid), -1, 0)
    labels = np.zeros(grid.shape_kji, np.uint8)
    labels[(x - 50) ** 2 + y**2 + (z + 20) ** 2 < 15**2] = GLAND.value
    name = image.name.removesuffix(".nii.gz")
    store = VersionStore.open(studies / ".parotid")
    path = tmp_path / "map.seg.nrrd"
    write_label_map(path, labels, grid)
    approve(store, add(store, name, "final", path.read_bytes()))
    store.close()
    return name


def exported(tmp_path, case, *more):
    words = ["export", "--studies", str(tmp_path / "studies"), case]
    code = main([*words, "--output", str(tmp_path / "out"), *more])
    return code, sorted((tmp_path / "out").glob("*/*.dcm"))


def test_objects_keep_the_pseudonym_unless_it_is_asked_otherwise(case, tmp_path):
    code, files = exported(tmp_path, case)
    assert code == 0
    assert len(files) == 2
    for path in files:
        assert PATIENT.encode() not in path.read_bytes()
        assert b"Mustermann" not in path.read_bytes()


def test_the_hospital_gets_its_patient_back(case, series, tmp_path):
    key = ("--key", str(tmp_path / "hospital" / "our.key"))
    code, files = exported(tmp_path, case, "--reidentify", *key)
    assert code == 0
    slices = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(series.iterdir())]
    for path in files:
        one = pydicom.dcmread(path)
        assert (one.PatientID, str(one.PatientName)) == (PATIENT, "Mustermann^Erika")
        assert one.StudyInstanceUID == slices[0].StudyInstanceUID
        assert one.StudyDate == slices[0].StudyDate
        referenced = {
            element.value
            for element in one.iterall()
            if element.keyword == "ReferencedSOPInstanceUID"
        }
        own = {slice_.SOPInstanceUID for slice_ in slices}
        assert referenced & own
        # A structure set refers to its study in the same words.
        assert referenced <= own | {slices[0].StudyInstanceUID}


def test_another_key_gives_nobody_back_and_leaves_no_object(case, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "elsewhere").mkdir()
    words = ("--key", str(other / "other.key"), "--side", "left")
    ct = str(tmp_path / "ct")
    assert main(["import", ct, "--studies", str(tmp_path / "elsewhere"), *words]) == 0
    code, files = exported(tmp_path, case, "--reidentify", "--key", str(other / "other.key"))
    assert code == 1
    assert files == []
    assert "no patient of this mapping" in capsys.readouterr().err


def test_a_key_without_a_way_back_is_a_wrong_call(case, tmp_path):
    assert exported(tmp_path, case, "--key", str(tmp_path / "hospital" / "our.key"))[0] == 2
