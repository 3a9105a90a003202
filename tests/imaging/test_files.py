import gzip
import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from tests.imaging.damage import whole_nifti
from tests.imaging.damage_text import metaimage_parts, nrrd_parts, whole_metaimage, whole_nrrd
from tests.imaging.heads import grid_of, head
from tests.imaging.test_sampling import ORIENTATIONS, reoriented, rotation

from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.files import case_of, read_grid, read_volume
from parotid_brachy.lib.imaging.limits import FileLimits
from parotid_brachy.lib.imaging.volume import Volume, to_image

FORMATS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


def written(volume, path, dtype=None):
    image = to_image(volume.voxels if dtype is None else volume.voxels.astype(dtype), volume.grid)
    sitk.WriteImage(image, str(path), useCompression=path.suffix not in (".nii", ".nhdr", ".mhd"))
    return path


def same_volume(read, wanted, tolerance_mm=1e-3):
    assert read.grid.is_same_as(wanted.grid, tolerance_mm=tolerance_mm)
    assert np.array_equal(read.voxels, wanted.voxels)


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_volume_that_simpleitk_wrote(tmp_path, suffix):
    volume = head()
    read = read_volume(written(volume, tmp_path / f"case 1{suffix}"))
    same_volume(read, volume)
    assert read.voxels.dtype == np.int16
    assert read.case == "case 1"


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_grid_alone_is_the_volumes_and_needs_no_voxels(tmp_path, suffix):
    path = written(head(), tmp_path / f"head{suffix}")
    assert read_grid(path) == read_volume(path).grid
    if suffix not in (".nhdr", ".mhd"):
        path.write_bytes(path.read_bytes()[:2000])
        assert read_grid(path).is_same_as(head().grid)
        with pytest.raises(InputRefusedError):
            read_volume(path)


def test_the_grid_alone_is_checked_as_a_volumes(tmp_path):
    thin = head(grid_of((30, 30, 9), (4.0, 4.0, 0.05)))
    with pytest.raises(GeometryError, match=r"a CT has 0\.1 to 10 mm"):
        read_grid(written(thin, tmp_path / "thin.nii.gz"))
    with pytest.raises(InputRefusedError, match="no such file"):
        read_grid(tmp_path / "none.nii.gz")


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_all_48_orientations_lie_where_simpleitk_puts_them(tmp_path, suffix, order, flips):
    small = head(grid_of((14, 16, 18), (11.0 - 2, 9.5, 8.0)))
    path = written(reoriented(small, order, flips), tmp_path / f"head{suffix}")
    same_volume(read_volume(path), Volume.of(sitk.ReadImage(str(path)), case="head"))


@pytest.mark.parametrize(
    ("suffix", "turn"),
    itertools.product(FORMATS, [(3.0, -7.0, 12.0), (40.0, 25.0, -130.0), (0.0, 90.5, 179.0)]),
)
def test_oblique_volumes_lie_where_simpleitk_puts_them(tmp_path, suffix, turn):
    volume = head(grid_of((30, 34, 28), (6.0, 5.5, 7.0), rotation(*turn)))
    path = written(volume, tmp_path / f"head{suffix}")
    read = read_volume(path)
    same_volume(read, Volume.of(sitk.ReadImage(str(path)), case="head"), tolerance_mm=5e-3)
    same_volume(read, volume, tolerance_mm=5e-3)


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_whole_numbers_of_any_type_become_int16(tmp_path, dtype, suffix):
    read = read_volume(written(head(), tmp_path / f"a{suffix}", dtype))
    same_volume(read, head())
    assert read.voxels.dtype == np.int16


def test_fractions_become_float32(tmp_path):
    volume = head()
    fractions = Volume(volume.grid, volume.voxels + 0.25, "head")
    read = read_volume(written(fractions, tmp_path / "a.nii.gz"))
    assert read.voxels.dtype == np.float32
    assert np.array_equal(read.voxels, fractions.voxels.astype(np.float32))


@pytest.mark.parametrize("kind", ["u2", "u4", "u8", "i8"])
def test_unsigned_and_64_bit_numbers_with_a_stated_offset_become_hu(tmp_path, kind):
    volume = head()
    image = nibabel.Nifti1Image(
        (volume.voxels.T.astype(np.int64) + 1024).astype(kind),
        np.diag([-4.0, -4.0, 5.0, 1.0]),
        dtype=kind,
    )
    image.header.set_slope_inter(1, -1024)
    content = bytearray(image.to_bytes())
    content[112:120] = np.asarray([1, -1024], dtype="<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    read = read_volume(tmp_path / "a.nii")
    assert read.voxels.dtype == np.int16
    assert np.array_equal(read.voxels, volume.voxels)


def test_an_unstated_offset_is_named_not_guessed(tmp_path):
    volume = head()
    shifted = Volume(volume.grid, (volume.voxels + 1024).astype(np.uint16), "head")
    with pytest.raises(InputRefusedError, match="offset of 1000 or 1024") as refusal:
        read_volume(written(shifted, tmp_path / "a.nrrd"))
    assert "a.nrrd" in str(refusal.value)


def test_big_endian_files_are_read(tmp_path):
    image = nibabel.load(written(head(), tmp_path / "a.nii"))
    header = image.header.as_byteswapped(">")
    swapped = nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine, header)
    (tmp_path / "b.nii").write_bytes(swapped.to_bytes())
    assert swapped.header.endianness == ">"
    same_volume(read_volume(tmp_path / "b.nii"), head())
    big = whole_nrrd(endian="big")[: len(nrrd_parts(endian="big")[0])]
    (tmp_path / "c.nrrd").write_bytes(big + head().voxels.astype(">i2").tobytes())
    same_volume(read_volume(tmp_path / "c.nrrd"), head())


def test_nifti_2_is_read(tmp_path):
    volume = head()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.block(
        [[volume.grid.matrix, np.asarray(volume.grid.origin_lps_mm)[:, None]], [0, 0, 0, 1]]
    )
    image = nibabel.Nifti2Image(volume.voxels.T, affine)
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    same_volume(read_volume(tmp_path / "a.nii"), volume)


def test_a_nifti_of_four_dimensions_with_one_volume_is_a_volume(tmp_path):
    content = bytearray(whole_nifti())
    content[40:56] = np.asarray([4, 44, 52, 40, 1, 1, 1, 1], dtype="<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    same_volume(read_volume(tmp_path / "a.nii"), head())


def test_gzip_files_of_several_members_are_read(tmp_path):
    whole = whole_nifti()
    parts = [gzip.compress(part) for part in (whole[:1000], whole[1000:50000], whole[50000:])]
    (tmp_path / "a.nii.gz").write_bytes(b"".join(parts))
    same_volume(read_volume(tmp_path / "a.nii.gz"), head())


@pytest.mark.parametrize("space", ["right-anterior-superior", "RAS"])
def test_nrrd_in_ras_lies_as_simpleitk_puts_it(tmp_path, space):
    (tmp_path / "a.nrrd").write_bytes(whole_nrrd(space=space.replace("RAS", space)))
    theirs = Volume.of(sitk.ReadImage(str(tmp_path / "a.nrrd")), case="a")
    same_volume(read_volume(tmp_path / "a.nrrd"), theirs)


def test_a_detached_data_file_must_not_be_a_link(tmp_path):
    header, voxels = nrrd_parts(data_file="a.raw")
    (tmp_path / "a.nhdr").write_bytes(header)
    (tmp_path / "real").write_bytes(voxels)
    (tmp_path / "a.raw").symlink_to(tmp_path / "real")
    with pytest.raises(InputRefusedError, match="is a link"):
        read_volume(tmp_path / "a.nhdr")
    (tmp_path / "a.raw").unlink()
    (tmp_path / "a.raw").write_bytes(voxels)
    same_volume(read_volume(tmp_path / "a.nhdr"), head())


def test_text_headers_written_by_hand_are_the_small_head(tmp_path):
    for name, content in (
        ("a.nrrd", whole_nrrd()),
        ("b.nrrd", whole_nrrd("gzip")),
        ("c.mha", whole_metaimage()),
        ("d.mha", b"".join(metaimage_parts(CompressedData="True"))),
    ):
        (tmp_path / name).write_bytes(content)
        same_volume(read_volume(tmp_path / name), head(), tolerance_mm=1e-9)


def test_memory_limits_come_from_the_header_before_the_voxels(tmp_path):
    (tmp_path / "a.nii").write_bytes(whole_nifti())
    with pytest.raises(InputRefusedError, match="GiB are read"):
        read_volume(tmp_path / "a.nii", limits=FileLimits(voxel_bytes=100_000))


def test_the_case_can_be_named(tmp_path):
    (tmp_path / "a.nii").write_bytes(whole_nifti())
    assert read_volume(tmp_path / "a.nii", case="case_7").case == "case_7"


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("a.nii", "a"),
        ("a.b.nii.gz", "a.b"),
        ("A.NII.GZ", "A"),
        ("a.seg.nrrd", "a"),
        ("a.mha", "a"),
        ("a", "a"),
        (".nii", ".nii"),
        ("scan.dcm", "scan.dcm"),
    ],
)
def test_a_case_is_called_by_its_file(tmp_path, name, case):
    assert case_of(tmp_path / name) == case


def test_a_folder_keeps_its_whole_name(tmp_path):
    (tmp_path / "study.nii").mkdir()
    assert case_of(tmp_path / "study.nii") == "study.nii"


@pytest.mark.parametrize("name", ["a.nii", "a.nrrd", "a.mha", "a.txt", "a"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(InputRefusedError, match=f"^{name}: no such file"):
        read_volume(tmp_path / name)


def test_unknown_kinds_of_file_are_refused_with_the_known_ones(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputRefusedError, match=r"a\.png: unknown kind.*\.nii\.gz.*DICOM"):
        read_volume(tmp_path / "a.png")


def test_a_single_dicom_file_points_to_its_folder(tmp_path):
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM" + bytes(100))
    with pytest.raises(InputRefusedError, match=r"a\.dcm: a single DICOM file.*folder"):
        read_volume(tmp_path / "a.dcm")


def test_forms_that_differ_by_less_than_half_a_voxel_are_one_geometry(tmp_path):
    content = bytearray(whole_nifti())
    offset = np.frombuffer(content, dtype="<f4", count=1, offset=268)[0]
    content[268:272] = np.float32(offset + 0.5).tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    same_volume(read_volume(tmp_path / "a.nii"), head())
    content[268:272] = np.float32(offset + 3.0).tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(GeometryError, match=r"3\.0 mm apart"):
        read_volume(tmp_path / "a.nii")
