import dataclasses

import numpy as np
import pytest
from tests.review.maps import GRID, all_structures, as_file, as_segmentation, names_by_value

from parotid_brachy.lib.anatomy import AURICULA, GLAND, SKIN, STRUCTURES
from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.files import read_grid
from parotid_brachy.lib.imaging.limits import CT_LIMITS
from parotid_brachy.lib.imaging.nrrd_header import read_nrrd_header
from parotid_brachy.lib.imaging.segments import segments_of
from parotid_brachy.lib.review.intake import Intake, intake_of, labels_of, take_in

NAMES = [one.name for one in STRUCTURES]


def taken(received, name, label_info=None, grid=GRID):
    return take_in(received, name=name, grid=grid, label_info=label_info, case="p01")


def kept_names(intake: Intake, folder):
    path = folder / f"kept{intake.ending}"
    path.write_bytes(intake.content)
    return [segment.name for segment in segments_of(read_nrrd_header(path, CT_LIMITS))]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float64"])
def test_every_format_and_type_gives_the_same_kept_bytes(ending, dtype):
    labels = all_structures()
    intake = taken(as_file(labels.astype(dtype), ending), f"x.1{ending}", names_by_value())
    assert np.array_equal(intake.labels, labels)
    assert intake.content == intake_of(labels, GRID, STRUCTURES, case="p01").content
    assert intake.ending == ".seg.nrrd"


def test_ohifs_bytes_run_fastest_along_i():
    labels = all_structures()
    content = labels.transpose().tobytes(order="F")
    assert np.array_equal(taken(content, "label.bin", names_by_value()).labels, labels)


def test_a_file_is_taken_where_it_lies(tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(as_file(all_structures(), ".nii.gz"))
    assert np.array_equal(taken(path, "a.nii.gz").labels, all_structures())
    path.write_bytes(all_structures().tobytes())
    assert np.array_equal(taken(path, "a.bin").labels, all_structures())


def test_slicers_values_become_the_projects_by_their_names(tmp_path):
    """A map of two structures, numbered 1 and 2 by 3D Slicer, with a scribble segment before."""
    labels = np.zeros(GRID.shape_kji, dtype=np.int16)
    labels[3:6, 2:5, 2:5], labels[8:9, 2:5, 2:5] = 1, 2
    label_info = [{"name": "Parotid gland", "idx": 2}, {"name": "skin", "idx": 3}]
    intake = taken(as_file(labels, ".nii.gz"), "tmp.nii.gz", label_info)
    assert np.array_equal(intake.labels == GLAND.value, labels == 1)
    assert np.array_equal(intake.labels == SKIN.value, labels == 2)
    assert intake.volumes_ml == pytest.approx(
        {"skin": 9 * GRID.voxel_ml, "parotid_gland": 27 * GRID.voxel_ml}
    )
    assert kept_names(intake, tmp_path) == ["skin", "parotid_gland"]


def test_names_in_the_file_count_and_the_list_beside_it_does_not():
    layer = np.zeros(GRID.shape_kji, dtype=np.uint8)
    layer[3:6, 2:5, 2:5] = 4
    content = as_segmentation([layer], [("Auricula", 4, 0)])
    label_info = [{"name": "skin", "idx": 4}]
    for name in ("p01.nrrd", "p01.seg.nrrd"):
        intake = taken(content, name, label_info)
        assert np.array_equal(intake.labels == AURICULA.value, layer == 4)
        assert list(intake.volumes_ml) == ["auricula"]


def test_an_empty_structure_is_kept_by_its_name(tmp_path):
    layer = np.zeros(GRID.shape_kji, dtype=np.uint8)
    layer[3, 3, 3] = 1
    segments = [("skin", 1, 0), ("parotid_gland", 2, 0), ("drawing", 3, 0)]
    intake = taken(as_segmentation([layer], segments), "a.seg.nrrd")
    assert intake.volumes_ml == {"skin": GRID.voxel_ml, "parotid_gland": 0.0}
    assert intake.ignored == ("drawing",)
    assert kept_names(intake, tmp_path) == ["skin", "parotid_gland"]
    listed = taken(as_file(layer * 0, ".nii.gz"), "a.nii.gz", [{"name": "skin", "idx": 1}])
    assert listed.volumes_ml == {"skin": 0.0}


def test_slicers_background_and_scribbles_are_left_out_with_their_voxels():
    first, second = np.zeros((2, *GRID.shape_kji), dtype=np.uint8)
    first[3:6, 2:5, 2:5], second[:] = 1, 1
    segments = [("skin", 1, 0), ("background", 1, 1), ("foreground_scribbles", 2, 1)]
    intake = taken(as_segmentation([first, second], segments), "a.seg.nrrd")
    assert np.array_equal(intake.labels == SKIN.value, first == 1)
    assert np.count_nonzero(intake.labels) == 27


def test_a_map_of_nothing_named_is_refused():
    empty = np.zeros(GRID.shape_kji, dtype=np.uint8)
    for content, name, label_info in (
        (as_file(empty, ".nii.gz"), "a.nii.gz", []),
        (as_file(empty, ".nii.gz"), "a.nii.gz", [{"name": "tumour", "idx": 1}]),
        (as_segmentation([empty], []), "a.seg.nrrd", None),
    ):
        with pytest.raises(InputRefusedError, match=r"^p01: a\.(nii\.gz|seg\.nrrd): holds no str"):
            taken(content, name, label_info)


@pytest.mark.parametrize(
    ("segments", "fault"),
    [
        ([("skin", 1, 0), ("Skin", 2, 0)], "'skin' is named twice"),
        ([("tumour", 1, 0)], "'tumour' is no structure"),
        ([("skin", 1, 0), ("auricula", 1, 0)], "are the same voxels"),
        ([("skin", 3, 0)], "belong to none of its segments"),
    ],
)
def test_segments_of_unsure_meaning_are_refused(segments, fault):
    layer = np.zeros(GRID.shape_kji, dtype=np.uint8)
    layer[3, 3, 3] = 1
    with pytest.raises(InputRefusedError, match=rf"^p01: a\.seg\.nrrd: .*{fault}"):
        taken(as_segmentation([layer], segments), "a.seg.nrrd")


@pytest.mark.parametrize("value", [8, 255, 256, -1, 0.5, np.nan, np.inf])
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_values_that_are_no_structures_are_refused(value, ending):
    labels = all_structures().astype(np.float64)
    labels[2, 2, 2] = value
    with pytest.raises(InputRefusedError, match=rf"^p01: a\{ending}: .*value"):
        taken(as_file(labels, ending), f"a{ending}")


MOVED = dataclasses.replace(GRID, origin_lps_mm=tuple(np.add(GRID.origin_lps_mm, (0, 0, 0.02))))
MIRRORED = dataclasses.replace(GRID, direction=tuple(-value for value in GRID.direction))
LONGER = dataclasses.replace(GRID, size_ijk=(20, 18, 17))
STRETCHED = dataclasses.replace(GRID, spacing_mm=(2.0, 2.1, 2.502))


@pytest.mark.parametrize("other", [MOVED, MIRRORED, LONGER, STRETCHED])
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_a_map_that_is_off_the_images_grid_is_refused(other, ending):
    labels = np.ones(other.shape_kji, dtype=np.uint8)
    with pytest.raises(GeometryError, match=r"^p01: a\..*its grid is not the image's"):
        taken(as_file(labels, ending, other), f"a{ending}")


def test_a_map_within_the_tolerance_is_taken():
    near = dataclasses.replace(GRID, origin_lps_mm=tuple(np.add(GRID.origin_lps_mm, (0, 0, 0.009))))
    intake = taken(as_file(all_structures(), ".nii.gz", near), "a.nii.gz")
    assert intake.content == intake_of(all_structures(), GRID, STRUCTURES, case="p01").content


def test_a_kept_file_is_read_back_on_the_images_grid(tmp_path):
    intake = taken(as_file(all_structures(), ".nrrd"), "a.nrrd")
    path = tmp_path / f"kept{intake.ending}"
    path.write_bytes(intake.content)
    assert np.array_equal(labels_of(path, GRID), all_structures())
    assert read_grid(path).is_same_as(GRID, tolerance_mm=1e-6)


def test_the_kept_bytes_tell_only_of_map_and_names():
    content = intake_of(all_structures(), GRID, STRUCTURES, case="p01").content
    header = content[: content.index(b"\n\n")]
    assert b"#" not in header
    some = np.where(all_structures() == SKIN.value, SKIN.value, 0).astype(np.uint8)
    alone, both = ([SKIN], [GLAND, SKIN])
    assert intake_of(some, GRID, both, case="a").content != (
        intake_of(some, GRID, alone, case="a").content
    )
    assert intake_of(some, GRID, both, case="a").content == (
        intake_of(some, GRID, both[::-1], case="b").content
    )


def test_a_draft_must_fit_its_grid_and_its_names():
    with pytest.raises(GeometryError, match=r"^p01: labels of shape"):
        intake_of(all_structures()[1:], GRID, STRUCTURES, case="p01")
    with pytest.raises(InputRefusedError, match=r"^p01: values \[1, 2"):
        intake_of(all_structures(), GRID, [GLAND], case="p01")
    with pytest.raises(InputRefusedError, match="named twice"):
        intake_of(all_structures() * 0, GRID, [GLAND, GLAND], case="p01")
