import json
import tarfile

import pytest
from sqlalchemy import text
from tests.review.saves import SAM, add, approve, note_on, tamper

from parotid_brachy.lib.errors import StoreError, UsageError
from parotid_brachy.lib.review import schema
from parotid_brachy.lib.review.archive import export
from parotid_brachy.lib.review.restoring import restore
from parotid_brachy.lib.review.seed_plans import NewSeedPlan
from parotid_brachy.lib.review.splits import Part, Placing
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.verification import verify


def rows_of(store):
    """All rows of all tables, but for the store's own identity."""
    with store.database.reading() as connection:
        return {
            name: sorted(connection.execute(text(f"SELECT * FROM {name}")).all(), key=repr)
            for name in schema.metadata.tables
            if name != "store"
        }


@pytest.fixture
def used(store):
    """A store with something in every table."""
    add(store, tag="original", content=b"draft", info={"seconds": 1.25, "ä": ["\0", None]})
    version = add(store)
    approve(store, version)
    add(store, "b", tag="version_1", content=b"other", reader=SAM)
    with store.writing() as writing, writing.change(SAM) as change:
        withdrawn = change.withdraw("b", "version_1")
        change.record("withdraw_correction", "b", {"version": withdrawn.number, "tag": "version_1"})
        change.add_note(note_on(version, comment="a comment\nof two lines"))
    store.note_served("a", "final", "Sam", version.number)
    store.keep_image_info("a", {"strategy": {"random": 1}})
    store.keep_agreement(store.handovers_without_agreement()[0], [{"dsc": 0.5}])
    store.place(lambda _: [Placing("b", "Erika", Part.TEST)], SAM)
    with store.writing() as writing:
        seeds = writing.put(b"seeds", ".csv")
        with writing.change(SAM) as change:
            change.add_seed_plan("a", NewSeedPlan(seeds, ".csv", "0" * 64, "6711", 2))
    store.register({"a": "a.nii.gz"})
    return store


def test_a_restored_store_is_the_exported_one(used, tmp_path):
    assert all(rows_of(used).values()), "every table has a row, or the test shows too little"
    done = export(used, tmp_path / "store.tar")
    assert (done.files, done.entries) == (6, used.journal_length())
    assert done.size_bytes == (tmp_path / "store.tar").stat().st_size
    other = VersionStore.open(tmp_path / "other" / ".parotid")
    restore(other, tmp_path / "store.tar")
    if used.database.is_sqlite:
        assert rows_of(other) == rows_of(used)
    assert other.journal() == used.journal()
    assert list(other.overview()) == list(used.overview())
    assert other.notes("a") == used.notes("a")
    assert other.agreements() == used.agreements()
    assert other.seed_plans("a") == used.seed_plans("a")
    for version in used.versions("a"):
        assert other.objects.read(version.file) == used.objects.read(version.file)
    assert verify(other).faults == ()
    published = tmp_path / "other" / "labels" / "final" / "a.seg.nrrd"
    assert published.read_bytes() == b"labels"
    add(other, content=b"goes on")
    approve(other, other.versions("a")[-1])
    assert verify(other).faults == ()
    other.close()


def test_a_store_moves_from_sqlite_to_postgresql(sqlite_store, tmp_path, postgres_url):
    approve(sqlite_store, add(sqlite_store))
    export(sqlite_store, tmp_path / "store.tar")
    other = VersionStore.open(tmp_path / "other" / ".parotid", database_url=postgres_url)
    restore(other, tmp_path / "store.tar")
    assert other.journal() == sqlite_store.journal()
    assert other.versions("a") == sqlite_store.versions("a")
    add(other, content=b"goes on")
    assert verify(other).faults == ()
    other.close()


def test_an_archive_is_plain_and_tells_of_itself(used, tmp_path):
    export(used, tmp_path / "store.tar")
    with tarfile.open(tmp_path / "store.tar") as tar:
        names = tar.getnames()
        manifest = json.load(tar.extractfile("manifest.json"))
        cases = tar.extractfile("rows/cases.jsonl").read().splitlines()
    assert names[0] == "manifest.json"
    assert [json.loads(line)["id"] for line in cases] == ["a", "b"]
    last = used.journal()[-1]
    assert manifest["journal"] == {"sequence": last.sequence, "hash": last.hash}
    assert not any("readers" in name or "key" in name for name in names)


def test_an_archive_is_never_written_over(used, tmp_path):
    target = tmp_path / "store.tar"
    target.write_bytes(b"something else")
    with pytest.raises(UsageError, match="already"):
        export(used, target)
    assert target.read_bytes() == b"something else"
    with pytest.raises(UsageError, match="no such folder"):
        export(used, tmp_path / "missing" / "store.tar")


def test_a_damaged_store_is_not_exported(used, tmp_path, database_url):
    path = used.path_of(used.version("a", 1).file)
    content = path.read_bytes()
    path.write_bytes(b"damaged")
    with pytest.raises(StoreError, match="damaged"):
        export(used, tmp_path / "store.tar")
    path.write_bytes(content)
    tamper(used, database_url, "UPDATE journal SET actor = 'Eve' WHERE sequence = 2")
    with pytest.raises(StoreError, match="entry 2 was changed"):
        export(used, tmp_path / "store.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["studies"]
