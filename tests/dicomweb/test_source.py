from dataclasses import replace

import pydicom
import pytest
from tests.dicomweb.archives import SMALL
from tests.imaging.heads import head
from tests.orthanc import PASSWORD, USER

from parotid_brachy.lib.dicom.importing.limits import IMPORT_LIMITS
from parotid_brachy.lib.dicomweb.access import ArchiveError, ArchiveUnreachableError
from parotid_brachy.lib.dicomweb.source import DicomwebSource
from parotid_brachy.lib.errors import InputRefusedError, UsageError
from parotid_brachy.lib.phantom.dicom_series import write_series

KNOWN = (USER, PASSWORD)


def uids(paths):
    return sorted(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID for p in paths)


@pytest.fixture
def two_patients(orthanc_server, slices, tmp_path):
    """The archive has two patients; returns the slices of the first."""
    orthanc_server.upload(slices)
    other = head(SMALL, midline_mm=5, case="somebody else")
    orthanc_server.upload(write_series(other, tmp_path / "other", seed=9))
    return slices


def found(address, folder, limits=IMPORT_LIMITS):
    folder.mkdir()
    return list(DicomwebSource(address, limits, credentials=KNOWN).files(folder))


def test_a_search_fetches_what_it_finds_and_nothing_else(orthanc_server, two_patients, tmp_path):
    patient = pydicom.dcmread(two_patients / "0001.dcm").PatientID
    paths = found(f"{orthanc_server.url}?PatientID={patient}", tmp_path / "private")
    assert uids(paths) == uids(two_patients.iterdir())
    assert all(path.is_relative_to(tmp_path / "private") for path in paths)


@pytest.mark.parametrize("with_series", [True, False])
def test_a_study_or_series_is_fetched_by_its_address(
    orthanc_server, two_patients, tmp_path, with_series
):
    one = pydicom.dcmread(two_patients / "0001.dcm")
    address = f"{orthanc_server.url}/studies/{one.StudyInstanceUID}"
    if with_series:
        address += f"/series/{one.SeriesInstanceUID}"
    assert uids(found(address, tmp_path / "private")) == uids(two_patients.iterdir())


def test_a_search_that_finds_nothing_is_told(orthanc_server, two_patients, tmp_path):
    with pytest.raises(InputRefusedError, match="finds no series"):
        found(f"{orthanc_server.url}?PatientID=nobody", tmp_path / "private")


def test_more_than_an_import_takes_is_refused(orthanc_server, two_patients, tmp_path):
    patient = pydicom.dcmread(two_patients / "0001.dcm").PatientID
    few = replace(IMPORT_LIMITS, files=5)
    with pytest.raises((InputRefusedError, ArchiveError), match="5"):
        found(f"{orthanc_server.url}?PatientID={patient}", tmp_path / "private", few)


@pytest.mark.parametrize(
    "query",
    ["", "?", "?PatientID=", "?StudyInstanceUID=../x", "?../x=1", "/studies/..%2f", "?a b=1"],
)
def test_no_search_is_no_search_for_everything(query):
    with pytest.raises(UsageError, match="archive"):
        DicomwebSource(f"http://archive/dicom-web{query}", IMPORT_LIMITS)


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(UsageError, match="MONAI_LABEL_DICOMWEB_PASSWORD") as told:
        DicomwebSource("http://me:a-secret@archive/dicom-web?PatientID=1", IMPORT_LIMITS)
    assert "a-secret" not in str(told.value)


def test_an_archive_that_is_away_is_told(tmp_path):
    with pytest.raises(ArchiveUnreachableError, match="cannot be reached"):
        found("http://127.0.0.1:1/dicom-web?PatientID=1", tmp_path / "private")
