from collections import Counter

import pytest
from pydicom.uid import CTImageStorage, RTStructureSetStorage

from parotid_brachy.lib.dicom.deidentification.attribute_types import (
    AttributeType,
    attribute_types,
)
from parotid_brachy.lib.dicom.deidentification.decisions import Step, decide
from parotid_brachy.lib.dicom.deidentification.policy import DeidentificationPolicy
from parotid_brachy.lib.dicom.deidentification.profile_table import (
    Action,
    Option,
    data_text,
    profile_table,
)

BASIC = DeidentificationPolicy(
    clean_descriptors=False, retain_modified_dates=False, retain_device_identity=False
)
NAME, PATIENT_ID, STUDY_DATE, SERIES_DATE = 0x00100010, 0x00100020, 0x00080020, 0x00080021


def test_the_table_is_whole():
    table = profile_table()
    assert len(table.rows) == 656
    assert len({row.tag for row in table.rows}) == 656
    assert Counter(row.basic for row in table.rows) == {
        Action.REMOVE: 416,
        Action.DUMMY: 93,
        Action.UID: 55,
        Action.EMPTY: 42,
        Action.REMOVE_OR_DUMMY: 23,
        Action.REMOVE_OR_EMPTY: 11,
        Action.REMOVE_OR_EMPTY_OR_DUMMY: 8,
        Action.EMPTY_OR_DUMMY: 6,
        Action.REMOVE_OR_EMPTY_OR_UIDS: 2,
    }
    assert table.rows[-1].tag.startswith("gggg")
    assert "2024-09-19" in data_text("confidentiality_profile.csv").splitlines()[1]


def test_curves_and_overlays_are_listed_for_every_group():
    table = profile_table()
    assert table.row_of(0x50020010).name == table.row_of(0x501E3000).name == "Curve Data"
    assert table.row_of(0x60043000).name == "Overlay Data"
    assert table.row_of(0x600A4000).name == "Overlay Comments"
    assert table.row_of(0x00280010) is None


def test_options_say_what_the_standard_says():
    table = profile_table()
    assert table.row_of(0x00081010).options[Option.RETAIN_DEVICE_IDENTITY] is Action.KEEP
    assert table.row_of(0x00081030).options[Option.CLEAN_DESCRIPTORS] is Action.CLEAN
    assert table.row_of(STUDY_DATE).options[Option.RETAIN_MODIFIED_DATES] is Action.CLEAN
    assert table.row_of(0x00101010).options[Option.RETAIN_PATIENT_CHARACTERISTICS] is Action.KEEP


@pytest.mark.parametrize(
    ("tag", "vr", "kind", "step"),
    [
        (NAME, "PN", AttributeType.PRESENT, Step.EMPTY),
        (NAME, "PN", AttributeType.VALUE, Step.DUMMY),
        (PATIENT_ID, "LO", AttributeType.PRESENT, Step.EMPTY),
        (PATIENT_ID, "LO", AttributeType.UNKNOWN, Step.DUMMY),
        (SERIES_DATE, "DA", AttributeType.OPTIONAL, Step.REMOVE),
        (SERIES_DATE, "DA", AttributeType.VALUE, Step.DUMMY),
        (SERIES_DATE, "DA", AttributeType.UNKNOWN, Step.DUMMY),
        (0x00080022, "DA", AttributeType.UNKNOWN, Step.EMPTY),
        (0x00081030, "LO", AttributeType.OPTIONAL, Step.REMOVE),
        (0x00081030, "LO", AttributeType.PRESENT, Step.EMPTY),
        (0x00081140, "SQ", AttributeType.OPTIONAL, Step.ITEMS),
        (0x00080018, "UI", AttributeType.OPTIONAL, Step.UID),
        (0x00181002, "UI", AttributeType.OPTIONAL, Step.UID),
        (0x60003000, "OW", AttributeType.VALUE, Step.REMOVE),
        (0x00280010, "US", AttributeType.OPTIONAL, Step.NUMBERS),
        (0x0040A124, "UI", AttributeType.UNKNOWN, Step.UID),
        (0x00281054, "LO", AttributeType.OPTIONAL, Step.CLEAN),
        (0x00400009, "SH", AttributeType.VALUE, Step.DUMMY),
    ],
)
def test_the_objects_demands_decide_what_the_table_leaves_open(tag, vr, kind, step):
    assert decide(tag, vr, kind, BASIC).step is step


def test_options_come_before_the_basic_profile_and_fall_back_on_it():
    policy = DeidentificationPolicy()
    dates = decide(SERIES_DATE, "DA", AttributeType.OPTIONAL, policy)
    assert (dates.step, dates.fallback) == (Step.SHIFT, Step.REMOVE)
    text = decide(0x00081030, "LO", AttributeType.OPTIONAL, policy)
    assert (text.step, text.fallback) == (Step.CLEAN, Step.REMOVE)
    assert decide(0x00081010, "SH", AttributeType.OPTIONAL, policy).step is Step.KEEP
    assert decide(0x00080055, "AE", AttributeType.OPTIONAL, policy).step is Step.REMOVE
    kept = DeidentificationPolicy(retain_patient_characteristics=True)
    assert decide(0x00101010, "AS", AttributeType.OPTIONAL, kept).step is Step.KEEP
    assert decide(0x00101010, "AS", AttributeType.OPTIONAL, policy).step is Step.REMOVE


def test_types_are_known_for_the_objects_that_we_meet():
    types = attribute_types()
    assert types.type_of(CTImageStorage, "PatientName", parent="") is AttributeType.PRESENT
    assert types.type_of(CTImageStorage, "StationName", parent="") is AttributeType.OPTIONAL
    label = types.type_of(RTStructureSetStorage, "StructureSetLabel", parent="")
    assert label is AttributeType.VALUE
    name = types.type_of(RTStructureSetStorage, "ROIName", parent="StructureSetROISequence")
    assert name is AttributeType.PRESENT
    assert types.type_of("1.2.3", "PatientName", parent="") is AttributeType.UNKNOWN
