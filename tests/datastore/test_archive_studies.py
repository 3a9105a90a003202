import threading

import numpy as np
import pydicom
import pytest
from tests.dicomweb.archives import SMALL
from tests.imaging.heads import head

from parotid_brachy.lib.datastore.archive_studies import ArchiveStudies
from parotid_brachy.lib.dicomweb.access import ArchiveUnreachableError
from parotid_brachy.lib.errors import (
    ConflictError,
    GeometryError,
    NotFoundError,
    ParotidBrachyError,
)
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.phantom.dicom_series import write_series
from parotid_brachy.lib.review.records import STORE_FOLDER


@pytest.fixture
def uid(slices):
    return str(pydicom.dcmread(slices / "0001.dcm", stop_before_pixels=True).SeriesInstanceUID)


@pytest.fixture
def studies(archive, tmp_path):
    studies = ArchiveStudies(archive, tmp_path / "kept")
    yield studies
    studies.store.close()


@pytest.fixture
def with_series(orthanc_server, studies, slices):
    orthanc_server.upload(slices)
    studies.known.look()
    return studies


def test_a_series_is_a_case_before_it_is_fetched(with_series, uid):
    assert with_series.list_images() == [uid]
    info = with_series.get_image_info(uid)
    assert info["SeriesInstanceUID"] == uid
    assert info["StudyInstanceUID"]
    assert info["patient"].startswith("patient-")
    assert not list(with_series.folder.glob("*.nii.gz"))


def test_a_case_is_fetched_when_it_is_needed_and_its_slices_are_kept(
    with_series,
    uid,
    slices,
):
    volume = read_volume(with_series.images.path_of(uid))
    own = read_volume(slices)
    assert volume.grid.size_ijk == own.grid.size_ijk
    for corner in ((0, 0, 0), volume.grid.size_ijk):
        there = volume.grid.to_lps_mm(corner)
        np.testing.assert_allclose(there, own.grid.to_lps_mm(corner), atol=1e-3)
    np.testing.assert_array_equal(volume.voxels, own.voxels)
    kept = with_series.folder / STORE_FOLDER / "dicom" / uid
    theirs = {pydicom.dcmread(p).SOPInstanceUID for p in kept.rglob("*.dcm")}
    assert theirs == {pydicom.dcmread(p).SOPInstanceUID for p in slices.iterdir()}


def test_a_series_that_has_just_come_is_known_when_somebody_asks_for_it(
    orthanc_server,
    studies,
    slices,
    uid,
    monkeypatch,
):
    monkeypatch.setattr(studies.known, "_looked_s", float("-inf"))
    orthanc_server.upload(slices)
    assert studies.has_image(uid)
    assert uid in studies.list_images()


def test_work_goes_on_while_the_archive_is_away(orthanc_server, with_series, uid, tmp_path):
    orthanc_server.upload(write_series(head(SMALL, midline_mm=4), tmp_path / "other", seed=9))
    with_series.known.look()
    (other,) = set(with_series.list_images()) - {uid}
    with_series.images.path_of(uid)
    orthanc_server.stop()
    again = ArchiveStudies(with_series.known.archive, with_series.folder)
    assert set(again.list_images()) == {uid, other}
    assert read_volume(again.images.path_of(uid)).grid.size_ijk == SMALL.size_ijk
    with pytest.raises(ArchiveUnreachableError, match="try again"):
        again.images.path_of(other)
    orthanc_server.start()
    assert again.images.path_of(other).exists()
    again.store.close()


def test_a_case_that_the_archive_has_no_more_keeps_what_was_fetched(
    orthanc_server,
    with_series,
    uid,
):
    with_series.images.path_of(uid)
    for study in orthanc_server.rest("studies"):
        orthanc_server.rest(f"studies/{study}", "DELETE")
    with_series.known.look()
    assert with_series.list_images() == [uid]
    assert with_series.images.path_of(uid).exists()


def test_a_case_is_fetched_once_when_many_want_it_at_once(with_series, uid, monkeypatch):
    fetched = []
    download = with_series.known.archive.download
    monkeypatch.setattr(
        with_series.known.archive, "download", lambda *a: fetched.append(1) or download(*a)
    )
    threads = [
        threading.Thread(target=with_series.images.path_of, args=(uid,), daemon=True)
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert fetched == [1]
    assert with_series.images.path_of(uid).exists()


def test_a_series_with_a_gap_is_refused_and_nothing_of_it_stays(
    orthanc_server,
    studies,
    slices,
    uid,
):
    orthanc_server.upload(slices)
    instances = orthanc_server.rest("instances?expand")
    in_the_middle = next(i for i in instances if i["MainDicomTags"]["InstanceNumber"] == "9")
    orthanc_server.rest(f"instances/{in_the_middle['ID']}", "DELETE")
    studies.known.look()
    with pytest.raises(GeometryError, match="slice"):
        studies.images.path_of(uid)
    assert not list(studies.folder.glob("*.nii.gz"))
    assert not list((studies.folder / STORE_FOLDER).glob("dicom/*"))
    assert not list((studies.folder / STORE_FOLDER / "fetching").glob(".part-*"))


def test_a_case_of_the_archive_cannot_be_taken_out_here(with_series, uid):
    with pytest.raises(ConflictError, match="archive"):
        with_series.remove_image(uid)


def test_what_the_archive_does_not_have_is_no_case(with_series):
    for name in ("1.2.3", "../../etc/passwd", ""):
        assert not with_series.has_image(name)
        with pytest.raises(NotFoundError):
            with_series.images.path_of(name)


def test_a_start_without_the_archive_serves_what_was_known(
    orthanc_server,
    archive,
    tmp_path,
    caplog,
):
    orthanc_server.stop()
    studies = ArchiveStudies(archive, tmp_path / "kept")
    assert studies.list_images() == []
    assert "cannot be reached" in caplog.text
    with pytest.raises(ParotidBrachyError):
        studies.known.look()
    studies.store.close()
