import json
import signal

import pydicom
import pytest
from tests.dicomweb.archives import SMALL
from tests.dicomweb.web_server import web_server
from tests.imaging.heads import head
from tests.orthanc import USER

from parotid_brachy.lib.dicomweb.access import (
    ArchiveAccess,
    ArchiveError,
    ArchiveUnreachableError,
)
from parotid_brachy.lib.dicomweb.archive import Archive
from parotid_brachy.lib.dicomweb.archive_series import ArchiveSeries
from parotid_brachy.lib.imaging.dicom_series import read_series
from parotid_brachy.lib.imaging.limits import CT_LIMITS, FileLimits
from parotid_brachy.lib.phantom.dicom_series import write_series

SERIES = ArchiveSeries("1.2.3", "1.2")
DICOM_JSON = {"content-type": "application/dicom+json"}
PART = {"content-type": 'multipart/related; type="application/dicom"; boundary=x'}


def listed(*series, modality="CT"):
    """A QIDO-RS answer about series."""
    return json.dumps(
        [
            {
                "0020000D": {"vr": "UI", "Value": [study]},
                "0020000E": {"vr": "UI", "Value": [uid]},
                "00080060": {"vr": "CS", "Value": [modality]},
                "00100020": {"vr": "LO", "Value": [patient]},
            }
            for uid, study, patient in series
        ]
    ).encode()


def instances(*uids):
    return json.dumps([{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids]).encode()


def test_a_series_is_found_and_fetched_as_it_was_sent(orthanc_server, archive, slices, tmp_path):
    assert archive.series() == []
    orthanc_server.upload(slices)
    (series,) = archive.series()
    first = pydicom.dcmread(slices / "0001.dcm")
    assert (series.uid, series.study_uid) == (first.SeriesInstanceUID, first.StudyInstanceUID)
    assert series.study_date == first.StudyDate
    told = []
    archive.download(series, tmp_path / "fetched", lambda done, total: told.append((done, total)))
    count = len(list(slices.iterdir()))
    assert told == [(n + 1, count) for n in range(count)]
    grid, voxels = read_series(tmp_path / "fetched", CT_LIMITS)
    own_grid, own_voxels = read_series(slices, CT_LIMITS)
    assert grid == own_grid
    assert (voxels == own_voxels).all()


def test_only_what_the_search_wants_is_a_case(orthanc_server, archive, slices, tmp_path):
    for path in slices.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.Modality, dataset.SeriesInstanceUID = "MR", "1.2.3.4"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = (
            f"{dataset.SOPInstanceUID[:60]}.1"
        )
        (tmp_path / "mr").mkdir(exist_ok=True)
        dataset.save_as(tmp_path / "mr" / path.name, write_like_original=False)
    orthanc_server.upload(tmp_path / "mr")
    assert archive.series() == []
    orthanc_server.upload(slices)
    assert len(archive.series()) == 1


def test_one_patients_series_have_one_patient_and_never_the_id_itself(
    orthanc_server, archive, slices, tmp_path
):
    orthanc_server.upload(slices)
    one, other = head(SMALL, midline_mm=3), head(SMALL, midline_mm=-3, case="another")
    orthanc_server.upload(write_series(one, tmp_path / "a", seed=7))
    orthanc_server.upload(write_series(other, tmp_path / "b", seed=8))
    patients = [series.patient for series in archive.series()]
    assert len(patients) == 3
    assert len(set(patients)) == 2
    ids = {pydicom.dcmread(f / "0001.dcm").PatientID for f in (slices, tmp_path / "a")}
    assert not any(one in told for one in ids for told in patients)


def test_an_object_is_sent_once_however_often_it_is_sent(orthanc_server, archive, slices):
    objects = [path.read_bytes() for path in sorted(slices.iterdir())]
    first = pydicom.dcmread(slices / "0001.dcm")
    where = (first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID)
    assert not archive.has_instance(*where)
    for _ in range(2):
        archive.send(first.StudyInstanceUID, objects)
    assert archive.has_instance(*where)
    assert len(orthanc_server.rest("instances")) == len(objects)


def test_what_is_no_dicom_is_not_taken(archive):
    with pytest.raises(ArchiveError):
        archive.send("1.2.3", [b"no DICOM at all"])


def test_wrong_credentials_are_told(orthanc_server):
    archive = Archive(ArchiveAccess(orthanc_server.url, (USER, "wrong")))
    with pytest.raises(ArchiveError, match="credentials"):
        archive.series()


def test_an_archive_that_is_down_may_be_asked_again(orthanc_server, archive, slices):
    orthanc_server.upload(slices)
    (series,) = archive.series()
    orthanc_server.stop(signal.SIGKILL)
    for ask in (archive.series, lambda: archive.instances(series)):
        with pytest.raises(ArchiveUnreachableError, match="try again"):
            ask()
    orthanc_server.start()
    assert archive.series() == [series]


def test_a_list_of_several_pages_is_read_whole():
    every = [(f"1.2.{n}", "1.2", "p") for n in range(1, 1201)]

    def page(query):
        start = int(query["offset"][0])
        return 200, DICOM_JSON, listed(*every[start : start + int(query["limit"][0])])

    with web_server({"/series": page}) as (url, asked):
        found = Archive(ArchiveAccess(url)).series()
    assert [one.uid for one in found] == [uid for uid, _, _ in every]
    assert len(asked) == 3


def test_an_archive_that_knows_no_pages_is_not_asked_for_ever():
    content = listed(*[(f"1.2.{n}", "1.2", "p") for n in range(1, 601)])
    with web_server({"/series": lambda _: (200, DICOM_JSON, content)}) as (url, asked):
        assert len(Archive(ArchiveAccess(url)).series()) == 600
    assert len(asked) == 2


@pytest.mark.parametrize(
    "uid", ["../../etc/passwd", "1.2/../3", "", "1." + "2" * 64, "1.2.03", "1.2\n3", "a.b", ".."]
)
def test_a_series_whose_uid_is_none_is_left_out(uid):
    content = listed((uid, "1.2", "p"), ("1.2.3", "1.2", "p"))
    with web_server({"/series": lambda _: (200, DICOM_JSON, content)}) as (url, _):
        assert [one.uid for one in Archive(ArchiveAccess(url)).series()] == ["1.2.3"]


@pytest.mark.parametrize(
    "content",
    [b"<html>", b"{}", b"[" * 100_000, b"\xff\xfe", b"", b'"text"'],
    ids=["page", "object", "nested", "bytes", "nothing", "text"],
)
def test_an_answer_that_is_no_list_is_told(content):
    with (
        web_server({"/series": lambda _: (200, DICOM_JSON, content)}) as (url, _),
        pytest.raises(ArchiveError),
    ):
        Archive(ArchiveAccess(url)).series()


@pytest.mark.parametrize("status", [400, 404, 500, 302])
def test_a_refusal_is_told_with_its_number(status):
    answer = (status, {"location": "http://127.0.0.1:1/"}, b"secret page")
    with (
        web_server({"/series": lambda _: answer}) as (url, _),
        pytest.raises(ArchiveError, match=str(status)) as told,
    ):
        Archive(ArchiveAccess(url)).series()
    assert "secret" not in str(told.value)
    assert not isinstance(told.value, ArchiveUnreachableError)


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_what_passes_may_be_asked_again(status):
    with (
        web_server({"/series": lambda _: (status, {}, b"")}) as (url, _),
        pytest.raises(ArchiveUnreachableError),
    ):
        Archive(ArchiveAccess(url)).series()


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        (PART, b"no parts"),
        (PART, b"--x--"),
        (PART, b"--x\r\nA: b\r\n\r\n1\r\n--x\r\nA: b\r\n\r\n2\r\n--x--"),
        (PART, b"--x\r\nno end of the header--x--"),
        ({"content-type": "multipart/related"}, b"--x--"),
        ({"content-type": "text/html"}, b"<html>"),
        ({}, b""),
    ],
)
def test_an_object_that_is_none_is_told(tmp_path, headers, content):
    root = "/studies/1.2/series/1.2.3/instances"
    answers = {
        root: lambda _: (200, DICOM_JSON, instances("1.2.3.4")),
        f"{root}/1.2.3.4": lambda _: (200, headers, content),
    }
    with web_server(answers) as (url, _), pytest.raises(ArchiveError):
        Archive(ArchiveAccess(url)).download(SERIES, tmp_path / "fetched")
    assert list((tmp_path / "fetched").iterdir()) == []


def test_no_more_is_taken_than_a_slice_may_have(tmp_path):
    limits = FileLimits(slice_file_bytes=1000)
    root = "/studies/1.2/series/1.2.3/instances"
    answers = {
        root: lambda _: (200, DICOM_JSON, instances("1.2.3.4")),
        f"{root}/1.2.3.4": lambda _: (200, PART, b"--x\r\nA: b\r\n\r\n" + bytes(5000) + b"--x--"),
    }
    with web_server(answers) as (url, _), pytest.raises(ArchiveError, match="larger"):
        Archive(ArchiveAccess(url), limits).download(SERIES, tmp_path / "fetched")


def test_no_more_slices_are_fetched_than_a_series_may_have(tmp_path):
    content = instances(*[f"1.2.3.{n}" for n in range(1, 12)])
    answers = {"/studies/1.2/series/1.2.3/instances": lambda _: (200, DICOM_JSON, content)}
    with web_server(answers) as (url, asked), pytest.raises(ArchiveError, match="at most 10"):
        Archive(ArchiveAccess(url), FileLimits(slices=10)).download(SERIES, tmp_path / "fetched")
    assert len(asked) == 1


def test_a_series_that_the_archive_has_no_more_is_told(archive, tmp_path):
    with pytest.raises(ArchiveError, match="no images"):
        archive.download(SERIES, tmp_path / "fetched")


def test_credentials_are_never_shown():
    access = ArchiveAccess("http://archive", ("user", "a password"), lambda: {"A": "a token"})
    assert "a password" not in repr(access)
    assert "token" not in repr(access)
