"""Archives that somebody has made worse: none of them leaves anything in the store."""

import hashlib
import io
import json
import tarfile

import pytest
from tests.review.saves import SAM, add, approve, durable_names

from parotid_brachy.lib.errors import InputRefusedError, ParotidBrachyError, UsageError
from parotid_brachy.lib.review.archive import export
from parotid_brachy.lib.review.restoring import restore
from parotid_brachy.lib.review.store import VersionStore


@pytest.fixture
def archive(sqlite_store, tmp_path):
    """A whole archive of a small store."""
    add(sqlite_store, tag="original", content=b"draft")
    approve(sqlite_store, add(sqlite_store))
    add(sqlite_store, "b", tag="version_1", content=b"other", reader=SAM)
    export(sqlite_store, tmp_path / "whole.tar")
    return tmp_path / "whole.tar"


@pytest.fixture
def empty(tmp_path):
    """A store that nobody has used."""
    store = VersionStore.open(tmp_path / "empty" / ".parotid")
    yield store
    store.close()


def _contents(archive):
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def _write(path, contents, *, mode="w", more=()):
    with tarfile.open(path, mode, format=tarfile.USTAR_FORMAT) as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in more:
            tar.addfile(info)
    return path


def _consistent(contents):
    """The same with a manifest that vouches for the rows, as whoever makes an archive can do."""
    manifest = json.loads(contents["manifest.json"])
    for name in manifest["members"]:
        told = {
            "sha256": hashlib.sha256(contents[name]).hexdigest(),
            "size_bytes": len(contents[name]),
        }
        manifest["members"][name] = told
    return {**contents, "manifest.json": json.dumps(manifest).encode()}


def _require_refused(store, archive, match=None):
    with pytest.raises(InputRefusedError, match=match):
        restore(store, archive)
    assert store.cases().total == 0
    assert store.journal_length() == 0
    assert durable_names(store) == []
    inside = {path.name for path in store.folder.parent.iterdir()}
    assert inside <= {".parotid"}
    assert not list(store.folder.parent.parent.glob("evil*"))


def test_a_store_that_was_used_is_not_restored_into(sqlite_store, archive):
    with pytest.raises(UsageError, match="not empty"):
        restore(sqlite_store, archive)


@pytest.mark.parametrize(
    ("schema", "later"), [("0001", {"split_patients", "seed_plans"}), ("0002", {"seed_plans"})]
)
def test_an_archive_of_an_older_program_is_restored_too(empty, archive, tmp_path, schema, later):
    contents = _contents(archive)
    manifest = json.loads(contents["manifest.json"])
    for table in later:
        name = f"rows/{table}.jsonl"
        assert contents.pop(name) == b"", "what did not exist yet held nothing"
        del manifest["members"][name]
    manifest["schema"] = schema
    contents["manifest.json"] = json.dumps(manifest).encode()
    done = restore(empty, _write(tmp_path / "old.tar", contents))
    assert done.entries == manifest["journal"]["sequence"]
    assert empty.cases().total == 2
    assert empty.placed() == {}
    assert empty.seed_plans("a") == []


@pytest.mark.parametrize("schema", ["0000", "9999", "", None, ["0001"], 1])
def test_an_archive_of_an_unknown_schema_is_refused(empty, archive, tmp_path, schema):
    contents = _contents(archive)
    manifest = {**json.loads(contents["manifest.json"]), "schema": schema}
    contents["manifest.json"] = json.dumps(manifest).encode()
    _require_refused(empty, _write(tmp_path / "odd.tar", contents), "restore it with that version")


def test_a_missing_archive_is_told(empty, tmp_path):
    with pytest.raises(UsageError, match=r"missing\.tar"):
        restore(empty, tmp_path / "missing.tar")


def test_a_truncated_archive_is_refused_at_every_length(empty, archive, tmp_path):
    whole = archive.read_bytes()
    end = len(whole.rstrip(b"\0"))
    for length in [0, 1, 511, 512, 513, *range(1000, end, end // 12)]:
        (tmp_path / "cut.tar").write_bytes(whole[:length])
        _require_refused(empty, tmp_path / "cut.tar")


@pytest.mark.parametrize("place", range(5))
def test_a_changed_byte_is_found_wherever_it_is(empty, archive, tmp_path, place):
    contents = _contents(archive)
    names = sorted(n for n, content in contents.items() if content and n != "manifest.json")
    name = names[place * len(names) // 5]
    changed = bytearray(contents[name])
    changed[len(changed) // 2] ^= 1
    _require_refused(empty, _write(tmp_path / "bad.tar", {**contents, name: bytes(changed)}))


def test_a_file_that_is_missing_or_too_many_is_refused(empty, archive, tmp_path):
    contents = _contents(archive)
    name = next(name for name in contents if name.startswith("objects/"))
    fewer = {key: value for key, value in contents.items() if key != name}
    _require_refused(empty, _write(tmp_path / "fewer.tar", fewer), "lacks 1 files")
    more = {**contents, "objects/aa/more": b"more"}
    _require_refused(empty, _write(tmp_path / "more.tar", more), "no file that its rows name")


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "objects/../../evil", "evil", "a\\..\\b"])
def test_a_name_that_leads_elsewhere_is_refused(empty, archive, tmp_path, name):
    contents = {**_contents(archive), name: b"evil"}
    _require_refused(empty, _write(tmp_path / "bad.tar", contents), "no file that its rows name")


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.DIRTYPE,
        tarfile.FIFOTYPE,
        tarfile.CHRTYPE,
        tarfile.GNUTYPE_SPARSE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.XHDTYPE,
    ],
)
def test_nothing_but_ordinary_files_is_taken(empty, archive, tmp_path, kind):
    info = tarfile.TarInfo("objects/aa/evil")
    info.type, info.linkname = kind, "../../../evil"
    path = _write(tmp_path / "bad.tar", _contents(archive), more=[info])
    _require_refused(empty, path, "no ordinary file")


def test_a_size_that_is_a_lie_is_refused(empty, archive, tmp_path):
    content = bytearray(archive.read_bytes())
    huge = tarfile.TarInfo("manifest.json")
    huge.size = 8 * 1024**3 - 1
    content[:512] = huge.tobuf(tarfile.USTAR_FORMAT)
    (tmp_path / "bad.tar").write_bytes(content)
    _require_refused(empty, tmp_path / "bad.tar", "no ordinary file that is wholly there")


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_compressed_archive_is_not_unpacked(empty, archive, tmp_path, mode):
    path = _write(tmp_path / "bomb.tar", _contents(archive), mode=mode)
    _require_refused(empty, path, "no plain tar archive")


def test_a_manifest_that_is_too_long_is_not_read(empty, archive, tmp_path):
    contents = {**_contents(archive), "manifest.json": b" " * (1024**2 + 1)}
    _require_refused(empty, _write(tmp_path / "bad.tar", contents), "too many")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "another 1"},
        {"schema": "9999"},
        {"members": []},
        {"journal": {"sequence": True, "hash": "x"}},
        {"journal": None},
        {"journal": {"sequence": 1, "hash": "0" * 64}},
        {"members": {}},
    ],
)
def test_a_manifest_that_is_none_of_ours_is_refused(empty, archive, tmp_path, change):
    contents = _contents(archive)
    manifest = {**json.loads(contents["manifest.json"]), **change}
    contents["manifest.json"] = json.dumps(manifest).encode()
    _require_refused(empty, _write(tmp_path / "bad.tar", contents))


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_no_json_object_is_refused(empty, archive, tmp_path, content):
    contents = {**_contents(archive), "manifest.json": content}
    _require_refused(empty, _write(tmp_path / "bad.tar", contents))


def _edit(table, **values):
    def edit(contents):
        name = f"rows/{table}.jsonl"
        lines = [json.loads(line) for line in contents[name].splitlines()]
        lines[0].update(values)
        return {**contents, name: b"".join(json.dumps(line).encode() + b"\n" for line in lines)}

    return edit


def _append(table, line):
    name = f"rows/{table}.jsonl"
    return lambda contents: {**contents, name: contents[name] + line}


@pytest.mark.parametrize(
    "edit",
    [
        _edit("cases", id="../../evil"),
        _edit("cases", state="unknown"),
        _edit("cases", is_present=1),
        _edit("cases", created="yesterday"),
        _edit("cases", created="2020-01-01T00:00:00"),
        _edit("cases", image_info=None),
        _edit("cases", more="column"),
        _edit("versions", tag="../evil"),
        _edit("versions", kind="unknown"),
        _edit("versions", number="1"),
        _edit("versions", case_id="nobody"),
        _edit("versions", file="0" * 64),
        _edit("tags", tag="/etc/passwd"),
        _edit("tags", number=77),
        _edit("notes", status="unknown"),
        _edit("objects", name="../evil"),
        _edit("objects", ending="/../evil"),
        _edit("objects", size_bytes=10**12),
        _edit("objects", sha256="0" * 64),
        _edit("journal", actor="Eve"),
        _edit("journal", sequence=9),
        _append("cases", b"not JSON\n"),
        _append("cases", b"{}\n"),
        _append("cases", b"[" * 100_000 + b"\n"),
        _append("journal", b"no end of line"),
    ],
)
def test_rows_that_make_no_store_are_refused(empty, archive, tmp_path, edit):
    contents = _consistent(edit(_contents(archive)))
    _require_refused(empty, _write(tmp_path / "bad.tar", contents))


def test_rows_twice_are_refused(empty, archive, tmp_path):
    contents = _contents(archive)
    contents["rows/cases.jsonl"] *= 2
    _require_refused(empty, _write(tmp_path / "bad.tar", _consistent(contents)))


def test_text_that_no_database_holds_is_refused(empty, archive, tmp_path):
    edited = _edit("cases", image_name="\ud800")(_contents(archive))
    with pytest.raises(ParotidBrachyError):
        restore(empty, _write(tmp_path / "bad.tar", _consistent(edited)))
    assert (empty.cases().total, durable_names(empty)) == (0, [])


def test_after_a_refusal_the_whole_archive_is_taken(empty, archive, tmp_path):
    content = archive.read_bytes()
    (tmp_path / "bad.tar").write_bytes(content[: len(content) // 2])
    _require_refused(empty, tmp_path / "bad.tar")
    assert restore(empty, archive).files == 5
    assert empty.case("a").approved_by == "Sam"


def test_another_tar_archive_is_refused(empty, tmp_path):
    path = _write(tmp_path / "other.tar", {"holiday.jpg": b"picture"})
    _require_refused(empty, path, "'manifest.json' is expected, there is 'holiday.jpg'")
    _require_refused(empty, _write(tmp_path / "nothing.tar", {}), "there is nothing")
