import pytest

from parotid_brachy.lib.anatomy import CATEGORY, LATERALITY, STRUCTURES
from parotid_brachy.lib.dicom.deidentification.coded_terms import is_public_code
from parotid_brachy.lib.dicom.deidentification.descriptors import (
    is_harmless_code,
    is_harmless_text,
)


@pytest.mark.parametrize(
    "text",
    [
        "CT NECK W/ CONTRAST, CT CHEST W/ CONTRAST",
        "Head and neck 1.0 mm",
        "PTV 60",
        "Parotid_R",
        "mandibular_ramus",
        "",
    ],
)
def test_harmless_words_stay(text):
    assert is_harmless_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "Neck of Mrs Weissenborn",
        "Hals Müller",
        "neck 0391961",
        "1961",
        "neck \uff28\uff45\uff41\uff44",
        "neck \u200bhead",
        "A. B. neck",
        "head " * 1000,
        "neck\0head",
    ],
)
def test_anything_else_goes(text):
    assert not is_harmless_text(text)


def test_code_strings_are_terms_of_the_standard_or_harmless_words():
    for text in ("ORIGINAL", "MONOCHROME2", "CLOSED_PLANAR", "HFS", "HEAD", "SEMIAUTOMATIC", "00"):
        assert is_harmless_code(text)
    for text in ("WEISSENBORN", "ZQA", "19610203", "A77"):
        assert not is_harmless_code(text)


def test_every_structures_name_and_code_may_stay():
    for structure in STRUCTURES:
        assert is_harmless_text(structure.name)
        assert is_harmless_text(structure.title)
    for coded in (CATEGORY, *LATERALITY.values(), *(one.coded for one in STRUCTURES)):
        assert is_public_code(coded.value, coded.scheme)
        assert is_harmless_text(coded.meaning)


@pytest.mark.parametrize(
    ("value", "scheme"),
    [
        ("45289008", "SCT"),
        ("19610204", "SCT"),
        ("113100", "99LOCAL"),
        ("Meier", "DCM"),
        ("T-D3000 ", "LN"),
        ("Meier", "UCUM"),
        ("", "SCT"),
    ],
)
def test_other_codes_are_not_public(value, scheme):
    assert not is_public_code(value, scheme)


def test_codes_of_other_schemes_are_told_by_their_form():
    for value, scheme in (("T-D3000", "SRT"), ("113100", "DCM"), ("mm", "UCUM"), ("1234-5", "LN")):
        assert is_public_code(value, scheme)
