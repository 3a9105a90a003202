import pytest
from tests.review.old_folder import OldFolder, map_bytes, review
from tests.review.studies import GRID

from parotid_brachy.lib.cli.main import DONE, REFUSED, WRONG_CALL, main
from parotid_brachy.lib.review.intake import labels_of
from parotid_brachy.lib.review.store import VersionStore


@pytest.fixture
def old(tmp_path):
    folder = OldFolder(tmp_path / "studies")
    folder.image("case_a", {"strategy": {"Random": {"client_id": "anna"}}})
    return folder


def store_import(*words):
    return main(["store", "import", *map(str, words)])


def opened(folder):
    return VersionStore.open(folder / ".parotid")


def test_a_folder_of_monai_labels_is_imported_in_place(old, capsys):
    old.label("case_a", "final", map_bytes(), **review("approved"))
    old.write_list()
    assert store_import("--studies", old.folder) == DONE
    out = capsys.readouterr().out
    assert "kept      case_a final: version 1 by anna" in out
    assert "1 label maps of 1 cases kept, 0 were there before, 0 left out" in out
    store = opened(old.folder)
    case = store.case("case_a")
    assert (case.state.value, case.approved_by) == ("approved", "sofia")
    assert case.image_info["strategy"] == {"Random": {"client_id": "anna"}}
    store.close()
    assert store_import("--studies", old.folder) == DONE
    assert "0 label maps of 0 cases kept" in capsys.readouterr().out


def test_another_folder_is_imported_and_what_is_left_out_is_told(old, tmp_path, capsys):
    other = OldFolder(tmp_path / "old")
    other.image("case_a")
    other.label("case_a", "final", map_bytes())
    other.label("case_a", "mine", map_bytes())
    other.write_list()
    assert store_import("--studies", old.folder, "--from", other.folder) == REFUSED
    told = capsys.readouterr()
    assert "kept      case_a final" in told.out
    assert "left out  datastore_v2.json: case_a, 'mine': no tag" in told.err


def test_a_damaged_list_is_told_and_the_files_are_kept(old, capsys):
    old.file("case_a", "final", map_bytes())
    old.write_list().write_text("")
    assert store_import("--studies", old.folder) == REFUSED
    told = capsys.readouterr()
    assert "1 label maps of 1 cases kept" in told.out
    assert "left out  datastore_v2.json: damaged" in told.err
    assert "note      labels/final/case_a.nii.gz: nobody noted" in told.err


def test_maps_of_itk_snap_are_imported(old, tmp_path, capsys):
    (tmp_path / "labels.txt").write_text(
        '1 255 0 0 1 1 1 "Ohr"\n2 0 255 0 1 1 1 "Parotid gland"\n', encoding="utf-8"
    )
    (tmp_path / "case_a.nii.gz").write_bytes(map_bytes(1, 2))
    words = ("--studies", old.folder, "--itksnap", tmp_path / "labels.txt")
    maps = (tmp_path / "case_a.nii.gz", "--reader", "anna")
    assert store_import(*words, *maps) == REFUSED
    assert "'Ohr' (value 1) is no structure" in capsys.readouterr().err
    assert store_import(*words, *maps, "--rename", "Ohr=auricula") == DONE
    store = opened(old.folder)
    version = store.tagged("case_a", "final")
    assert sorted(set(labels_of(store.path_of(version.file), GRID).ravel())) == [0, 1, 7]
    assert version.author == "anna"
    store.close()


@pytest.mark.parametrize(
    "words",
    [
        ("--studies", "nowhere"),
        ("--studies", ".", "--from", "nowhere"),
        ("--studies", ".", "--reader", "anna"),
        ("--studies", ".", "--itksnap", "labels.txt", "--reader", "anna"),
        ("--studies", ".", "--itksnap", "labels.txt", "a.nii"),
        ("--studies", ".", "--itksnap", "labels.txt", "--from", "."),
        (),
    ],
)
def test_wrong_calls_are_told_and_make_no_store(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store_import(*words) == WRONG_CALL
    assert list(tmp_path.iterdir()) == []
