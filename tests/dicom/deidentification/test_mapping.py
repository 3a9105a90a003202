import dataclasses
import multiprocessing
import stat
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from tests.dicom.deidentification.objects import KEY, OTHER_KEY, ct, deidentifier

from parotid_brachy.lib.dicom.deidentification.mapping import PseudonymMapping
from parotid_brachy.lib.errors import ConflictError, InputRefusedError


def originals(number: int = 0):
    return deidentifier().apply(ct(number)).originals


def keep_many(path: str, first: int) -> None:
    mapping = PseudonymMapping(Path(path), KEY)
    for number in range(first, first + 15):
        mapping.keep([originals(number)])


def test_what_was_kept_is_found_after_opening_again(tmp_path):
    path = tmp_path / "mapping.db"
    one = originals()
    PseudonymMapping(path, KEY).keep([one])
    mapping = PseudonymMapping(path, KEY)
    patient = mapping.patient(one.pseudonym)
    assert (patient.patient_id, patient.name) == ("HOSP-4711-99", "Weissenborn^Adelheid")
    assert (patient.birth_date, patient.sex) == ("19610203", "F")
    assert {new: mapping.original_uid(new) for new in one.uids} == one.uids
    assert ct().SOPInstanceUID in one.uids.values()
    assert mapping.patient("PB-UNKNOWN") is None
    assert mapping.original_uid("2.25.1") is None


def test_the_file_and_what_sqlite_lays_beside_it_are_private(tmp_path):
    path = tmp_path / "beside" / "mapping.db"
    PseudonymMapping(path, KEY).keep([originals()])
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}


def test_several_processes_lose_nothing(tmp_path):
    path = tmp_path / "mapping.db"
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(keep_many, [str(path)] * 3, [0, 15, 30]))
    mapping = PseudonymMapping(path, KEY)
    for number in range(45):
        one = originals(number)
        assert mapping.original_uids(one.uids) == one.uids


def test_objects_are_kept_together_or_not_at_all(tmp_path):
    mapping = PseudonymMapping(tmp_path / "mapping.db", KEY)

    def broken():
        yield originals(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mapping.keep(broken())
    assert mapping.patient(originals(1).pseudonym) is None


def test_a_later_object_adds_what_the_first_left_empty_and_changes_nothing(tmp_path):
    mapping = PseudonymMapping(tmp_path / "mapping.db", KEY)
    one = originals()
    mapping.keep([dataclasses.replace(one, name="")])
    mapping.keep([one, dataclasses.replace(one, name="Else^Somebody")])
    assert mapping.patient(one.pseudonym).name == "Weissenborn^Adelheid"


def test_another_keys_mapping_is_refused(tmp_path):
    PseudonymMapping(tmp_path / "mapping.db", KEY)
    with pytest.raises(ConflictError, match="another key"):
        PseudonymMapping(tmp_path / "mapping.db", OTHER_KEY)


def test_a_damaged_or_open_mapping_is_refused(tmp_path):
    path = tmp_path / "mapping.db"
    PseudonymMapping(path, KEY).keep([originals()])
    content = path.read_bytes()
    path.write_bytes(b"no database at all, but long enough to be looked at" * 40)
    with pytest.raises(InputRefusedError, match="damaged"):
        PseudonymMapping(path, KEY)
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(InputRefusedError, match="chmod 600"):
        PseudonymMapping(path, KEY)


def test_originals_are_not_shown_by_accident():
    one = originals()
    assert "Weissenborn" not in repr(one)
    assert "4711" not in repr(one)
    assert "77.10" not in repr(one)
