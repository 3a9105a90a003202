import pytest

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.review.records import CaseFilter
from parotid_brachy.lib.review.states import CaseState


def _last(store):
    entry = store.journal()[-1]
    return entry.actor, entry.action, entry.case, entry.details


def test_new_images_become_new_cases_with_one_journal_entry(store):
    assert [(case.id, case.image_name, case.state) for case in store.cases().items] == [
        ("a", "a.nii.gz", CaseState.NEW),
        ("b", "b.nrrd", CaseState.NEW),
    ]
    assert store.journal_length() == 1
    assert _last(store) == ("server", "register", None, {"new": ["a", "b"]})


def test_nothing_is_written_when_nothing_changed(store):
    store.register({"b": "b.nrrd", "a": "a.nii.gz"})
    assert store.journal_length() == 1


def test_cases_go_and_come_back_with_all_that_is_known_of_them(store):
    store.keep_image_info("a", {"note": "x"})
    store.register({"c": "c.mha", "b": "b.nrrd"})
    assert _last(store)[3] == {"new": ["c"], "gone": ["a"]}
    assert [case.id for case in store.cases().items] == ["b", "c"]
    assert not store.case("a").is_present
    store.register({"a": "a.mha", "b": "b.nrrd", "c": "c.mha"})
    assert _last(store)[3] == {"back": ["a"]}
    case = store.case("a")
    assert (case.is_present, case.image_name, case.image_info) == (True, "a.mha", {"note": "x"})


def test_no_image_at_all_is_a_folder_too(store):
    store.register({})
    assert store.cases().items == []
    assert len(store.cases(CaseFilter(is_present=False)).items) == 2


@pytest.mark.parametrize("case", ["", "..", "../x", "a/b", "a\0", ".hidden", "a ", "x" * 201])
def test_a_case_is_never_called_like_a_path(store, case):
    with pytest.raises(UsageError, match="called so"):
        store.register({"a": "a.nii.gz", case: "x.nrrd"})
    assert store.journal_length() == 1
