import logging

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage
from tests.imaging.damage_dicom import encoded, series_head, slice_dataset, whole_series
from tests.imaging.heads import grid_of, head
from tests.imaging.test_sampling import rotation

from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.files import read_grid, read_volume
from parotid_brachy.lib.imaging.limits import FileLimits
from parotid_brachy.lib.imaging.volume import Volume


def write(folder, files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def series(tmp_path):
    return write(tmp_path / "patient 1", whole_series())


def test_a_series_is_the_volume_that_it_was_cut_from(series):
    volume = read_volume(series)
    assert volume.case == "patient 1"
    assert volume.voxels.dtype == np.int16
    assert np.array_equal(volume.voxels, series_head().voxels)
    assert volume.grid.is_same_as(series_head().grid, tolerance_mm=1e-6)


def test_the_grid_of_a_series_needs_no_pixels(series):
    for path in series.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.PixelData
        dataset.save_as(path)
    assert read_grid(series) == read_grid(write(series.parent / "whole", whole_series()))
    assert read_grid(series).is_same_as(series_head().grid, tolerance_mm=1e-6)


def test_order_comes_from_positions_not_from_names(tmp_path):
    files = whole_series()
    names, contents = list(files), list(files.values())
    order = np.random.default_rng(7).permutation(len(names))
    shuffled = {name: contents[other] for name, other in zip(names, order, strict=True)}
    volume = read_volume(write(tmp_path / "a", shuffled))
    assert np.array_equal(volume.voxels, series_head().voxels)


@pytest.mark.parametrize(
    "turn", [(0.0, 0.0, 0.0), (90.0, 0.0, 0.0), (4.0, -7.0, 11.0), (180.0, 0, 5.0)]
)
def test_oblique_series_lie_where_simpleitk_puts_them(tmp_path, turn):
    cut = head(grid_of((36, 40, 14), (5.0, 4.5, 9.0), rotation(*turn), (3.0, 40.0, -900.0)))
    cut = Volume(cut.grid, series_head().voxels, "oblique")
    folder = write(tmp_path / "a", {f"{k}.dcm": encoded(slice_dataset(cut, k)) for k in range(14)})
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    theirs = Volume.of(reader.Execute(), case="a")
    ours = read_volume(folder)
    assert ours.grid.is_same_as(theirs.grid, tolerance_mm=1e-2)
    assert np.array_equal(ours.voxels, theirs.voxels)


def test_each_slice_is_scaled_by_its_own_values(tmp_path):
    def change(one, k):
        stored = series_head().voxels[k].astype(np.int32) + 1000 + 20 * k
        one.PixelData = (2 * stored).astype("<u2").tobytes()
        one.RescaleSlope, one.RescaleIntercept = 0.5, -1000 - 20 * k

    volume = read_volume(write(tmp_path / "a", whole_series(change)))
    assert np.array_equal(volume.voxels, series_head().voxels)


def test_signed_pixels_are_read(tmp_path):
    def change(one, k):
        one.PixelRepresentation, one.RescaleIntercept = 1, 0
        one.PixelData = series_head().voxels[k].astype("<i2").tobytes()

    volume = read_volume(write(tmp_path / "a", whole_series(change)))
    assert np.array_equal(volume.voxels, series_head().voxels)


def test_run_length_packed_slices_are_unpacked(tmp_path):
    volume = read_volume(
        write(tmp_path / "a", whole_series(lambda one, _: one.compress(RLELossless)))
    )
    assert np.array_equal(volume.voxels, series_head().voxels)


def blank(*numbers):
    def change(one, k):
        if k in numbers:
            one.PixelData = bytes(len(one.PixelData))

    return change


def test_a_slice_without_a_picture_between_others_is_refused_by_name(tmp_path):
    folder = write(tmp_path / "s", whole_series(blank(5)))
    with pytest.raises(InputRefusedError, match=r"slice005\.dcm: all of its pixels are -1024 HU"):
        read_volume(folder)


def test_slices_without_a_picture_at_the_ends_are_taken(tmp_path):
    volume = read_volume(write(tmp_path / "s", whole_series(blank(0, 1, 13))))
    assert set(volume.voxels[[0, 1, 13]].flat) == {-1024}
    assert np.array_equal(volume.voxels[2:13], series_head().voxels[2:13])


def test_other_files_are_left_out_with_a_note(series, caplog):
    (series / "LICENSE.txt").write_text("notes")
    (series / "folder").mkdir()
    report = slice_dataset(series_head(), 0)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    report.SeriesInstanceUID += ".9"
    (series / "slice999.dcm").write_bytes(encoded(report))
    localizer = slice_dataset(series_head(), 3)
    localizer.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    (series / "slice998.dcm").write_bytes(encoded(localizer))
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(read_volume(series).voxels, series_head().voxels)
    assert "3 files left out" in caplog.text
    assert "LICENSE.txt" in caplog.text
    assert "localizer" in caplog.text


def test_a_damaged_end_slice_is_not_left_out_unseen(series):
    (series / "slice013.dcm").write_bytes(b"")
    with pytest.raises(InputRefusedError, match=r"slice013\.dcm is no DICOM file"):
        read_volume(series)


def test_of_several_series_one_can_be_chosen(series):
    def other(one, k):
        one.SeriesInstanceUID += ".5"
        one.SeriesNumber = 5
        one.RescaleIntercept = -1023

    write(series, {f"b{name}": content for name, content in whole_series(other).items()})
    with pytest.raises(InputRefusedError, match="2 CT series in one folder") as refusal:
        read_volume(series)
    uid = pydicom.dcmread(series / "bslice000.dcm").SeriesInstanceUID
    assert str(uid) in str(refusal.value)
    chosen = read_volume(series, series_uid=str(uid))
    assert np.array_equal(chosen.voxels, series_head().voxels + 1)
    with pytest.raises(InputRefusedError, match=r"no series '1\.2\.3'"):
        read_volume(series, series_uid="1.2.3")


def test_uneven_slices_name_the_gap(series):
    (series / "slice006.dcm").unlink()
    with pytest.raises(GeometryError, match=r"18\.000 mm between slice005\.dcm and slice007\.dcm"):
        read_volume(series)


def test_rounded_positions_are_even(tmp_path):
    def change(one, k):
        x, y, z = one.ImagePositionPatient
        one.ImagePositionPatient = [x, y, round(float(z) + 0.04 * (k % 2), 2)]

    assert read_volume(write(tmp_path / "a", whole_series(change))).grid.size_ijk == (36, 40, 14)


@pytest.mark.parametrize(
    ("limits", "fault"),
    [
        (FileLimits(slices=5), "14 files; at most 5"),
        (FileLimits(voxel_bytes=10_000), "GiB are read"),
        (FileLimits(slice_file_bytes=1000), r"slice000\.dcm: .*not one CT slice"),
    ],
)
def test_limits_hold_for_series_too(series, limits, fault):
    with pytest.raises(InputRefusedError, match=fault):
        read_volume(series, limits=limits)
