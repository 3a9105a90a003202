"""Identifiers planted wherever a file has room for them, and searched for in the raw bytes."""

import re

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence
from tests.dicom.deidentification.objects import ct, deidentifier, items, reread, written

from parotid_brachy.lib.dicom.deidentification.file_frame import write_object
from parotid_brachy.lib.dicom.deidentification.report import CaseReport

NUMBER = "83920174"
"""Of the patient's record; copied to numbers too."""
NAMES = {"Qvortrup", "Zoëlina", "Хвостов"}
DATES = ("19610203", "20190817", "20231106", "20231107", "20231108", "20231109")
DEVICE = ("StationName", "DeviceSerialNumber", "Manufacturer", "SoftwareVersions", "DeviceID")

ROOT = {
    "PatientName": "Qvortrup^Zoëlina",
    "OtherPatientNames": "Хвостов^Zqa01",
    "PatientID": NUMBER,
    "IssuerOfPatientID": "Zqa02",
    "PatientBirthDate": DATES[0],
    "PatientBirthTime": "031459.265358",
    "PatientAddress": "Zqa03 street 17",
    "PatientTelephoneNumbers": "Zqa04 555",
    "PatientComments": "Zqa05 is a good man",
    "AccessionNumber": "Zqa06",
    "StudyID": "Zqa07",
    "InstitutionName": "Zqa08 clinic",
    "InstitutionAddress": "Zqa09 road",
    "ReferringPhysicianName": "Zqa10^Dr",
    "OperatorsName": "Zqa11",
    "StationAETitle": "ZQA12",
    "StudyDescription": "CT neck of Zqa13",
    "SeriesDescription": "for Zqa14",
    "ImageComments": "Zqa15",
    "ProtocolName": "Zqa16 neck",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "ZQA17"],
    "BodyPartExamined": "ZQA18",
    "RetrieveURL": "http://zqa19.example.org/?patient=Zqa19",
    "PixelDataProviderURL": "http://zqa20.example.org",
    "LongCodeValue": "Zqa21 unlimited characters",
    "ContentDate": DATES[1],
    "AcquisitionDateTime": f"{DATES[2]}101112.5+0100",
    "SeriesDate": DATES[3],
    "InstanceCreatorUID": "1.2.840.77.10",
    "RequestingService": "Zqa22",
    "NumberOfStudyRelatedInstances": NUMBER,
    "EnergyWindowLowerLimit": NUMBER,
    "LossyImageCompressionMethod": f"ZQA23 {NUMBER}",
    "ExposureTimeInuS": NUMBER,
    "PatientState": "Zqa24",
    "MedicalRecordLocator": "Zqa25",
    "DeidentificationMethod": "by Zqa26 of Zqa26 hospital",
    "LUTExplanation": "Zqa27",
    "PositionReferenceIndicator": "Zqa28",
    "RescaleType": "Zqa29",
    "DerivationDescription": "Zqa30\r\nwrites a line",
    "AcquisitionTime": "Zqa31",
    "PatientAge": "061Y",
}
NESTED = {
    "PersonName": "Zqb01^Nested",
    "TextValue": "Zqb02",
    "ContainerIdentifier": "Zqb03",
    "StudyDate": DATES[4],
    "DateTime": f"{DATES[5]}080000",
    "UID": "1.2.840.77.20",
    "ScheduledStationAETitle": "ZQB04",
    "RequestedProcedureID": "Zqb05",
    "ReasonForVisit": "Zqb06",
    "PatientID": "Zqb07",
    "TrackingID": "Zqb08",
    "FilterMaterial": "ZQB09",
    "ContributionDescription": "Zqb10",
}


def planted_ct():
    dataset = ct()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in ROOT.items():
        setattr(dataset, keyword, value)
    inner = items(dict(NESTED))
    third = items({"ReferencedImageSequence": inner, "CodeMeaning": "Zqb11"})
    code = {"CodeValue": "Zqb12", "CodingSchemeDesignator": "99ZQB13", "CodeMeaning": "Zqb14 name"}
    dataset.SourceImageSequence = items(
        {
            "ReferencedSOPInstanceUID": "1.2.840.77.30",
            "PurposeOfReferenceCodeSequence": items(code),
            "ReferencedSeriesSequence": third,
        }
    )
    dataset.IconImageSequence = items({"BitsAllocated": 8, "PixelData": b"Zqc01 "})
    block = dataset.private_block(0x0013, "Zqc02 maker", create=True)
    block.add_new(0x10, "LO", "Zqc03")
    block.add_new(0x11, "UN", b"Zqc04 ")
    nested = dataset.SourceImageSequence[0].private_block(0x0021, "Zqc05", create=True)
    nested.add_new(0x01, "SQ", items({"PatientName": "Zqc06"}))
    dataset.add(DataElement(0x60003000, "OW", b"Zqc07 "))
    dataset.add(DataElement(0x60000022, "LO", "Zqc08"))
    dataset.add(DataElement(0x50100005, "US", 1))
    dataset.add(DataElement(0x50102600, "SQ", items({"PatientName": "Zqc09"})))
    dataset.add(DataElement(0x00189999, "UN", b"Zqc10 "))
    dataset.add(DataElement(0xFFFCFFFC, "OB", b"Zqc11 "))
    dataset.add(DataElement(0x00282000, "OB", b"Zqc12 ICC "))
    dataset.add(DataElement(0x00281101, "US", list(b"Zqc13Qvortrup")))
    dataset.PixelData += b"Zqc14 behind the pixels "
    dataset.file_meta.SourceApplicationEntityTitle = "ZQD01"
    dataset.file_meta.SendingApplicationEntityTitle = "ZQD02"
    dataset.file_meta.ImplementationVersionName = "ZQD03"
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.840.77.40"
    dataset.file_meta.PrivateInformation = b"Zqd04 "
    dataset.preamble = b"Zqd05 in the preamble".ljust(128)
    return dataset


def planted_words():
    marks = {f"Zqa{n:02d}" for n in range(1, 32)} | {f"Zqb{n:02d}" for n in range(1, 15)}
    marks |= {f"Zqc{n:02d}" for n in range(1, 15)} | {f"Zqd{n:02d}" for n in range(1, 6)}
    uids = {f"1.2.840.77.{n}" for n in (10, 20, 30, 40)} | {
        "1.2.826.0.1.3680043.2.1125.77" + rest for rest in (".1", ".2", ".10.0", ".4")
    }
    assert all(re.fullmatch(r"\w+", mark) for mark in marks)
    return marks | NAMES | set(DATES) | uids | {NUMBER, "031459.265358", "061Y"}


def spellings(word):
    for form in {word, word.lower(), word.upper()}:
        for encoding in ("utf-8", "utf-16-le", "utf-16-be", "latin-1", "iso8859-5"):
            encoded = form.encode(encoding, errors="ignore")
            if encoded.decode(encoding) == form:
                yield encoded


def residue(content: bytes) -> set[str]:
    return {word for word in planted_words() if any(form in content for form in spellings(word))}


@pytest.fixture(params=["explicit", "implicit"])
def source(request):
    dataset = planted_ct()
    if request.param == "implicit":
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        dataset.is_implicit_VR = True
    return dataset


def test_what_is_planted_is_in_the_file_that_comes_in(source):
    assert len(planted_words()) >= 60
    assert planted_words() == residue(written(source))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"retain_device_identity": False},
        {"clean_descriptors": False, "retain_modified_dates": False},
    ],
)
def test_nothing_planted_is_left(source, tmp_path, options):
    stored = tmp_path / "Qvortrup_83920174_zqd06.dcm"
    stored.write_bytes(written(source))
    done = deidentifier(**options).apply(pydicom.dcmread(stored))
    path = write_object(done.dataset, tmp_path)
    assert residue(path.read_bytes()) == set()
    assert residue(path.name.encode()) == set()
    assert "zqd06" not in str(done.dataset.filename)
    report = CaseReport.of([done], deidentifier(**options)._policy)
    assert residue((report.to_json() + report.to_text() + repr(done)).encode()) == set()


def test_nothing_planted_is_left_in_an_object_that_was_never_in_a_file(source):
    assert residue(written(deidentifier().apply(source).dataset)) == set()


def test_device_facts_go_where_the_option_is_off():
    dataset = ct()
    for number, keyword in enumerate(DEVICE):
        setattr(dataset, keyword, f"Zqe{number:02d}")
    dataset.DeviceUID = "1.2.840.77.50"
    kept = written(deidentifier().apply(reread(dataset)).dataset)
    gone = written(deidentifier(retain_device_identity=False).apply(reread(dataset)).dataset)
    for number in range(4):
        assert f"Zqe{number:02d}".encode() in kept
    assert b"Zqe" not in gone
    assert b"1.2.840.77.50" not in kept


def test_a_name_copied_into_a_kept_device_fact_is_found():
    dataset = ct()
    dataset.StationName = "WEISSENBORN room"
    dataset.ManufacturerModelName = "Model HOSP-4711-99"
    dataset.SoftwareVersions = "2.3.0"
    result = deidentifier().apply(reread(dataset)).dataset
    assert "WEISSENBORN" not in written(result).decode("latin-1")
    assert b"4711" not in written(result)
    assert result.SoftwareVersions == "2.3.0"


def test_what_makes_it_an_image_is_as_before():
    source = planted_ct()
    result = reread(deidentifier().apply(source).dataset)
    for keyword in ("Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "RescaleIntercept"):
        assert result[keyword].value == source[keyword].value
    assert result.PixelData == ct().PixelData
    assert result.ImageType == ["ORIGINAL", "PRIMARY", "AXIAL", "OTHER"]
    assert isinstance(result.SourceImageSequence, Sequence)
    assert result.preamble == b"\0" * 128
    assert "SourceApplicationEntityTitle" not in result.file_meta


def test_the_marks_say_what_was_done():
    result = reread(deidentifier(retain_device_identity=False).apply(ct()).dataset)
    assert result.PatientIdentityRemoved == "YES"
    assert result.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = [item.CodeValue for item in result.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113105", "113107"]
    assert result.DeidentificationMethod[0].startswith("parotid-brachy")
    without = deidentifier(retain_modified_dates=False).apply(ct()).dataset
    assert without.LongitudinalTemporalInformationModified == "REMOVED"
    assert not without.StudyDate
    assert not without.StudyTime


def test_patient_characteristics_stay_where_the_option_is_on():
    dataset = ct()
    dataset.PatientAge, dataset.PatientWeight, dataset.PregnancyStatus = "061Y", "70.5", 4
    kept = reread(deidentifier(retain_patient_characteristics=True).apply(reread(dataset)).dataset)
    assert (kept.PatientAge, kept.PatientWeight, kept.PregnancyStatus) == ("061Y", 70.5, 4)
    assert kept.PatientSex == "F"
    assert "113108" in [item.CodeValue for item in kept.DeidentificationMethodCodeSequence]
    gone = deidentifier().apply(reread(dataset)).dataset
    assert not {"PatientAge", "PatientWeight", "PregnancyStatus"} & set(gone.dir())
    assert not gone.PatientSex


def test_a_short_name_in_another_script_is_found_in_a_kept_device_fact():
    dataset = ct()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Wang^XiaoDong=王^小東"
    dataset.StationName = "小東 room"
    result = deidentifier().apply(reread(dataset)).dataset
    assert "小東".encode() not in written(result)
