import gzip
import io
import stat
import tarfile
import zipfile
import zlib

import pytest

from parotid_brachy.lib.dicom.importing import archives
from parotid_brachy.lib.dicom.importing.archives import unpack
from parotid_brachy.lib.dicom.importing.limits import ImportLimits
from parotid_brachy.lib.errors import InputRefusedError, TooLargeError

SMALL = ImportLimits(files=50, unpacked_bytes=8 * 1024**2, ratio=50, free_bytes=200_000)
FILES = {"a/1.dcm": b"one" * 100, "a/2.dcm": b"two" * 200, "b/c/3.dcm": b"three"}


def zipped(path, files, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in options.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return path


def tarred(path, files, **options):
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in options.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def unpacked(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.ZIP"])
def test_files_come_out_in_their_folders(tmp_path, out, name):
    pack = zipped if name.lower().endswith("zip") else tarred
    hidden = {"a/.DS_Store": b"x", "__MACOSX/._1.dcm": b"y", ".hidden/1.dcm": b"z"}
    assert unpack(pack(tmp_path / name, {**FILES, **hidden}), out, SMALL) == 3
    assert unpacked(out) == FILES


@pytest.mark.parametrize(
    "name", ["/etc/x", "../x", "a/../../x", "a\\..\\x", "C:x", "a/" * 40 + "x", "x" * 300, ".."]
)
@pytest.mark.parametrize("kind", ["x.zip", "x.tar", "x.tgz"])
def test_names_that_lead_elsewhere_are_refused(tmp_path, out, name, kind):
    pack = zipped if kind.endswith("zip") else tarred
    with pytest.raises(InputRefusedError, match="x"):
        unpack(pack(tmp_path / kind, {"a/1.dcm": b"1", name: b"2"}), out, SMALL)
    assert set(unpacked(out)) <= {"a/1.dcm"}
    assert {path.name for path in tmp_path.iterdir()} == {kind, "out"}


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
    ],
)
def test_links_and_devices_of_a_tar_are_refused(tmp_path, out, kind):
    path = tarred(tmp_path / "x.tar", {"a": b""}, type=kind, linkname="/etc/passwd")
    with pytest.raises(InputRefusedError, match=r"x\.tar: "):
        unpack(path, out, SMALL)
    assert unpacked(out) == {}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_of_a_zip_are_refused(tmp_path, out, kind):
    path = zipped(tmp_path / "x.zip", {"a": b"/etc/passwd"}, external_attr=(kind | 0o777) << 16)
    with pytest.raises(InputRefusedError, match="a link, a device"):
        unpack(path, out, SMALL)
    assert unpacked(out) == {}


def test_an_encrypted_zip_is_refused(tmp_path, out):
    content = bytearray(zipped(tmp_path / "x.zip", {"a": b"1"}).read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + offset] |= 1
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(InputRefusedError, match="encrypted"):
        unpack(tmp_path / "x.zip", out, SMALL)


@pytest.mark.parametrize("name", ["x.zip", "x.tgz"])
def test_bombs_are_refused_before_the_disk_is_full(tmp_path, out, name):
    pack = zipped if name.endswith("zip") else tarred
    path = pack(tmp_path / name, {"a": b"1", "zeros": bytes(6 * 1024**2)})
    with pytest.raises(TooLargeError, match="unpacks to more than"):
        unpack(path, out, SMALL)
    assert sum(map(len, unpacked(out).values())) < 1024**2


def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path, out):
    path = zipped(tmp_path / "x.zip", {"zeros": bytes(6 * 1024**2)})
    content = path.read_bytes().replace((6 * 1024**2).to_bytes(4, "little"), b"\1\0\0\0")
    path.write_bytes(content)
    with pytest.raises(InputRefusedError, match="damaged archive"):
        unpack(path, out, SMALL)
    assert sum(map(len, unpacked(out).values())) < 1024**2


def test_hidden_bombs_of_a_tar_count_as_well(tmp_path, out):
    path = tarred(tmp_path / "x.tgz", {f".a{n}": bytes(190_000) for n in range(20)})
    with pytest.raises(TooLargeError, match="unpacks to more than"):
        unpack(path, out, SMALL)


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_too_many_members_are_refused(tmp_path, out, name):
    pack = zipped if name.endswith("zip") else tarred
    with pytest.raises(TooLargeError, match="more than 50 members"):
        unpack(pack(tmp_path / name, {f"{n}": b"1" for n in range(60)}), out, SMALL)


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_a_file_that_is_in_it_twice_is_refused(tmp_path, out, name):
    path = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", "1")
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr("a", "2")
    else:
        with tarfile.open(path, "w") as archive:
            for _ in range(2):
                archive.addfile(tarfile.TarInfo("a"), io.BytesIO(b""))
    with pytest.raises(InputRefusedError, match="twice"):
        unpack(path, out, SMALL)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.zip", b""),
        ("x.zip", b"PK\3\4" + bytes(100)),
        ("x.tar", b"no tar at all" * 100),
        ("x.tgz", gzip.compress(b"no tar at all" * 100, mtime=0)),
        ("x.tgz", b"\x1f\x8b" + bytes(300)),
        ("x.tar.gz", b""),
    ],
)
def test_what_is_no_archive_is_refused(tmp_path, out, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputRefusedError, match=rf"{name}: "):
        unpack(tmp_path / name, out, SMALL)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", ["x.zip", "x.tgz", "x.tar"])
def test_archives_cut_short_are_refused(tmp_path, out, name, share):
    noise = {f"{n}": zlib.compress(bytes([n]) * 5000) * 40 for n in range(5)}
    pack = zipped if name.endswith("zip") else tarred
    path = pack(tmp_path / name, noise)
    end = len(path.read_bytes())
    if name == "x.tar":
        end -= 10_240  # it is padded with zeros, which nobody misses
    path.write_bytes(path.read_bytes()[: int(end * share)])
    with pytest.raises(InputRefusedError):
        unpack(path, out, SMALL)


def test_a_bomb_in_a_tars_long_header_is_refused(tmp_path, out, monkeypatch):
    monkeypatch.setattr(archives, "_TAR_OVERHEAD_BYTES", 100_000)
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 2**32
    with gzip.open(tmp_path / "x.tgz", "wb") as packed:
        packed.write(header.tobuf())
        for _ in range(20):
            packed.write(bytes(1024**2))
    with pytest.raises(TooLargeError, match="unpacks to more than"):
        unpack(tmp_path / "x.tgz", out, SMALL)
