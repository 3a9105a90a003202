import errno
import gzip
import zlib

import numpy as np
import pytest
from tests.review.maps import GRID, all_structures, as_file, as_segmentation

from parotid_brachy.lib.errors import (
    GeometryError,
    InputRefusedError,
    StoreFullError,
    TooLargeError,
)
from parotid_brachy.lib.review import received_map
from parotid_brachy.lib.review.intake import LIMITS, take_in
from parotid_brachy.lib.review.received_map import IntakeLimits, read_received, shown_name

SMALL = IntakeLimits(received_bytes=4096, least_bytes=1024)


def read(content, name, limits=LIMITS):
    return read_received(content, name=name, grid=GRID, limits=limits)


def nrrd_of(fields, data=b""):
    lines = [f"{key}: {value}" for key, value in fields.items()]
    return "\n".join(["NRRD0005", *lines, "", ""]).encode() + data


FIELDS = {
    "type": "uint8",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "20 18 16",
    "space directions": "(2,0,0) (0,2.1,0) (0,0,2.5)",
    "kinds": "domain domain domain",
    "encoding": "gzip",
    "space origin": "(0,0,0)",
}


@pytest.mark.parametrize(
    "name", ["", "label", "a.zip", "a.dcm", "a.nhdr", "a.mhd", "a.nii.gz.exe", "a.png", "a.img"]
)
def test_other_endings_are_refused(name):
    with pytest.raises(InputRefusedError, match="no label map's file"):
        read(b"x", name)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.seg.nrrd", "a.mha", "a.bin"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04junk", b"\x1f\x8b", b"NRRD0005\n", bytes(99)])
def test_junk_is_refused(name, content):
    with pytest.raises(InputRefusedError, match=rf"^{name.replace('.', '[.]')}: "):
        read(content, name)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_file_cut_short_anywhere_is_refused(ending):
    content = as_file(all_structures(), ending)
    for length in range(1, len(content), 37):
        with pytest.raises(InputRefusedError):
            read(content[:length], f"a{ending}")


def test_a_file_that_is_too_long_is_not_looked_at():
    with pytest.raises(TooLargeError, match=r"^a\.nii: 5000 bytes; at most 4096"):
        read(bytes(5000), "a.nii", SMALL)


def test_a_header_that_states_more_than_the_image_needs_is_not_unpacked():
    bomb = gzip.compress(bytes(10_000_000))
    fields = FIELDS | {"sizes": "512 512 4000", "Segment0_Name": "skin"}
    with pytest.raises(TooLargeError, match=r"1000 MiB; at most 16 MiB are unpacked"):
        read(nrrd_of(fields, bomb), "a.seg.nrrd")
    layered = FIELDS | {
        "dimension": "4",
        "sizes": "90000 20 18 16",
        "kinds": "list domain domain domain",
        "space directions": "none (2,0,0) (0,2.1,0) (0,0,2.5)",
    }
    with pytest.raises(TooLargeError, match="at most 16 MiB"):
        read(nrrd_of(layered, bomb), "a.seg.nrrd")


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_a_bomb_behind_an_honest_header_is_stopped_where_the_header_ends_it(ending, monkeypatch):
    content = as_file(all_structures(), ending)
    if ending == ".nii.gz":
        plain = gzip.decompress(content)
        bomb = gzip.compress(plain + bytes(50_000_000))
    elif ending == ".nrrd":
        end = content.index(b"\n\n") + 2
        bomb = content[:end] + gzip.compress(bytes(50_000_000))
    else:
        end = content.index(b"LOCAL\n") + 6
        bomb = content[:end] + zlib.compress(bytes(50_000_000))
    with pytest.raises(InputRefusedError, match="longer than its header states"):
        read(bomb, f"a{ending}")


@pytest.mark.parametrize("data_file", ["/etc/passwd", "../secret", "other.raw", "LIST", "a.nrrd"])
def test_voxels_in_another_file_are_never_read(tmp_path, data_file):
    (tmp_path / "other.raw").write_bytes(gzip.compress(bytes(20 * 18 * 16)))
    received = tmp_path / "upload.nrrd"
    received.write_bytes(nrrd_of(FIELDS | {"data file": data_file}))
    with pytest.raises(InputRefusedError):
        read(received, "a.nrrd")


def test_layers_without_names_are_refused():
    layers = [np.zeros(GRID.shape_kji, dtype=np.uint8)] * 2
    content = as_segmentation(layers, []).replace(b"Segmentation_MasterRep", b"Other")
    with pytest.raises(InputRefusedError, match="several layers but no segments named"):
        read(content, "a.seg.nrrd")


@pytest.mark.parametrize("change", [-1, 1])
def test_raw_bytes_are_exactly_one_for_each_voxel(change):
    content = bytes(GRID.shape_kji[0] * GRID.shape_kji[1] * GRID.shape_kji[2] + change)
    with pytest.raises(GeometryError, match="one byte"):
        read(content, "label.bin")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/etc/passwd", "passwd"),
        ("..\\..\\a", "a"),
        ("a\n\x1b[31mb", "a___31mb"),
        ("..", "label"),
        ("", "label"),
        ("é" * 300, "é" * 50),
        ("a\udc80b", "a_b"),
    ],
)
def test_names_are_shown_harmlessly(name, shown):
    assert shown_name(name) == shown
    with pytest.raises(InputRefusedError, match=r"^(label|a|é|passwd)"):
        read(b"junk", f"{name}.nrrd")


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.ENOSPC, StoreFullError), (errno.EIO, InputRefusedError)]
)
def test_a_full_disk_is_told_from_a_file_that_cannot_be_read(monkeypatch, number, expected):
    def full(*args, **kwargs):
        raise OSError(number, "no")

    monkeypatch.setattr(received_map.tempfile, "TemporaryDirectory", full)
    with pytest.raises(expected, match=r"a\.nii"):
        take_in(b"abc", name="a.nii", grid=GRID, label_info=None, case="p01")


def test_a_received_file_that_is_gone_is_refused(tmp_path):
    for name in ("a.nii", "a.bin"):
        with pytest.raises(InputRefusedError, match="cannot be read"):
            read(tmp_path / "gone", name)
