import pytest
from tests.review.old_folder import map_bytes

from parotid_brachy.lib.anatomy import AURICULA, SKIN
from parotid_brachy.lib.errors import InputRefusedError, UsageError
from parotid_brachy.lib.review.itksnap import (
    Label,
    found_in_itksnap,
    parsed_renames,
    read_label_descriptions,
    renamed,
)
from parotid_brachy.lib.review.naming import OF_A_PALETTE
from parotid_brachy.lib.review.records import Kind

DESCRIPTIONS = """################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
    0     0    0    0        0  0  0    "Clear Label"
    1   255    0    0        1  1  1    "Auricula"
    2     0  255    0     0.52  1  1    "Haut, links"
    4   255  255    0        1  0  1    "Label 4"
"""
LABELS = [Label(1, "Auricula"), Label(2, "Haut, links"), Label(4, "Label 4")]


def written(tmp_path, content, encoding="utf-8"):
    path = tmp_path / "labels.txt"
    path.write_bytes(content.encode(encoding))
    return path


def test_a_label_description_file_is_read_as_itk_snap_writes_it(tmp_path):
    assert read_label_descriptions(written(tmp_path, DESCRIPTIONS)) == LABELS
    windows = DESCRIPTIONS.replace("\n", "\r\n")
    assert read_label_descriptions(written(tmp_path, windows, "utf-8-sig")) == LABELS


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_names_of_any_language_are_read(tmp_path, encoding):
    content = DESCRIPTIONS.replace("Haut, links", "Gehörgang")
    labels = read_label_descriptions(written(tmp_path, content, encoding))
    assert labels[1].name == "Gehörgang"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("1 255 0 0 1 1 1 Skin\n", "line 1 is '1 255 0 0 1 1 1 Skin'"),
        ('1 255 0 1 1 1 "Skin"\n', "line 1"),
        ('-1 255 0 0 1 1 1 "Skin"\n', "line 1"),
        ('1 255 0 0 1 1 1 "Skin" rm\n', "line 1"),
        ('1 255 0 0 1 1 1 "a"\n1 255 0 0 1 1 1 "b"\n', r"values \[1\] come twice"),
        ("\x00\x01\x02", "line 1"),
        ("#" * (1024**2 + 1), "longer than"),
    ],
)
def test_what_is_no_label_description_is_refused(tmp_path, content, fault):
    with pytest.raises(InputRefusedError, match=rf"^labels\.txt: .*{fault}"):
        read_label_descriptions(written(tmp_path, content))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputRefusedError, match=r"^labels\.txt: cannot be read"):
        read_label_descriptions(tmp_path / "labels.txt")


def test_a_teams_own_names_are_put_right():
    renames = parsed_renames(["Haut, links=skin", "a=b=Auricula"])
    assert renames == {"Haut, links": SKIN, "a=b": AURICULA}
    with pytest.raises(UsageError, match="has no label 'a=b' to rename; it has 'Auricula'"):
        renamed(LABELS, renames, name="labels.txt")
    del renames["a=b"]
    assert renamed(LABELS, renames, name="labels.txt")[1] == Label(2, "skin")


@pytest.mark.parametrize("word", ["skin", "=skin", "Haut=", "Haut=tumour", ""])
def test_what_is_no_renaming_is_a_wrong_call(word):
    with pytest.raises(UsageError, match="give NAME=structure"):
        parsed_renames([word])


def test_maps_are_initial_contours_of_the_cases_that_they_are_called_by(tmp_path):
    path = tmp_path / "p 01.nii.gz"
    path.write_bytes(map_bytes())
    (one,) = found_in_itksnap([*LABELS, Label(300, "far")], [path], reader="anna")
    assert (one.case, one.tag, one.kind, one.author) == ("p 01", "final", Kind.INITIAL, "anna")
    assert one.reading is OF_A_PALETTE
    assert [entry["idx"] for entry in one.label_info] == [1, 2, 4]


def test_two_maps_of_one_case_and_maps_of_no_case_are_a_wrong_call(tmp_path):
    first, second = tmp_path / "p01.nii.gz", tmp_path / "p01.nrrd"
    first.write_bytes(b"")
    second.write_bytes(b"")
    with pytest.raises(UsageError, match="are both of case 'p01'"):
        found_in_itksnap(LABELS, [first, second], reader="anna")
    with pytest.raises(UsageError, match="no such file"):
        found_in_itksnap(LABELS, [tmp_path / "p02.nii.gz"], reader="anna")
    (tmp_path / "p03.png").write_bytes(b"")
    with pytest.raises(UsageError, match="no label map's file"):
        found_in_itksnap(LABELS, [tmp_path / "p03.png"], reader="anna")
    (tmp_path / "a&b.nii").write_bytes(b"")
    with pytest.raises(UsageError, match="no case can be called so"):
        found_in_itksnap(LABELS, [tmp_path / "a&b.nii"], reader="anna")
    with pytest.raises(UsageError, match="reader"):
        found_in_itksnap(LABELS, [first], reader="../anna")
