import pydicom
import pytest
from tests.dicomweb.archives import archive, orthanc_server, running, slices
from tests.orthanc import PASSWORD, USER

from parotid_brachy.lib.cli.main import DONE, WRONG_CALL, main
from parotid_brachy.lib.imaging.files import read_volume

__all__ = ["archive", "orthanc_server", "running", "slices"]


@pytest.fixture
def parotid_import(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MONAI_LABEL_DICOMWEB_USERNAME", USER)
    monkeypatch.setenv("MONAI_LABEL_DICOMWEB_PASSWORD", PASSWORD)
    return lambda *words: main(["import", *words, "--studies", str(tmp_path / "studies")])


def test_a_patients_series_comes_from_the_archive_without_his_or_her_id(
    parotid_import, orthanc_server, slices, tmp_path
):
    orthanc_server.upload(slices)
    patient = pydicom.dcmread(slices / "0001.dcm").PatientID
    assert parotid_import(f"{orthanc_server.url}?PatientID={patient}") == DONE
    (image,) = (tmp_path / "studies").glob("*.nii.gz")
    assert (read_volume(image).voxels == read_volume(slices).voxels).all()
    assert patient not in image.name


def test_a_whole_archive_is_not_imported(parotid_import, capsys):
    assert parotid_import("http://127.0.0.1:1/dicom-web") == WRONG_CALL
    assert "say which series" in capsys.readouterr().err
