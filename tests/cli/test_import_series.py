import json
import zipfile
from datetime import date, timedelta

import numpy as np
import pydicom
import pytest
from tests.dicom.importing.series import UID, another_series, localizer, related, write
from tests.imaging.damage_dicom import series_head, whole_series

from parotid_brachy.lib.anatomy import GLAND
from parotid_brachy.lib.cli import model_choice
from parotid_brachy.lib.cli.import_report import printable
from parotid_brachy.lib.cli.main import DONE, REFUSED, WRONG_CALL, main
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.review.store import VersionStore


@pytest.fixture
def studies(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    return folder


@pytest.fixture
def parotid_import(studies, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run(*words):
        return main(["import", *map(str, words), "--studies", str(studies)])

    return run


def cases(studies):
    return sorted(path.name.removesuffix(".nii.gz") for path in studies.glob("*.nii.gz"))


def facts(studies, case):
    store = VersionStore.open(studies / ".parotid")
    try:
        return store.case(case).image_info.get("facts")
    finally:
        store.close()


def named(**changes):
    def change(one, k):
        one.PatientName, one.PatientID = "Mustermann^Erika", "KIS-4711-0815"
        one.StudyDate = "20230410"
        for keyword, value in changes.items():
            setattr(one, keyword, value)

    return whole_series(change)


def test_a_series_is_imported_without_its_patients_name(parotid_import, studies, tmp_path, capsys):
    source = write(tmp_path / "Mustermann", named())
    (source / "plan.dcm").write_bytes(related("RTPLAN"))
    words = (source, "--side", "left", "--surgery-date", "2023-04-05", "--seed-plan", "1.2.3.4.5")
    assert parotid_import(*words) == DONE
    (case,) = cases(studies)
    assert "1 imported, 0 refused; de-identified" in capsys.readouterr().out
    assert np.array_equal(read_volume(studies / f"{case}.nii.gz").voxels, series_head().voxels)
    for path in studies.rglob("*"):
        assert "mustermann" not in str(path.relative_to(studies)).lower()
        if path.is_file():
            content = path.read_bytes()
            assert not any(word in content for word in (b"Mustermann", b"4711", b"999.2"))
    one = pydicom.dcmread(studies / ".parotid" / "dicom" / case / "0001.dcm")
    shift = date.fromisoformat("2023-04-10") - date(
        *(int(one.StudyDate[a:b]) for a, b in ((0, 4), (4, 6), (6, 8)))
    )
    assert shift > timedelta(days=0)
    noted = facts(studies, case)
    assert noted["side"] == "left"
    assert noted["surgery_date"] == (date(2023, 4, 5) - shift).isoformat()
    assert noted["seed_plan"].startswith("2.25.")
    report = json.loads(
        (one_report := studies / ".parotid/dicom" / case / "import.json").read_text()
    )
    assert one_report.is_file()
    assert report["deidentified"]
    assert report["deidentification"]


def test_importing_again_says_that_it_is_there(parotid_import, studies, tmp_path, capsys):
    source = write(tmp_path / "ct", named())
    assert parotid_import(source) == DONE
    first = cases(studies)
    assert parotid_import(source) == DONE
    assert cases(studies) == first
    assert "1 already there, 0 refused" in capsys.readouterr().out


def test_several_series_are_several_cases_and_faults_stop_no_others(
    parotid_import, studies, tmp_path, capsys
):
    gap = another_series(6)
    gap = {f"g{name}": content for name, content in gap.items() if name != "b_slice006.dcm"}
    write(tmp_path / "disc" / "a", {**whole_series(), "scout.dcm": localizer()})
    write(tmp_path / "disc" / "b", another_series())
    write(tmp_path / "disc" / "c", gap)
    code = parotid_import(tmp_path / "disc", "--no-deidentify", "--json")
    assert code == REFUSED
    report = json.loads(capsys.readouterr().out)
    assert sorted(row["case"] for row in report["taken"]) == cases(studies)
    assert len(cases(studies)) == 2
    (refused,) = report["refused"]
    assert refused["slices"] == ["gb_slice005.dcm", "gb_slice007.dcm"]
    assert "uneven slices" in refused["reason"]
    assert report["left_out"] == [{"source": "disc", "reason": "a localizer", "files": 1}]


def test_one_series_can_be_chosen(parotid_import, studies, tmp_path, capsys):
    write(tmp_path / "disc", {**whole_series(), **another_series()})
    disc, plain = tmp_path / "disc", "--no-deidentify"
    assert parotid_import(disc, plain, "--side", "left") == WRONG_CALL
    assert cases(studies) == []
    assert "there are 2" in capsys.readouterr().err
    assert parotid_import(disc, plain, "--side", "left", "--series", f"{UID}.5") == DONE
    (case,) = cases(studies)
    assert facts(studies, case) == {"side": "left"}
    assert parotid_import(disc, plain, "--series", "1.2.3") == REFUSED
    assert "--series 1.2.3: no such series" in capsys.readouterr().err


def test_an_archive_is_imported_with_facts_of_a_table(parotid_import, studies, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "ct.zip", "w") as archive:
        for name, content in {**named(), **another_series(PatientID="other")}.items():
            archive.writestr(f"disc/{name}", content)
    (tmp_path / "sides.csv").write_text(
        f"patient_id,side,surgery_date\nKIS-4711-0815,right,2023-04-05\n{UID}.5,left,\nnobody,left,\n"
    )
    words = ("--side-table", tmp_path / "sides.csv", "--no-deidentify")
    assert parotid_import(tmp_path / "ct.zip", *words) == DONE
    assert "side table: of no series here: line 4" in capsys.readouterr().err
    first, other = cases(studies)
    assert facts(studies, first) == {"side": "right", "surgery_date": "2023-04-05"}
    assert facts(studies, other) == {"side": "left"}


def test_a_table_with_bad_lines_imports_nothing(parotid_import, studies, tmp_path, capsys):
    source = write(tmp_path / "ct", whole_series())
    (tmp_path / "sides.csv").write_text("patient_id,side\nphantom,up\n")
    assert parotid_import(source, "--side-table", tmp_path / "sides.csv") == WRONG_CALL
    assert "line 2: side 'up'" in capsys.readouterr().err
    assert list(studies.iterdir()) == []


def test_a_source_without_a_ct_is_refused_with_what_it_holds(parotid_import, tmp_path, capsys):
    write(tmp_path / "notes", {"a.txt": b"notes"})
    assert parotid_import(tmp_path / "notes") == REFUSED
    assert "no CT series in it (a.txt is no DICOM file)" in capsys.readouterr().err


def test_links_and_hidden_files_are_not_followed(parotid_import, studies, tmp_path, capsys):
    write(tmp_path / "secret", whole_series())
    write(tmp_path / "disc" / ".hidden", whole_series())
    (tmp_path / "disc" / "folder").symlink_to(tmp_path / "secret")
    (tmp_path / "disc" / "0001.dcm").symlink_to(tmp_path / "secret" / "slice000.dcm")
    assert parotid_import(tmp_path / "disc") == REFUSED
    assert "no CT series in it." in capsys.readouterr().err
    assert cases(studies) == []


def test_a_single_file_is_no_volume(parotid_import, tmp_path, capsys):
    source = write(tmp_path / "ct", whole_series())
    assert parotid_import(source / "slice000.dcm") == REFUSED
    assert "1 slices are not a volume" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("nowhere",),
        ("https://pacs.example/dicom-web",),
        (".", "--side", "up"),
        (".", "--surgery-date", "yesterday"),
        (".", "--no-deidentify", "--key", "k"),
        (".", "--key", "studies/k"),
        (".", ".", "--side", "left"),
        (".", "--side", "left", "--side-table", "sides.csv"),
        (),
    ],
)
def test_wrong_calls_are_told(parotid_import, studies, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    assert parotid_import(*words) == WRONG_CALL
    assert cases(studies) == []


def test_the_way_back_lies_beside_the_key_for_its_owner_only(parotid_import, tmp_path):
    key = tmp_path / "keys" / "hospital.key"
    assert parotid_import(write(tmp_path / "ct", named()), "--key", key) == DONE
    mapping = key.with_name("hospital.mapping.sqlite")
    assert b"KIS-4711-0815" in mapping.read_bytes()
    assert {path.stat().st_mode & 0o077 for path in (key, mapping)} == {0}


def test_programs_in_the_folder_of_a_source_are_not_run(
    parotid_import, studies, tmp_path, monkeypatch
):
    source = write(tmp_path / "disc", whole_series())
    for name in ("json.py", "pydicom.py", "resource.py", "sitecustomize.py"):
        (source / name).write_text("raise SystemExit(99)")
    monkeypatch.chdir(source)
    assert parotid_import(".", "--no-deidentify") == DONE
    assert len(cases(studies)) == 1


def test_a_name_cannot_write_on_the_terminal():
    assert printable("a\x1b[2J\nb") == "a\\x1b[2J\\x0ab"


def test_faces_are_taken_out_when_asked_for(parotid_import, studies, tmp_path, monkeypatch, capsys):
    def found(root):
        del root
        return lambda volume: (volume.voxels > 700).astype(np.uint8) * GLAND.value

    monkeypatch.setattr(model_choice, "load_gland_finder", found)
    source = write(tmp_path / "in", named())
    assert parotid_import(source, "--deface") == DONE
    (case,) = cases(studies)
    assert not np.array_equal(read_volume(studies / f"{case}.nii.gz").voxels, series_head().voxels)
    report = json.loads((studies / ".parotid" / "dicom" / case / "import.json").read_text())
    assert "set to air" in report["defacing"]
    assert parotid_import(source, "--deface") == DONE
    assert "already there" in capsys.readouterr().out


def test_a_ct_that_keeps_its_name_keeps_its_face(parotid_import, studies, tmp_path):
    source = write(tmp_path / "in", named())
    assert parotid_import(source, "--deface", "--no-deidentify") == WRONG_CALL
    assert cases(studies) == []
