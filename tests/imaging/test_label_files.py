import gzip

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from tests.imaging.heads import grid_of
from tests.imaging.test_sampling import rotation

from parotid_brachy.lib.anatomy import AURICULA, GLAND, SKIN, STRUCTURES
from parotid_brachy.lib.errors import GeometryError, InputRefusedError, UsageError
from parotid_brachy.lib.imaging.files import read_label_map, write_label_map
from parotid_brachy.lib.imaging.volume import Grid, Volume, to_image

GRID = grid_of((20, 18, 16), (0.9, 1.1, 2.0), rotation(5.0, -8.0, 20.0), (12.0, -40.0, 600.0))
SUFFIXES = (".nii.gz", ".nrrd", ".seg.nrrd")


@pytest.fixture
def labels():
    labels = np.zeros(GRID.shape_kji, dtype=np.uint8)
    for structure in STRUCTURES:
        labels[2 * structure.value - 1 : 2 * structure.value + 1, 3:9, 4:11] = structure.value
    return labels


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_written_map_is_read_back_unchanged(tmp_path, labels, suffix):
    write_label_map(tmp_path / f"a{suffix}", labels, GRID)
    assert np.array_equal(read_label_map(tmp_path / f"a{suffix}", GRID), labels)
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_simpleitk_reads_the_same_map_on_the_same_grid(tmp_path, labels, suffix):
    write_label_map(tmp_path / f"a{suffix}", labels, GRID)
    theirs = Volume.of(sitk.ReadImage(str(tmp_path / f"a{suffix}")), case="a")
    assert theirs.voxels.dtype == np.uint8
    assert np.array_equal(theirs.voxels, labels)
    assert theirs.grid.is_same_as(GRID, tolerance_mm=1e-3)


def test_the_same_map_gives_the_same_bytes(tmp_path, labels):
    for suffix in SUFFIXES:
        for name in ("a", "b"):
            write_label_map(tmp_path / f"{name}{suffix}", labels, GRID)
        first, second = (tmp_path / f"{name}{suffix}" for name in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()


def test_no_header_tells_when_it_was_written(tmp_path, labels):
    write_label_map(tmp_path / "a.seg.nrrd", labels, GRID)
    assert b"\n#" not in (tmp_path / "a.seg.nrrd").read_bytes().partition(b"\n\n")[0]


def test_a_segmentation_tells_slicer_names_colours_and_values(tmp_path, labels):
    write_label_map(tmp_path / "a.seg.nrrd", labels, GRID)
    header = nrrd.read_header(str(tmp_path / "a.seg.nrrd"))
    assert header["space"] == "left-posterior-superior"
    for number, structure in enumerate(STRUCTURES):
        assert header[f"Segment{number}_ID"] == structure.name
        assert header[f"Segment{number}_LabelValue"] == str(structure.value)
        assert header[f"Segment{number}_Layer"] == "0"
        assert header[f"Segment{number}_Extent"] == "0 19 0 17 0 15"
        colour = [float(part) for part in header[f"Segment{number}_Color"].split()]
        assert np.allclose(np.asarray(colour) * 255, structure.colour, atol=0.01)
        assert f"SCT^{structure.coded.value}^" in header[f"Segment{number}_Tags"]
    assert header["Segmentation_MasterRepresentation"] == "Binary labelmap"


def test_a_segmentation_of_the_gland_alone_names_only_the_gland(tmp_path, labels):
    write_label_map(
        tmp_path / "a.seg.nrrd", (labels == 7).astype(np.uint8) * 7, GRID, structures=[GLAND]
    )
    header = nrrd.read_header(str(tmp_path / "a.seg.nrrd"))
    assert header["Segment0_Name"] == GLAND.name
    assert "Segment1_Name" not in header


def test_a_map_replaces_an_older_one_whole(tmp_path, labels):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"older")
    write_label_map(path, labels, GRID)
    assert np.array_equal(read_label_map(path, GRID), labels)


def test_a_map_that_cannot_be_written_leaves_nothing(tmp_path, labels):
    with pytest.raises(OSError, match="missing"):
        write_label_map(tmp_path / "missing" / "a.nii.gz", labels, GRID)
    with pytest.raises(UsageError, match="written as"):
        write_label_map(tmp_path / "a.png", labels, GRID)
    with pytest.raises(GeometryError, match="shape"):
        write_label_map(tmp_path / "a.nii.gz", labels[1:], GRID)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_map_on_another_grid_is_refused(tmp_path, labels, suffix):
    write_label_map(tmp_path / f"a{suffix}", labels, GRID)
    moved = Grid(GRID.size_ijk, GRID.spacing_mm, (13.0, -40.0, 600.0), GRID.direction)
    with pytest.raises(GeometryError, match="its grid is not the image's"):
        read_label_map(tmp_path / f"a{suffix}", moved)


@pytest.mark.parametrize("dtype", ["int16", "int64", "uint32", "float32", "float64"])
def test_whole_numbers_of_any_type_are_labels(tmp_path, labels, dtype):
    sitk.WriteImage(to_image(labels.astype(dtype), GRID), str(tmp_path / "a.nrrd"))
    assert np.array_equal(read_label_map(tmp_path / "a.nrrd", GRID), labels)


@pytest.mark.parametrize("value", [0.5, -1.0, 8.0, 255.0, 256.0, 1e9, np.nan, np.inf])
def test_other_values_are_refused(tmp_path, labels, value):
    wrong = labels.astype(np.float64)
    wrong[3, 4, 5] = value
    sitk.WriteImage(to_image(wrong, GRID), str(tmp_path / "a.nrrd"))
    with pytest.raises(InputRefusedError, match=r"^a\.nrrd: .*value"):
        read_label_map(tmp_path / "a.nrrd", GRID)


def slicer_file(path, layers, segments, grid=GRID):
    """A segmentation as 3D Slicer writes it: layers first, fields for each segment."""
    header = {
        "space": "left-posterior-superior",
        "kinds": ["list", "domain", "domain", "domain"],
        "space directions": np.vstack([np.full(3, np.nan), grid.matrix.T]),
        "space origin": np.asarray(grid.origin_lps_mm),
        "encoding": "gzip",
    }
    for number, (name, value, layer) in enumerate(segments):
        header[f"Segment{number}_ID"] = f"Segment_{number}"
        header[f"Segment{number}_Name"] = name
        header[f"Segment{number}_LabelValue"] = str(value)
        header[f"Segment{number}_Layer"] = str(layer)
    nrrd.write(str(path), np.stack([layer.T for layer in layers]), header)


def test_segments_are_known_by_name_whatever_their_value_and_layer(tmp_path):
    first, second = np.zeros((2, *GRID.shape_kji), dtype=np.uint8)
    first[2:4, 3:6, 3:6] = 1
    first[6:8, 3:6, 3:6] = 2
    second[10:12, 3:6, 3:6] = 1
    segments = [("Parotid gland", 1, 0), ("skin", 2, 0), ("Auricula", 1, 1), ("drawing", 9, 0)]
    slicer_file(tmp_path / "a.seg.nrrd", [first, second], segments)
    read = read_label_map(tmp_path / "a.seg.nrrd", GRID)
    assert np.array_equal(read == GLAND.value, first == 1)
    assert np.array_equal(read == SKIN.value, first == 2)
    assert np.array_equal(read == AURICULA.value, second == 1)


def test_segments_on_a_part_of_the_grid_return_to_their_place(tmp_path):
    labels = np.zeros(GRID.shape_kji, dtype=np.uint8)
    labels[5:9, 6:10, 7:12] = 1
    part = GRID.cropped((6, 5, 4), (14, 12, 10))
    slicer_file(tmp_path / "a.seg.nrrd", [labels[4:10, 5:12, 6:14]], [("skin", 1, 0)], part)
    read = read_label_map(tmp_path / "a.seg.nrrd", GRID)
    assert np.array_equal(read, labels * SKIN.value)


def test_segments_between_the_images_voxels_are_refused(tmp_path):
    part = GRID.cropped((6, 5, 4), (14, 12, 10))
    off = Grid(
        part.size_ijk, part.spacing_mm, tuple(part.to_lps_mm(np.full(3, 0.3))), part.direction
    )
    slicer_file(tmp_path / "a.seg.nrrd", [np.ones(off.shape_kji, "u1")], [("skin", 1, 0)], off)
    with pytest.raises(GeometryError, match="its grid is not the image's"):
        read_label_map(tmp_path / "a.seg.nrrd", GRID)


def test_segments_outside_the_image_are_refused_unless_empty(tmp_path):
    beyond = GRID.cropped((15, 5, 4), (25, 12, 10))
    layer = np.zeros(beyond.shape_kji, dtype=np.uint8)
    layer[2, 2, 2] = 1
    slicer_file(tmp_path / "a.seg.nrrd", [layer], [("skin", 1, 0)], beyond)
    assert np.argwhere(read_label_map(tmp_path / "a.seg.nrrd", GRID)).tolist() == [[6, 7, 17]]
    layer[2, 2, 9] = 1
    slicer_file(tmp_path / "a.seg.nrrd", [layer], [("skin", 1, 0)], beyond)
    with pytest.raises(GeometryError, match="labels outside the image"):
        read_label_map(tmp_path / "a.seg.nrrd", GRID)


def test_overlapping_segments_are_refused_with_their_number_of_voxels(tmp_path):
    first, second = np.zeros((2, *GRID.shape_kji), dtype=np.uint8)
    first[2:6, 3:6, 3:6] = 1
    second[5:8, 3:6, 3:6] = 1
    slicer_file(tmp_path / "a.seg.nrrd", [first, second], [("skin", 1, 0), ("auricula", 1, 1)])
    with pytest.raises(InputRefusedError, match="'auricula' overlaps 'skin' in 9 voxels"):
        read_label_map(tmp_path / "a.seg.nrrd", GRID)


@pytest.mark.parametrize(
    ("segments", "fault"),
    [
        ([("tumour", 1, 0)], "'tumour' is no structure"),
        ([("skin", 2, 0)], "64 voxels belong to none"),
        ([("skin", 1, 3)], "in layer 3 of 1"),
    ],
)
def test_unknown_segments_are_refused(tmp_path, segments, fault):
    layer = np.zeros(GRID.shape_kji, dtype=np.uint8)
    layer[2:6, 2:6, 2:6] = 1
    slicer_file(tmp_path / "a.seg.nrrd", [layer], segments)
    with pytest.raises(InputRefusedError, match=fault):
        read_label_map(tmp_path / "a.seg.nrrd", GRID)


def test_scaled_values_are_refused(tmp_path, labels):
    write_label_map(tmp_path / "a.nii.gz", labels, GRID)
    content = bytearray(gzip.decompress((tmp_path / "a.nii.gz").read_bytes()))
    content[112:120] = np.asarray([2, 0], dtype="<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(InputRefusedError, match="values are scaled"):
        read_label_map(tmp_path / "a.nii", GRID)


def test_layers_without_segments_are_refused(tmp_path):
    slicer_file(tmp_path / "a.seg.nrrd", [np.zeros(GRID.shape_kji, "u1")] * 2, [])
    with pytest.raises(InputRefusedError, match="several layers"):
        read_label_map(tmp_path / "a.seg.nrrd", GRID)


@pytest.mark.parametrize(
    ("field", "value"),
    [("LabelValue", "x"), ("LabelValue", "0"), ("LabelValue", "-1"), ("Layer", "")],
)
def test_damaged_segment_fields_are_refused(tmp_path, labels, field, value):
    write_label_map(tmp_path / "a.seg.nrrd", labels, GRID)
    content = (tmp_path / "a.seg.nrrd").read_bytes()
    lines = content.split(b"\n")
    key = f"Segment0_{field}:=".encode()
    where = next(n for n, line in enumerate(lines) if line.startswith(key))
    lines[where] = key + value.encode()
    (tmp_path / "a.seg.nrrd").write_bytes(b"\n".join(lines))
    with pytest.raises(InputRefusedError, match="damaged segment 'auricula'"):
        read_label_map(tmp_path / "a.seg.nrrd", GRID)


def test_an_empty_segmentation_of_one_voxel_is_an_empty_map(tmp_path):
    one = GRID.cropped((0, 0, 0), (1, 1, 1))
    slicer_file(tmp_path / "a.seg.nrrd", [np.zeros((1, 1, 1), "u1")], [("skin", 1, 0)], one)
    assert not read_label_map(tmp_path / "a.seg.nrrd", GRID).any()
