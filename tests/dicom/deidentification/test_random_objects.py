"""Random nested data sets: whatever is made up, nothing that identifies comes out."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from tests.dicom.deidentification.objects import ct, deidentifier, reread, written

SECRETS = ("Weissenborn", "HOSP-4711-99", "19610203", "1.2.826.0.1.3680043.2.1125.77.1")
TEXTS = st.sampled_from([*SECRETS[:2], "secret Weissenborn text", "xx HOSP-4711-99", "19610203"])
KEYWORDS = [
    "PatientName", "PatientID", "StationName", "CodeMeaning", "CodeValue", "TextValue",
    "ContentDate", "AcquisitionDateTime", "StudyTime", "ImageComments", "ROIName", "RescaleType",
    "SOPInstanceUID", "ReferencedSOPInstanceUID", "FrameOfReferenceUID", "ImageType", "Modality",
    "StationAETitle", "PatientAge", "RetrieveURL", "LongCodeValue", "Manufacturer", "UID",
    "DetectorID", "SoftwareVersions", "TrackingID", "PersonName", "DateTime", "LUTExplanation",
]  # fmt: skip
SEQUENCES = ["ReferencedSeriesSequence", "SourceImageSequence", "ContentSequence",
             "RequestAttributesSequence", "PerFrameFunctionalGroupsSequence"]  # fmt: skip


def value_for(keyword):
    vr = dictionary_VR(tag_for_keyword(keyword))
    special = {
        "UI": st.just(SECRETS[3]),
        "DA": st.just(SECRETS[2]),
        "DT": st.just(SECRETS[2] + "101112"),
        "TM": st.sampled_from(["101112", "Weissenborn"]),
        "AS": st.just("061Y"),
    }
    return special.get(vr, TEXTS)


ELEMENTS = st.sampled_from(KEYWORDS).flatmap(
    lambda keyword: value_for(keyword).map(lambda value: (keyword, value))
)
PRIVATE = st.integers(0x10, 0xFF).map(lambda number: (0x00110000 + number, "Weissenborn"))


def to_dataset(parts):
    elements, privates, sequences = parts
    dataset = Dataset()
    for keyword, value in elements:
        tag = tag_for_keyword(keyword)
        dataset.add(DataElement(tag, dictionary_VR(tag), value))
    for tag, value in privates:
        dataset.add(DataElement(tag, "LO", value))
    for keyword, items in sequences:
        dataset.add(DataElement(tag_for_keyword(keyword), "SQ", Sequence(items)))
    return dataset


def level(children):
    sequence = st.tuples(st.sampled_from(SEQUENCES), st.lists(children, max_size=3))
    return st.tuples(
        st.lists(ELEMENTS, max_size=6),
        st.lists(PRIVATE, max_size=2),
        st.lists(sequence, max_size=2),
    ).map(to_dataset)


LEAVES = st.tuples(st.lists(ELEMENTS, max_size=6), st.lists(PRIVATE, max_size=2), st.just([])).map(
    to_dataset
)
DATASETS = st.recursive(LEAVES, level, max_leaves=8)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(DATASETS, st.booleans(), st.booleans())
def test_no_name_number_date_or_uid_survives(extra, is_device_kept, are_words_cleaned):
    dataset = ct()
    for element in extra:
        if element.keyword not in ("Modality", "ImageType", "SOPInstanceUID"):
            dataset.add(element)
    dataset.PatientName, dataset.PatientID = SECRETS[0], SECRETS[1]
    dataset.PatientBirthDate = SECRETS[2]
    worker = deidentifier(
        retain_device_identity=is_device_kept, clean_descriptors=are_words_cleaned
    )
    done = worker.apply(reread(dataset))
    content = written(done.dataset).lower()
    assert not [secret for secret in SECRETS if secret.lower().encode() in content]
    assert not [tag for tag in done.dataset.keys() if tag.is_private]  # noqa: SIM118
    assert written(worker.apply(reread(dataset)).dataset).lower() == content
    again = reread(done.dataset)
    assert again.PatientID == done.originals.pseudonym
    assert again.StudyInstanceUID.startswith("2.25.")
