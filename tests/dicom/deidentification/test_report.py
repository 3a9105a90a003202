import json

from tests.dicom.deidentification.objects import case_objects, ct, deidentifier, reread

from parotid_brachy.lib.dicom.deidentification.policy import DeidentificationPolicy
from parotid_brachy.lib.dicom.deidentification.report import CaseReport


def test_it_says_what_was_removed_replaced_kept_and_flagged():
    objects = [reread(one) for one in case_objects().values()]
    objects[0].StationName = "scanner 3"
    objects[0].PatientAddress = "somewhere"
    objects[0].PatientID = ""
    done = [deidentifier().apply(one) for one in objects]
    report = CaseReport.of(done, DeidentificationPolicy())
    content = json.loads(report.to_json())
    assert content["objects"] == len(objects)
    assert content["options"] == [
        "retain_device_identity",
        "retain_modified_dates",
        "clean_descriptors",
    ]
    assert len(content["pseudonyms"]) == 2
    named = {key: {x["attribute"] for x in content[key]} for key in ("removed", "kept", "flagged")}
    assert "PatientAddress" in named["removed"]
    assert "StationName" in named["kept"]
    assert named["flagged"] == {"PatientID"}
    uids = {one["attribute"]: one["count"] for one in content["new_uid"]}
    assert uids["SOPInstanceUID"] == len(objects)
    assert uids["ROIContourSequence/ContourSequence/ContourImageSequence/ReferencedSOPInstanceUID"]
    text = report.to_text()
    assert "Flagged:\n  PatientID" in text
    assert "PatientAddress (basic profile), 1 x" in text


def test_it_holds_no_value():
    done = deidentifier().apply(reread(ct()))
    report = CaseReport.of([done], DeidentificationPolicy())
    for word in ("Weissenborn", "4711", "19610203", "20240311", "1125.77"):
        assert word not in report.to_json()
        assert word not in report.to_text()
