import pytest
from tests.dicom.deidentification.objects import (
    OTHER_KEY,
    case_objects,
    ct,
    deidentifier,
    framed,
    reread,
    written,
)

from parotid_brachy.lib.dicom.deidentification.well_known import is_well_known


def uids_of(dataset, keywords):
    found = []
    for element in dataset.iterall():
        if element.keyword in keywords:
            found += [str(element.value)]
    return found


@pytest.fixture
def case():
    return {name: reread(one) for name, one in case_objects().items()}


@pytest.fixture
def hidden(case):
    return {name: reread(deidentifier().apply(one).dataset) for name, one in case.items()}


def test_every_reference_between_ct_rt_and_seg_resolves(case, hidden):
    instances = {one.SOPInstanceUID for one in hidden.values()} | {hidden["ct0"].StudyInstanceUID}
    references = [
        uid for one in hidden.values() for uid in uids_of(one, {"ReferencedSOPInstanceUID"})
    ]
    before = [uid for one in case.values() for uid in uids_of(one, {"ReferencedSOPInstanceUID"})]
    assert len(references) == len(before) == 3 + 1 + 1 + 1 + 1 + 3 + 3
    assert set(references) <= instances
    series = {one.SeriesInstanceUID for one in hidden.values()}
    assert set(uids_of(hidden["rtstruct"], {"SeriesInstanceUID"})) <= series
    assert set(uids_of(hidden["seg"], {"SeriesInstanceUID"})) <= series
    frames = {"FrameOfReferenceUID", "ReferencedFrameOfReferenceUID"}
    assert {uid for one in hidden.values() for uid in uids_of(one, frames)} == {
        hidden["ct0"].FrameOfReferenceUID
    }
    assert len({one.StudyInstanceUID for one in hidden.values()}) == 1
    assert len({one.PatientID for one in hidden.values()}) == 1


def test_no_original_uid_is_left_and_the_standards_own_stay(case, hidden):
    for name, one in hidden.items():
        new = [str(e.value) for e in one.iterall() if e.VR == "UI"]
        old = {str(e.value) for e in case[name].iterall() if e.VR == "UI"}
        assert all(is_well_known(uid) or uid.startswith("2.25.") for uid in new)
        assert all(len(uid) <= 64 for uid in new)
        assert {uid for uid in new if uid in old} == {uid for uid in old if is_well_known(uid)}
        assert one.SOPClassUID == case[name].SOPClassUID
        assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID


def test_contours_names_and_codes_come_through(case, hidden):
    assert hidden["rtstruct"].StructureSetROISequence[0].ROIName == "Parotid_R"
    contour = hidden["rtstruct"].ROIContourSequence[0].ContourSequence[0]
    assert list(contour.ContourData) == [0, 0, 2, 1.25, 0, 2, 1, 1.5, 2]
    assert hidden["rtstruct"].StructureSetLabel == "REMOVED"
    code = hidden["seg"].SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0]
    assert (code.CodeValue, code.CodeMeaning) == ("45289007", "Parotid gland")
    assert hidden["ct1"].PixelData == case["ct1"].PixelData
    assert hidden["rtplan"].RTPlanLabel == "implant"


def test_dates_of_all_objects_move_by_the_same_days(hidden):
    import datetime as dt

    def day(text):
        return dt.datetime.strptime(text, "%Y%m%d").replace(tzinfo=dt.timezone.utc)

    study = day(hidden["ct0"].StudyDate)
    assert 31 <= (day("20240311") - study).days <= 3650
    assert (day(hidden["rtstruct"].StructureSetDate) - study).days == 1
    assert (day(hidden["rtplan"].RTPlanDate) - study).days == 2
    assert hidden["ct0"].StudyTime == "081501"


def test_the_same_patient_gets_the_same_pseudonym_and_another_key_another():
    first, second = ct(0), framed("1.2.840.10008.5.1.4.1.1.2", "99", "CT")
    second.StudyInstanceUID = "1.2.3.4.5"
    second.PatientID = " HOSP-4711-99 "
    second.PatientName = "Weissenborn^A"
    one, two = (deidentifier().apply(reread(x)).dataset for x in (first, second))
    assert one.PatientID == two.PatientID == one.PatientName
    other = deidentifier(OTHER_KEY).apply(reread(first)).dataset
    assert other.PatientID != one.PatientID
    assert other.SOPInstanceUID != one.SOPInstanceUID
    third = ct(0)
    third.PatientID = "HOSP-4711-98"
    assert deidentifier().apply(third).dataset.PatientID != one.PatientID
    fourth = ct(0)
    fourth.IssuerOfPatientID = "North"
    assert deidentifier().apply(fourth).dataset.PatientID != one.PatientID


def test_the_result_is_the_same_byte_by_byte_and_the_input_is_left_alone(case):
    for one in case.values():
        before = written(one)
        first, second = (deidentifier().apply(one) for _ in range(2))
        assert written(first.dataset) == written(second.dataset)
        assert first.findings == second.findings
        assert written(one) == before


def test_what_is_deidentified_twice_refers_as_before(case):
    once = {n: deidentifier().apply(one).dataset for n, one in case.items()}
    twice = {n: reread(deidentifier().apply(one).dataset) for n, one in once.items()}
    references = set(uids_of(twice["rtstruct"], {"ReferencedSOPInstanceUID"}))
    known = {one.SOPInstanceUID for one in twice.values()} | {twice["ct0"].StudyInstanceUID}
    assert references <= known
