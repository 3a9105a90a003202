import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless
from scripts.measure.crash_disk import small_disk
from tests.dicom.contoured_series import GRIDS, content, dciodvfy_errors, masks, write_ct

from parotid_brachy.lib.anatomy import STRUCTURES, Side
from parotid_brachy.lib.dicom.contour_content import Origin
from parotid_brachy.lib.dicom.exporting import export_case
from parotid_brachy.lib.dicom.segmentation.reading import read_segmentation
from parotid_brachy.lib.dicom.source_series import read_source_series
from parotid_brachy.lib.dicom.structure_set.reading import read_structure_set
from parotid_brachy.lib.errors import GeometryError, InputRefusedError, StoreFullError
from parotid_brachy.lib.imaging.volume import Grid

ORDERS = ("forward", "reversed", "shuffled")
SERIES = [(name, ORDERS[n % 3]) for n, name in enumerate(GRIDS)]
SERIES += [("straight", "reversed"), ("straight", "shuffled")]


@pytest.mark.parametrize(("name", "order"), SERIES)
def test_the_same_masks_come_back_exactly_from_both_objects(tmp_path, name, order):
    folder = write_ct(tmp_path / "ct", GRIDS[name], order=order)
    series = read_source_series(folder)
    labels = masks(series.grid.shape_kji)
    assert len(np.unique(labels)) == 8
    done = export_case(labels, series.grid, folder, tmp_path / "out", content(approved=True))
    assert done.structures == STRUCTURES
    assert dciodvfy_errors(done.seg) == []
    assert dciodvfy_errors(done.rtstruct) == []
    for read in (read_segmentation(done.seg, series), read_structure_set(done.rtstruct, series)):
        assert np.array_equal(read.labels, labels)
        assert read.side is Side.RIGHT
        assert set(read.sources) == set(STRUCTURES)
        assert (read.not_taken, read.overlaps) == ((), ())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["rtstruct.dcm", "seg.dcm"]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = write_ct(tmp_path_factory.mktemp("series") / "ct", GRIDS["straight"])
    return folder, read_source_series(folder)


def test_highdicom_reads_the_segments_under_their_own_names(straight, tmp_path):
    folder, series = straight
    labels = masks(series.grid.shape_kji)
    labels[labels == 1] = 0
    labels[labels == 4] = 0
    done = export_case(labels, series.grid, folder, tmp_path, content())
    seg = highdicom.seg.segread(str(done.seg))
    described = [seg.get_segment_description(n) for n in seg.segment_numbers]
    held = [s for s in STRUCTURES if s.value in labels]
    assert [one.segment_label for one in described] == [s.name for s in held]
    pixels = seg.get_pixels_by_source_instance(
        list(series.instance_uids),
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    for number, structure in enumerate(held):
        assert np.array_equal(pixels[..., number] > 0, labels == structure.value)


@pytest.mark.parametrize("origin", list(Origin))
def test_how_the_contours_came_about_stands_in_both(straight, tmp_path, origin):
    folder, series = straight
    labels = masks(series.grid.shape_kji)
    done = export_case(labels, series.grid, folder, tmp_path, content(origin=origin))
    seg, rtstruct = pydicom.dcmread(done.seg), pydicom.dcmread(done.rtstruct)
    assert {one.SegmentAlgorithmType for one in seg.SegmentSequence} == {origin.value}
    regions = rtstruct.StructureSetROISequence
    assert {one.ROIGenerationAlgorithm for one in regions} == {origin.value}
    names = {one.get("SegmentAlgorithmName") for one in seg.SegmentSequence}
    assert names == ({None} if origin is Origin.MANUAL else {"parotid-brachy 0.1.0"})
    assert dciodvfy_errors(done.seg) == dciodvfy_errors(done.rtstruct) == []


def shifted(grid):
    return Grid(grid.size_ijk, grid.spacing_mm, (0.0, 0.0, 0.0), grid.direction)


def flipped(grid):
    turned = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
    return Grid(grid.size_ijk, grid.spacing_mm, grid.origin_lps_mm, turned)


def halved(grid):
    return grid.cropped((0, 0, 0), (20, 18, 6))


def stretched(grid):
    return Grid(grid.size_ijk, (1.0, 1.0, 2.9), grid.origin_lps_mm, grid.direction)


@pytest.mark.parametrize("wrong", [shifted, flipped, halved, stretched])
def test_a_map_on_another_grid_is_refused_and_nothing_is_written(straight, tmp_path, wrong):
    folder, series = straight
    grid = wrong(series.grid)
    labels = np.full(grid.shape_kji, 7, np.uint8)
    with pytest.raises(GeometryError, match="grid is not the image's"):
        export_case(labels, grid, folder, tmp_path / "out", content())
    assert not (tmp_path / "out").exists()


def test_an_empty_map_is_refused_in_plain_words(straight, tmp_path):
    folder, series = straight
    labels = np.zeros(series.grid.shape_kji, np.uint8)
    with pytest.raises(InputRefusedError, match="nothing to export"):
        export_case(labels, series.grid, folder, tmp_path / "out", content())
    labels[0, 0, 0] = 9
    with pytest.raises(InputRefusedError, match=r"values \[9\]"):
        export_case(labels, series.grid, folder, tmp_path / "out", content())
    assert not (tmp_path / "out").exists()


def test_a_second_series_in_the_folder_is_refused(tmp_path):
    folder = write_ct(tmp_path / "ct", GRIDS["straight"])
    grid = read_source_series(folder).grid
    for path in sorted(folder.glob("*.dcm")):
        one = pydicom.dcmread(path)
        one.SeriesInstanceUID += ".5"
        one.save_as(folder / f"b{path.name}")
    with pytest.raises(InputRefusedError, match="2 CT series"):
        export_case(masks(grid.shape_kji), grid, folder, tmp_path / "out", content())


def test_other_files_beside_the_series_do_not_get_in(tmp_path):
    folder = write_ct(tmp_path / "ct", GRIDS["straight"])
    (folder / "notes.txt").write_text("not a slice")
    series = read_source_series(folder)
    done = export_case(
        masks(series.grid.shape_kji), series.grid, folder, tmp_path / "out", content()
    )
    read = read_segmentation(done.seg, series)
    assert np.array_equal(read.labels, masks(series.grid.shape_kji))


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Jörg^Ünal"),
        ("ISO_IR 192", "山田^太郎"),
        ("ISO_IR 144", "\u0418\u0432\u0430\u043d"),
    ],
)
def test_a_patient_keeps_the_name_in_any_character_set(tmp_path, charset, name):
    folder = write_ct(tmp_path / "ct", GRIDS["straight"])
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        one.SpecificCharacterSet, one.PatientName = charset, name
        one.save_as(path)
    series = read_source_series(folder)
    labels = masks(series.grid.shape_kji)
    done = export_case(labels, series.grid, folder, tmp_path / "out", content())
    for path in (done.seg, done.rtstruct):
        assert str(pydicom.dcmread(path).PatientName) == name
        assert dciodvfy_errors(path) == []


def test_a_packed_series_is_as_good(tmp_path):
    folder = write_ct(tmp_path / "ct", GRIDS["straight"])
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        one.compress(RLELossless)
        one.save_as(path)
    series = read_source_series(folder)
    labels = masks(series.grid.shape_kji)
    done = export_case(labels, series.grid, folder, tmp_path / "out", content())
    assert np.array_equal(read_segmentation(done.seg, series).labels, labels)
    assert dciodvfy_errors(done.seg) == []


def test_slices_that_share_an_identifier_are_refused(tmp_path):
    folder = write_ct(tmp_path / "ct", GRIDS["straight"])
    first, second = sorted(folder.glob("*.dcm"))[:2]
    one, other = pydicom.dcmread(first), pydicom.dcmread(second)
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    other.save_as(second)
    with pytest.raises(InputRefusedError, match="same SOPInstanceUID"):
        read_source_series(folder)


def test_a_full_disk_leaves_the_earlier_export_as_it_was(straight, tmp_path):
    folder, series = straight
    labels = masks(series.grid.shape_kji)
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        with small_disk(disk, 1):
            done = export_case(labels, series.grid, folder, disk / "out", content())
            before = {p.name: p.read_bytes() for p in (disk / "out").iterdir()}
            (disk / "filler").write_bytes(bytes(_room(disk) - 8192))
            with pytest.raises(StoreFullError, match="is full"):
                export_case(labels, series.grid, folder, disk / "out", content(reader="other"))
            assert {p.name: p.read_bytes() for p in (disk / "out").iterdir()} == before
            assert np.array_equal(read_segmentation(done.seg, series).labels, labels)
    except RuntimeError as error:
        pytest.skip(str(error))


def test_a_full_disk_for_temporary_files_is_named_too(straight, tmp_path, monkeypatch):
    folder, series = straight
    labels = masks(series.grid.shape_kji)
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        with small_disk(disk, 1):
            monkeypatch.setattr("tempfile.tempdir", str(disk))
            (disk / "filler").write_bytes(bytes(_room(disk) - 40_000))
            with pytest.raises(StoreFullError, match=r"full|no room"):
                export_case(labels, series.grid, folder, tmp_path / "out", content())
            assert [p.name for p in disk.iterdir()] == ["filler"]
            assert not (tmp_path / "out").exists()
    except RuntimeError as error:
        pytest.skip(str(error))


def _room(disk):
    import shutil

    return shutil.disk_usage(disk).free
