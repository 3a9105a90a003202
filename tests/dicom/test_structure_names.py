import pytest

from parotid_brachy.lib.anatomy import (
    AURICULA,
    CONDYLE_PROCESS,
    EXTERNAL_AUDITORY_CANAL,
    GLAND,
    MANDIBULAR_RAMUS,
    MASTOID_PROCESS,
    SKIN,
    STRUCTURES,
    Side,
)
from parotid_brachy.lib.dicom.structure_names import (
    LONGEST_NAME,
    PLANNING_NAMES,
    planning_name,
    read_name,
)


def test_every_structure_has_a_name_of_at_most_16_characters_with_the_side_last():
    assert set(PLANNING_NAMES) == {structure.name for structure in STRUCTURES}
    for structure in STRUCTURES:
        names = [planning_name(structure, side) for side in (Side.LEFT, Side.RIGHT)]
        assert all(len(name) <= LONGEST_NAME and " " not in name for name in names)
        if structure is SKIN:
            assert names == ["Skin", "Skin"]
        else:
            assert [name[-2:] for name in names] == ["_L", "_R"]


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("structure", STRUCTURES)
def test_our_own_names_are_read_back(structure, side):
    read = read_name(planning_name(structure, side))
    assert read == (structure, None if structure is SKIN else side)
    assert read_name(structure.name) == (structure, None)
    assert read_name(f"{structure.title} {side.value}") == (structure, side)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PAROTID_R", (GLAND, Side.RIGHT)),
        ("Lt Parotid Gland", (GLAND, Side.LEFT)),
        ("Parotid L", (GLAND, Side.LEFT)),
        ("ParotidR", (GLAND, Side.RIGHT)),
        ("Glnd_Parotid_L", (GLAND, Side.LEFT)),
        ("left parotis", (GLAND, Side.LEFT)),
        ("Parotid", (GLAND, None)),
        ("EAC (R)", (EXTERNAL_AUDITORY_CANAL, Side.RIGHT)),
        ("pinna_left", (AURICULA, Side.LEFT)),
        ("Mandibular condyle, right", (CONDYLE_PROCESS, Side.RIGHT)),
        ("R_Ramus", (MANDIBULAR_RAMUS, Side.RIGHT)),
        ("Mastoid.L", (MASTOID_PROCESS, Side.LEFT)),
        ("SKIN", (SKIN, None)),
    ],
)
def test_common_names_are_understood(text, expected):
    assert read_name(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Parotid_R_PRV03",
        "Parotids",
        "Parotid_L_R",
        "CTV_Parotid_R",
        "Mandible",
        "Bone_Mandible_L",
        "Ear_Internal_L",
        "Canal_Anal",
        "Skin-5mm",
        "SpinalCanal",
        "parotidl",
        "L",
        "x" * 100_000,
    ],
)
def test_other_names_are_not_guessed_at(text):
    assert read_name(text) is None
