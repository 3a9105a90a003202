"""An Orthanc for the tests of a module, our client of it, and a small CT series."""

import pydicom
import pytest
from tests.imaging.heads import grid_of, head
from tests.orthanc import PASSWORD, USER, orthanc

from parotid_brachy.lib.dicomweb.access import ArchiveAccess
from parotid_brachy.lib.dicomweb.orthanc import RemovingArchive
from parotid_brachy.lib.phantom.dicom_series import write_series

SMALL = grid_of((24, 28, 20), (8.0, 8.0, 8.0))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """An Orthanc of one test module."""
    with orthanc(tmp_path_factory.mktemp("orthanc")) as archive:
        yield archive


@pytest.fixture
def orthanc_server(running):
    """It runs, and has nothing at first."""
    if running.process is None:
        running.start()
    for study in running.rest("studies"):
        running.rest(f"studies/{study}", "DELETE")
    return running


@pytest.fixture
def archive(orthanc_server):
    """Our client of it."""
    return RemovingArchive(ArchiveAccess(orthanc_server.url, (USER, PASSWORD)))


@pytest.fixture(scope="session")
def slices(tmp_path_factory):
    """A small CT series."""
    return write_series(head(SMALL), tmp_path_factory.mktemp("dicom") / "ct", seed=1)


@pytest.fixture
def series_uid(slices):
    """Of the series."""
    return pydicom.dcmread(slices / "0001.dcm", stop_before_pixels=True).SeriesInstanceUID
