import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, SecondaryCaptureImageStorage
from tests.dicom.importing.series import UID, another_series, localizer, related, write
from tests.imaging.damage_dicom import encoded, series_head, slice_dataset, whole_series

from parotid_brachy.lib.dicom.importing.limits import ImportLimits
from parotid_brachy.lib.dicom.importing.records import survey_of
from parotid_brachy.lib.dicom.importing.survey import survey
from parotid_brachy.lib.errors import InputRefusedError


def look(folder, **limits):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    told = []
    answer = survey(paths, ImportLimits(**limits), lambda *done: told.append(done))
    assert told == [(n + 1, len(paths)) for n in range(len(paths))]
    return survey_of(_as_from_json(answer), paths)


def _as_from_json(answer):
    import json

    return json.loads(json.dumps(answer))


def test_series_are_told_apart_wherever_their_files_lie(tmp_path):
    files = {**whole_series(), **another_series()}
    for n, (name, content) in enumerate(files.items()):
        write(tmp_path / f"disc{n % 3}", {name: content})
    found = look(tmp_path)
    assert {one.uid: len(one.slices) for one in found.series} == {f"{UID}.2": 14, f"{UID}.5": 14}
    assert {one.patient_id for one in found.series} == {"phantom"}
    assert not any(one.fault for one in found.series)
    assert found.left_out == ()


def test_localizers_and_other_objects_are_left_out_with_a_reason(tmp_path):
    capture = slice_dataset(series_head(), 0)
    capture.SOPClassUID = capture.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    capture.SeriesInstanceUID = f"{UID}.78"
    write(
        tmp_path,
        {
            **whole_series(),
            "scout.dcm": localizer(),
            "capture.dcm": encoded(capture),
            "LICENSE.txt": b"notes",
        },
    )
    found = look(tmp_path)
    assert [one.fault for one in found.series] == [""]
    reasons = {one.path.name: one.reason for one in found.left_out}
    assert reasons == {
        "scout.dcm": "a localizer",
        "capture.dcm": "no CT image but 'Secondary Capture Image Storage'",
        "LICENSE.txt": "no DICOM file",
    }
    assert not any(one.is_fault for one in found.left_out)


def test_structure_set_plan_and_dose_go_with_their_ct(tmp_path):
    objects = {f"{kind}.dcm": related(kind) for kind in ("RTSTRUCT", "RTPLAN", "RTDOSE")}
    write(tmp_path, {**whole_series(), **another_series(), **objects})
    by_uid = {one.uid: {path.name for path in one.related} for one in look(tmp_path).series}
    assert by_uid[f"{UID}.2"] == set(objects)
    # The structure set names its series; plan and dose are of the same space and study.
    assert by_uid[f"{UID}.5"] == {"RTPLAN.dcm", "RTDOSE.dcm"}


@pytest.mark.parametrize(
    ("keyword", "value"), [("StudyInstanceUID", "1.2.3"), ("FrameOfReferenceUID", "1.2.3")]
)
def test_an_object_of_another_study_or_space_is_left_out(tmp_path, keyword, value):
    plan = related("RTPLAN", lambda one: setattr(one, keyword, value))
    write(tmp_path, {**whole_series(), "plan.dcm": plan})
    found = look(tmp_path)
    assert found.series[0].related == ()
    assert [(one.path.name, one.is_fault) for one in found.left_out] == [("plan.dcm", False)]


@pytest.mark.parametrize("content", [b"", bytes(5000), b"\0" * 128 + b"DICM" + b"\xff" * 400])
def test_a_damaged_file_among_the_slices_makes_the_series_one_that_is_refused(tmp_path, content):
    write(tmp_path, {**whole_series(), "slice013.dcm": content})
    (series,) = look(tmp_path).series
    assert "slice013.dcm is " in series.fault
    assert "lies among the slices" in series.fault


def test_a_damaged_file_elsewhere_hurts_no_series(tmp_path):
    write(tmp_path / "ct", whole_series())
    write(tmp_path / "other", {"a.dcm": b"\0" * 128 + b"DICM" + b"\xff" * 400})
    found = look(tmp_path)
    assert found.series[0].fault == ""
    assert [one.is_fault for one in found.left_out] == [True]


def test_slices_of_two_patients_under_one_series_uid_are_a_fault(tmp_path):
    def change(one, k):
        one.PatientID = "other" if k == 9 else "phantom"

    (series,) = look(write(tmp_path, whole_series(change))).series
    assert "slice000.dcm and slice009.dcm differ in PatientID" in series.fault


def test_deflated_and_multi_frame_and_nameless_files_are_faults(tmp_path):
    deflated = slice_dataset(series_head(), 0)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    frames = slice_dataset(series_head(), 0)
    frames.NumberOfFrames = 20
    nameless = slice_dataset(series_head(), 0)
    del nameless.SeriesInstanceUID
    write(
        tmp_path,
        {"a.dcm": encoded(deflated), "b.dcm": encoded(frames), "c.dcm": encoded(nameless)},
    )
    found = look(tmp_path)
    assert found.series == ()
    reasons = [one.reason for one in found.left_out]
    assert [one.is_fault for one in found.left_out] == [True] * 3
    assert "deflated" in reasons[0]
    assert "multi-frame" in reasons[1]
    assert "SeriesInstanceUID" in reasons[2]


def test_short_series_beside_another_are_its_strays(tmp_path):
    def change(one, k):
        one.SeriesInstanceUID = f"{UID}.{2 if k < 13 else 9}"

    found = {one.uid: one for one in look(write(tmp_path, whole_series(change))).series}
    assert [path.name for path in found[f"{UID}.2"].strays] == ["slice013.dcm"]
    assert found[f"{UID}.9"].strays == ()


@pytest.mark.parametrize("uid", ["7", "1.2.x", "1.2." + "3" * 70])
def test_a_series_uid_that_is_none_is_a_fault_of_the_series_beside_it(tmp_path, uid):
    def change(one, k):
        one.SeriesInstanceUID = f"{UID}.2" if k < 13 else uid

    (series,) = look(write(tmp_path, whole_series(change))).series
    assert "slice013.dcm is without a SeriesInstanceUID that is one" in series.fault


def test_files_larger_than_any_object_are_not_read(tmp_path):
    found = look(write(tmp_path, whole_series()), file_bytes=1000)
    assert found.series == ()
    assert len(found.left_out) == 14
    assert all(one.is_fault and "more than" in one.reason for one in found.left_out)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"series": 3, "left_out": []},
        {"series": [], "left_out": [[7, "a", True]]},
        {"series": [], "left_out": [[-1, "a", True]]},
        {"series": [], "left_out": [[0, "a" * 5000, True]]},
        {"series": [{"uid": 3}], "left_out": []},
    ],
)
def test_an_answer_that_is_none_is_refused(answer, tmp_path):
    with pytest.raises(InputRefusedError, match="nonsense"):
        survey_of(answer, [tmp_path / "a"])
