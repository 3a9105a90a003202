"""The audit finds what it is there to find: otherwise, that nothing was lost would say nothing."""

import hashlib
import json
import random
import sqlite3

import pytest
from scripts.measure.crash_audit import Audit
from scripts.measure.crash_clients import Label, write_cases

from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.review.records import ReviewStatus
from parotid_brachy.lib.review.reviewing import Review
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.workflow import Received

ADA, BROWN = Reader("Ada", Role.ANNOTATOR), Reader("Brown", Role.REVIEWER)
INFO = [
    {"name": name, "idx": value}
    for value, name in enumerate(
        [
            *("auricula", "condyle_process", "skin", "mastoid_process"),
            *("external_auditory_canal", "mandibular_ramus", "parotid_gland"),
        ],
        start=1,
    )
]


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "studies"
    path.mkdir()
    return path


@pytest.fixture
def ledger(folder):
    """What was acknowledged: three submissions, a correction that was withdrawn, a comment."""
    cases, grid = write_cases(folder, 2, 20)
    studies = Studies(folder)
    entries, rng = [], random.Random(1)

    def save(case, reader):
        label = Label.new(grid, rng)
        version = studies.workflow.save(case, Received(label.content, label.name, INFO), reader)
        entries.append(
            {
                "kind": "save",
                "case": case,
                "reader": reader.name,
                "version": version.number,
                "received_sha256": hashlib.sha256(label.content).hexdigest(),
                "voxels_sha256": label.voxels_sha256,
                "comment": None,
            }
        )
        return version

    for case in (cases[0], cases[0], cases[1]):
        save(case, ADA)
    correction = save(cases[0], BROWN)
    studies.workflow.review(cases[0], "final", Review(ReviewStatus.FLAGGED, comment="once"), BROWN)
    studies.workflow.withdraw(cases[0], correction.tag, BROWN)
    said = {"case": cases[0], "reader": "Brown"}
    entries.append({"kind": "review", "comment": "once", **said})
    entries.append({"kind": "withdrawal", "version": correction.number, **said})
    studies.store.close()
    return entries


def kinds(folder, ledger):
    """The kinds of faults that are found."""
    return {kind for kind, count in Audit(folder, None).run(ledger).counts().items() if count}


def change(folder, *statements):
    with sqlite3.connect(folder / ".parotid" / "store.sqlite") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def kept_file(folder, column="file"):
    """A file that only one version names."""
    with sqlite3.connect(folder / ".parotid" / "store.sqlite") as connection:
        (name,) = connection.execute(f"select {column} from versions limit 1").fetchone()
    connection.close()
    return folder / ".parotid" / "objects" / name[:2] / name


def test_a_whole_store_has_no_faults(folder, ledger):
    assert kinds(folder, ledger) == set()
    assert Audit(folder, None).own_verdict() == []


def test_a_save_that_nobody_has_kept_is_lost(folder, ledger):
    more = {**ledger[0], "version": 99}
    assert kinds(folder, [*ledger, more]) == {"lost_saves"}
    for key in ("received_sha256", "voxels_sha256", "reader"):
        assert kinds(folder, [*ledger, {**ledger[0], key: "0" * 64}]) == {"lost_saves"}, key


def test_a_word_and_a_withdrawal_can_be_lost(folder, ledger):
    assert kinds(folder, [*ledger, {**ledger[-2], "comment": "never"}]) == {"lost_reviews"}
    assert kinds(folder, [*ledger, {**ledger[-1], "version": 1}]) == {"lost_reviews"}


def test_a_changed_file_is_corrupt_and_its_save_lost(folder, ledger):
    path = kept_file(folder, "received")
    path.write_bytes(path.read_bytes()[:-1])
    assert kinds(folder, ledger) == {"corrupt_files"}


def test_a_missing_file_is_missed(folder, ledger):
    kept_file(folder).unlink()
    assert kinds(folder, ledger) == {"lost_saves", "rows_without_file"}


@pytest.mark.parametrize("name", ["0" * 64 + ".seg.nrrd", ".x.0123456789abcdef.tmp"])
def test_a_file_without_a_row_is_an_orphan(folder, ledger, name):
    (folder / ".parotid" / "objects" / "00" / name).write_bytes(b"x")
    assert kinds(folder, ledger) == {"orphan_files"}


@pytest.mark.parametrize(
    "statement",
    [
        "delete from journal where sequence = 2",
        "update journal set previous_hash = '0' where sequence = 3",
        "delete from journal where sequence = (select max(sequence) from journal)",
        "update journal_head set sequence = sequence + 1",
    ],
)
def test_a_changed_journal_is_broken(folder, ledger, statement):
    change(folder, statement)
    assert kinds(folder, ledger) == {"journal_breaks"}


def test_the_stores_own_commands_are_asked_too(folder, ledger):
    path = kept_file(folder, "received")
    path.write_bytes(path.read_bytes()[:-1])
    details = json.dumps({"version": 1, "tag": "final", "sha256": "0" * 64})
    change(folder, f"update journal set details = '{details}' where sequence = 2")
    store, journal = Audit(folder, None).own_verdict()
    assert path.name in store
    assert "entry 2" in journal
