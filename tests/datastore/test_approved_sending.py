import signal
import threading

import numpy as np
import pydicom
import pytest
import requests
from scripts.measure.crash_disk import small_disk
from tests.review.studies import ANNA, SENIOR

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.datastore import approved_sending
from parotid_brachy.lib.datastore.approved_sending import (
    OUTBOX,
    SEND_OUT,
    SUPERSEDE,
    ApprovedSending,
    SendingState,
)
from parotid_brachy.lib.datastore.archive_studies import ArchiveStudies
from parotid_brachy.lib.dicom.case_series import CaseSeries
from parotid_brachy.lib.dicom.segmentation import dcmqi
from parotid_brachy.lib.dicom.segmentation.reading import read_segmentation
from parotid_brachy.lib.dicom.source_series import read_source_series
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes
from parotid_brachy.lib.review.records import Level, ReviewStatus
from parotid_brachy.lib.review.reviewing import Review
from parotid_brachy.lib.review.verification import verify
from parotid_brachy.lib.review.workflow import Received

APPROVED = Review(ReviewStatus.APPROVED, Level.EASY, "good")


@pytest.fixture
def studies(archive, orthanc_server, slices, tmp_path, series_uid):
    orthanc_server.upload(slices)
    studies = ArchiveStudies(archive, tmp_path / "kept")
    studies.images.path_of(str(series_uid))
    yield studies
    studies.store.close()


@pytest.fixture
def case(series_uid):
    return str(series_uid)


@pytest.fixture
def sending(studies, archive):
    return ApprovedSending(studies, archive)


def contours(studies, case, *values, at=4):
    """A map with a box for each value, on the patient's left."""
    grid = studies.images.grid_of(case)
    labels = np.zeros(grid.shape_kji, np.uint8)
    for n, value in enumerate(values or [s.value for s in STRUCTURES]):
        labels[at : at + 4, 2 + 3 * n : 4 + 3 * n, 15:19] = value
    return labels


def approve(studies, case, labels, reader=ANNA):
    grid = studies.images.grid_of(case)
    names = [{"name": s.name, "idx": s.value} for s in STRUCTURES]
    received = Received(nifti_bytes(labels, grid), "map.nii.gz", names)
    version = studies.workflow.save(case, received, reader)
    studies.workflow.review(case, version.tag, APPROVED, SENIOR)


def reopen(studies, case):
    studies.workflow.reopen(case, "a better look", SENIOR)


def segments(orthanc_server):
    """The names of the segments of the one SEG that the archive has."""
    (series,) = orthanc_server.series("SEG")
    (instance,) = series["Instances"]
    tags = orthanc_server.rest(f"instances/{instance}/simplified-tags")
    return [one["SegmentLabel"] for one in tags["SegmentSequence"]]


def test_what_is_approved_arrives_once_with_the_right_names(studies, sending, orthanc_server, case):
    sending.look()
    assert orthanc_server.series("SEG") == []
    approve(studies, case, contours(studies, case, 2, 5, 7))
    assert [one.state for one in sending.sendings()] == [SendingState.WAITING]
    for _ in range(3):
        sending.look()
    assert segments(orthanc_server) == [
        "condyle_process", "external_auditory_canal", "parotid_gland",
    ]  # fmt: skip
    assert len(orthanc_server.series("RTSTRUCT")) == 1
    (one,) = sending.sendings()
    assert (one.state, one.message) == (SendingState.SENT, "")
    entries = [e for e in studies.store.journal(case=case) if e.action == SEND_OUT]
    assert len(entries) == 1
    # They are the archive's own study's.
    (ct,) = orthanc_server.series("CT")
    assert {s["ParentStudy"] for s in orthanc_server.series("SEG")} == {ct["ParentStudy"]}


def test_another_start_sends_nothing_again(studies, sending, archive, orthanc_server, case):
    approve(studies, case, contours(studies, case))
    sending.look()
    before = set(orthanc_server.rest("instances"))
    ApprovedSending(studies, archive).look()
    assert set(orthanc_server.rest("instances")) == before


def test_contours_that_are_not_approved_stay_here(studies, sending, orthanc_server, case):
    grid = studies.images.grid_of(case)
    names = [{"name": s.name, "idx": s.value} for s in STRUCTURES]
    content = nifti_bytes(contours(studies, case), grid)
    studies.workflow.save(case, Received(content, "map.nii.gz", names), ANNA)
    sending.look()
    assert orthanc_server.series("SEG") == []
    assert sending.sendings() == []


def test_a_later_approval_takes_the_place_of_the_one_before(studies, sending, orthanc_server, case):
    approve(studies, case, contours(studies, case, 1, 7))
    sending.look()
    (first,) = orthanc_server.series("SEG")
    reopen(studies, case)
    sending.look()
    assert orthanc_server.series("SEG") == [first]
    approve(studies, case, contours(studies, case, 3, 7, at=5), SENIOR)
    sending.look()
    assert segments(orthanc_server) == ["skin", "parotid_gland"]
    assert len(orthanc_server.series("RTSTRUCT")) == 1
    assert len(orthanc_server.series("CT")) == 1
    old, new = sending.sendings()
    assert (old.state, old.item.is_removed) == (SendingState.SUPERSEDED, True)
    assert new.state is SendingState.SENT
    (entry,) = [e for e in studies.store.journal(case=case) if e.action == SUPERSEDE]
    assert entry.details == {"version": old.version, "by": new.version, "is_removed": True}


def test_an_archive_that_is_down_gets_it_later(studies, sending, orthanc_server, case):
    orthanc_server.stop()
    approve(studies, case, contours(studies, case))
    sending.look()
    (one,) = sending.sendings()
    assert one.state is SendingState.WAITING
    assert "cannot be reached" in one.message
    orthanc_server.start()
    sending.look()
    assert len(segments(orthanc_server)) == 7
    assert sending.sendings()[0].state is SendingState.SENT


def test_an_archive_that_dies_in_the_middle_has_one_of_each_in_the_end(
    studies, archive, orthanc_server, case
):
    approve(studies, case, contours(studies, case))

    class Dying:
        """Kills the archive while the second object is on its way."""

        def __init__(self):
            self.sent = 0

        def __getattr__(self, name):
            return getattr(archive, name)

        def send(self, study_uid, objects):
            self.sent += 1
            if self.sent == 2:
                thread = threading.Timer(0.001, orthanc_server.stop, (signal.SIGKILL,))
                thread.start()
                try:
                    archive.send(study_uid, objects)
                finally:
                    thread.join()
            else:
                archive.send(study_uid, objects)

    ApprovedSending(studies, Dying()).look()
    orthanc_server.stop()
    orthanc_server.start()
    ApprovedSending(studies, archive).look()
    assert len(segments(orthanc_server)) == 7
    assert len(orthanc_server.series("RTSTRUCT")) == 1
    for series in orthanc_server.series("SEG") + orthanc_server.series("RTSTRUCT"):
        assert len(series["Instances"]) == 1


def test_a_sender_that_is_killed_at_any_step_sends_one_of_each_in_the_end(
    studies, archive, orthanc_server, case, monkeypatch
):
    """Each step of the first sending is the last one once; the next start goes on."""

    class KilledError(BaseException):
        pass

    def killed(*_arguments, **_more):
        raise KilledError

    approve(studies, case, contours(studies, case))
    outbox = approved_sending.Outbox
    for name in ("prepare", "deliver", "note"):
        with monkeypatch.context() as patch:
            real = getattr(outbox, name)
            before = name == "note"

            def dies(self, *arguments, real=real, before=before):
                if not before:
                    real(self, *arguments)
                raise KilledError

            patch.setattr(outbox, name, dies)
            with pytest.raises(KilledError):
                ApprovedSending(studies, archive).look()
    ApprovedSending(studies, archive).look()
    assert len(segments(orthanc_server)) == 7
    assert len(orthanc_server.series("RTSTRUCT")) == 1
    assert verify(studies.store).faults == ()


def test_a_killed_dcmqi_is_told_and_tried_again(
    studies, sending, orthanc_server, case, monkeypatch, tmp_path
):
    fake = tmp_path / "itkimage2segimage"
    fake.write_text("#!/bin/sh\nkill -9 $$\n")
    fake.chmod(0o755)
    approve(studies, case, contours(studies, case))
    with monkeypatch.context() as patch:
        patch.setattr(dcmqi, "find_tool", lambda tool: fake)
        sending.look()
    (one,) = sending.sendings()
    assert one.state is SendingState.REFUSED
    assert "dcmqi" in one.message or "itkimage2segimage" in one.message
    assert orthanc_server.series("SEG") == []
    monkeypatch.setattr(approved_sending, "_TRIED_AGAIN_AFTER_S", 0.0)
    sending.look()
    assert len(segments(orthanc_server)) == 7


def test_a_full_disk_is_told_and_nothing_half_made_stays(
    studies, sending, orthanc_server, case, monkeypatch
):
    approve(studies, case, contours(studies, case))
    folder = studies.store.folder / OUTBOX
    folder.mkdir()
    with small_disk(folder, 1):
        (folder / "filler").write_bytes(bytes(1020 * 1024))
        sending.look()
        (one,) = sending.sendings()
        assert one.state is SendingState.REFUSED
        assert "full" in one.message or "space" in one.message
        assert not list(folder.glob("*/0*"))
        assert orthanc_server.series("SEG") == []
        (folder / "filler").unlink()
        monkeypatch.setattr(approved_sending, "_TRIED_AGAIN_AFTER_S", 0.0)
        sending.look()
        assert len(segments(orthanc_server)) == 7


def test_two_senders_at_once_send_one_of_each(studies, archive, orthanc_server, case):
    approve(studies, case, contours(studies, case))
    threads = [
        threading.Thread(target=ApprovedSending(studies, archive).look, daemon=True)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(segments(orthanc_server)) == 7
    assert len(orthanc_server.series("RTSTRUCT")) == 1


def test_the_recorded_side_goes_before_where_the_gland_lies(studies, sending, orthanc_server, case):
    studies.store.keep_image_info(case, {"facts": {"side": "right"}})
    approve(studies, case, contours(studies, case))
    sending.look()
    (series,) = orthanc_server.series("RTSTRUCT")
    tags = orthanc_server.rest(f"instances/{series['Instances'][0]}/simplified-tags")
    names = [one["ROIName"] for one in tags["StructureSetROISequence"]]
    assert "Parotid_R" in names


def test_what_is_sent_is_read_as_what_was_approved(
    studies, sending, orthanc_server, case, tmp_path
):
    labels = contours(studies, case, 1, 3, 6, 7)
    approve(studies, case, labels)
    sending.look()
    (series,) = orthanc_server.series("SEG")
    url = f"http://127.0.0.1:{orthanc_server.port}/instances/{series['Instances'][0]}/file"
    answer = requests.get(url, auth=("parotid", "only for tests"), timeout=30)
    (tmp_path / "seg.dcm").write_bytes(answer.content)
    assert pydicom.dcmread(tmp_path / "seg.dcm").Modality == "SEG"
    source = read_source_series(CaseSeries(studies.store.folder).folder_of(case))
    read = read_segmentation(tmp_path / "seg.dcm", source)
    np.testing.assert_array_equal(read.labels, labels)


def test_an_archive_that_cannot_remove_keeps_both_and_it_is_told(
    studies, archive, orthanc_server, case
):
    class Keeping:
        def __getattr__(self, name):
            return getattr(archive, name)

        def remove_series(self, series_uid):
            del series_uid
            return False

    sending = ApprovedSending(studies, Keeping())
    approve(studies, case, contours(studies, case, 1, 7))
    sending.look()
    reopen(studies, case)
    approve(studies, case, contours(studies, case, 3, 7, at=5), SENIOR)
    sending.look()
    assert len(orthanc_server.series("SEG")) == 2
    old, _ = sending.sendings()
    assert (old.state, old.item.is_removed) == (SendingState.SUPERSEDED, False)
