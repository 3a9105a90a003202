import pytest
from tests.dicom.deidentification.objects import KEY, case_objects, ct, deidentifier, items, reread

from parotid_brachy.lib.dicom.deidentification.mapping import PseudonymMapping
from parotid_brachy.lib.dicom.deidentification.reidentification import reidentify
from parotid_brachy.lib.errors import NotFoundError


@pytest.fixture
def mapping(tmp_path):
    return PseudonymMapping(tmp_path / "mapping.db", KEY)


def test_ct_and_rt_objects_get_their_names_uids_and_dates_back(mapping):
    originals = {name: reread(one) for name, one in case_objects().items()}
    hidden = {name: deidentifier().apply(one) for name, one in originals.items()}
    mapping.keep(one.originals for one in hidden.values())
    for name, original in originals.items():
        back = reread(reidentify(reread(hidden[name].dataset), mapping))
        uids = {e.tag: str(e.value) for e in original.iterall() if e.VR == "UI"}
        assert {e.tag: str(e.value) for e in back.iterall() if e.VR == "UI"} == uids
        assert back.file_meta.MediaStorageSOPInstanceUID == original.SOPInstanceUID
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"):
            assert back[keyword].value == original[keyword].value
        assert back.PatientIdentityRemoved == "NO"
        assert "DeidentificationMethod" not in back
        dates = {e.tag: e.value for e in original.iterall() if e.VR in ("DA", "DT")}
        assert {e.tag: e.value for e in back.iterall() if e.VR in ("DA", "DT")} == dates


def test_a_segmentation_made_since_keeps_its_own_uid_and_dates(mapping):
    source = ct()
    source.AccessionNumber, source.StudyID = "A77", "S1"
    source.PatientName = "Müßig^Änne"
    source.SpecificCharacterSet = "ISO_IR 100"
    hidden = deidentifier().apply(reread(source))
    mapping.keep([hidden.originals])
    made = case_objects()["seg"]
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5.6"
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate"):
        setattr(made, keyword, hidden.dataset[keyword].value)
    made.ContentDate = made.SeriesDate = "20261123"
    made.ReferencedSeriesSequence = items(
        {
            "SeriesInstanceUID": hidden.dataset.SeriesInstanceUID,
            "ReferencedInstanceSequence": items(
                {
                    "ReferencedSOPClassUID": source.SOPClassUID,
                    "ReferencedSOPInstanceUID": hidden.dataset.SOPInstanceUID,
                }
            ),
        }
    )
    before = reread(made)
    back = reread(reidentify(made, mapping))
    assert back.SOPInstanceUID == back.file_meta.MediaStorageSOPInstanceUID == "1.2.3.4.5.6"
    assert (back.ContentDate, back.SeriesDate, back.StudyDate) == ("20261123",) * 2 + ("20240311",)
    assert back.PatientName == "Müßig^Änne"
    assert (back.AccessionNumber, back.StudyID) == ("A77", "S1")
    series = back.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    reference = series.ReferencedInstanceSequence[0]
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert reread(made) == before


def test_a_patient_whom_the_mapping_does_not_know_is_named(mapping):
    hidden = deidentifier().apply(ct())
    with pytest.raises(NotFoundError, match=hidden.originals.pseudonym):
        reidentify(hidden.dataset, mapping)
