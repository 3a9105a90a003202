import json
from dataclasses import replace

import numpy as np
import pytest
from tests.imaging.heads import grid_of, head, positions_of
from tests.segmentation.painted import HU_OF, painted_head
from tests.segmentation.studies import write_case, write_ct

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK, SKIN, Side
from parotid_brachy.lib.errors import GeometryError, InputRefusedError, TrainingError
from parotid_brachy.lib.imaging.files import write_label_map
from parotid_brachy.lib.segmentation.presets import Step, preset_for
from parotid_brachy.lib.segmentation.training_cases import TrainingCase, find_cases
from parotid_brachy.lib.segmentation.training_data import median_spacing, samples_of

GLAND_PRESET = preset_for("compact", Step.GLAND)
ORGANS_PRESET = preset_for("compact", Step.ORGANS_AT_RISK)
SPACING = (2.0, 2.0, 2.0)
IGNORE = len(ORGANS_PRESET.structures) + 1


@pytest.fixture(scope="module")
def painted():
    return painted_head(grid_of((84, 68, 64), (2.5, 3.0, 3.0)))


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_images_and_maps_are_paired_by_name_whatever_their_suffix(tmp_path):
    for name in ("a.nii.gz", "b.nrrd", "c.mha", "d.nii.gz", "notes.txt"):
        touch(tmp_path / "images" / name)
    for name in ("a.nii.gz", "b.nii.gz", "c.nrrd", "e.nii.gz", "notes.txt"):
        touch(tmp_path / "labels" / name)
    found = find_cases(tmp_path / "images", tmp_path / "labels")
    assert [(c.case, c.side, c.image.name, c.labels.name) for c in found] == [
        ("a", None, "a.nii.gz", "a.nii.gz"),
        ("b", None, "b.nrrd", "b.nii.gz"),
        ("c", None, "c.mha", "c.nrrd"),
    ]


def test_maps_by_side_are_found_and_full_ones_are_preferred(tmp_path):
    for name in ("a", "b"):
        touch(tmp_path / "images" / f"{name}.nii.gz")
    for name in ("left_full/a", "left_roi17/a", "right_roi17/a", "right/b"):
        touch(tmp_path / "labels" / f"{name}.nii.gz")
    found = find_cases(tmp_path / "images", tmp_path / "labels")
    assert [(c.case, c.side, c.labels.parent.name) for c in found] == [
        ("a", Side.LEFT, "left_full"),
        ("a", Side.RIGHT, "right_roi17"),
        ("b", Side.RIGHT, "right"),
    ]


def test_a_file_beside_the_maps_says_what_was_contoured(tmp_path):
    for name in ("a", "b"):
        touch(tmp_path / "images" / f"{name}.nii.gz")
    for name in ("left_full/a", "right_full/a", "b"):
        touch(tmp_path / "labels" / f"{name}.nii.gz")
    for folder, told in ((".", {"b": ["skin"]}), ("left_full", {"a": ["skin", "parotid_gland"]})):
        (tmp_path / "labels" / folder / "contoured.json").write_text(json.dumps(told))
    found = find_cases(tmp_path / "images", tmp_path / "labels")
    assert [(c.case, c.side, c.contoured) for c in found] == [
        ("a", Side.LEFT, {"skin", "parotid_gland"}),
        ("a", Side.RIGHT, None),
        ("b", None, {"skin"}),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not readable as JSON"),
        ("[" * 100_000, "not readable as JSON"),
        ('["skin"]', "holds no JSON object"),
        ('{"a": "skin"}', "case a says 'skin'"),
        ('{"a": ["larynx"]}', r"case a says \['larynx'\].*mandibular_ramus"),
        ('{"a": [["skin"]]}', "case a says"),
    ],
)
def test_what_was_contoured_must_be_lists_of_structures(tmp_path, content, message):
    touch(tmp_path / "images" / "a.nii.gz")
    touch(tmp_path / "labels" / "a.nii.gz")
    (tmp_path / "labels" / "contoured.json").write_text(content)
    with pytest.raises(TrainingError, match=rf"contoured\.json: .*{message}"):
        find_cases(tmp_path / "images", tmp_path / "labels")


def test_what_no_reader_contoured_is_no_target(tmp_path, painted):
    case = write_case(tmp_path, *painted)
    names = frozenset(s.name for s in ORGANS_AT_RISK if s is not SKIN)
    left, _ = samples_of(replace(case, contoured=names), ORGANS_PRESET, SPACING)
    whole, _ = samples_of(case, ORGANS_PRESET, SPACING)
    assert left.contoured == names
    assert whole.contoured is None
    for structure in ORGANS_PRESET.structures:
        value = _index_of(left, structure)
        assert (whole.targets == value).any()
        assert (left.targets == value).any() == (structure.name in names)


@pytest.mark.parametrize(
    ("preset", "contoured"), [(GLAND_PRESET, {"skin"}), (ORGANS_PRESET, {"parotid_gland"})]
)
def test_a_case_without_what_the_step_learns_is_refused(tmp_path, painted, preset, contoured):
    case = replace(write_case(tmp_path, *painted), contoured=frozenset(contoured))
    with pytest.raises(InputRefusedError, match="nothing to learn in it"):
        list(samples_of(case, preset, SPACING))


def test_nothing_to_pair_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="images: no such folder"):
        find_cases(tmp_path / "images", tmp_path)
    touch(tmp_path / "images" / "a.nii.gz")
    touch(tmp_path / "labels" / "b.nii.gz")
    with pytest.raises(TrainingError, match=r"no image in .* has a label map of the same name"):
        find_cases(tmp_path / "images", tmp_path / "labels")


def test_one_map_of_both_sides_is_split_at_the_midplane(tmp_path, painted):
    volume, labels = painted
    case = write_case(tmp_path, volume, labels)
    samples = list(samples_of(case, GLAND_PRESET, SPACING))
    assert [sample.name for sample in samples] == ["painted__left", "painted__right"]
    x = positions_of(volume.grid)[..., 0]
    for sample, own in zip(samples, (x > 0, x <= 0), strict=True):
        truth_ml = ((labels == GLAND.value) & own).sum() * volume.grid.voxel_ml
        assert (sample.targets == 1).sum() * sample.grid.voxel_ml == pytest.approx(
            truth_ml, rel=0.05
        )
        assert set(np.unique(sample.targets)) == {0, 1}


def test_the_right_side_is_mirrored_onto_the_left(tmp_path):
    volume, labels = painted_head(grid_of((84, 68, 64), (2.5, 3.0, 3.0)), radii_mm=(15.0, 15.0))
    case = write_case(tmp_path, volume, labels)
    left, right = samples_of(case, GLAND_PRESET, SPACING)
    assert right.grid.direction[0] == -1 == -left.grid.direction[0]
    for sample in (left, right):
        # i runs from medial to lateral on both sides.
        i = np.argwhere(sample.targets)[:, 2].mean() / sample.targets.shape[2]
        assert 0.45 < i < 0.75
    size = np.minimum(left.hu.shape, right.hu.shape)
    box = tuple(slice(0, n) for n in size)
    assert np.corrcoef(left.hu[box].ravel(), right.hu[box].ravel())[0, 1] > 0.95


def test_a_map_of_one_side_is_sampled_on_that_side_only(tmp_path, painted):
    volume, labels = painted
    x = positions_of(volume.grid)[..., 0]
    case = write_case(tmp_path, volume, np.where(x < 0, labels, 0).astype(np.uint8))
    own = TrainingCase(case.case, Side.RIGHT, case.image, case.labels)
    (sample,) = samples_of(own, GLAND_PRESET, SPACING)
    assert sample.name == "painted__right"
    assert sample.case == "painted"


def test_the_second_steps_region_is_the_glands_box_and_a_margin(tmp_path, painted):
    volume, labels = painted
    case = write_case(tmp_path, volume, labels)
    left, _ = samples_of(case, ORGANS_PRESET, SPACING)
    extent = np.asarray(left.grid.size_ijk) * 2.0
    assert (extent <= 28 + 2 * (17 + 18) + 6).all()
    assert (extent[1:] >= 28 + 2 * 17).all()


def _index_of(sample, structure):
    return ORGANS_PRESET.structures.index(structure) + 1


def test_beyond_reach_of_a_map_that_was_cut_there_nothing_is_judged(tmp_path, painted):
    from parotid_brachy.lib.imaging.roi import cut_at_reach, within_reach

    volume, labels = painted
    x = positions_of(volume.grid)[..., 0]
    own = np.where(x > 0, labels, 0).astype(np.uint8)
    own = cut_at_reach(own, own == GLAND.value, volume.grid)
    case = write_case(tmp_path, volume, own)
    (sample,) = samples_of(case, ORGANS_PRESET, SPACING)
    gland = sample.targets == _index_of(sample, GLAND)
    far = ~within_reach(gland, sample.grid, reach_mm=22.0)
    near = within_reach(gland, sample.grid, reach_mm=15.0)
    assert (sample.targets[far] == IGNORE).mean() > 0.99
    assert not (sample.targets[near] == IGNORE).any()


def test_of_a_full_map_only_unlabelled_skin_is_not_judged(tmp_path, painted):
    volume, labels = painted
    case = write_case(tmp_path, volume, labels)
    left, _ = samples_of(case, ORGANS_PRESET, SPACING)
    ignored = left.targets == IGNORE
    assert ignored.any()
    lps_mm = positions_of(left.grid)
    radius = np.sqrt(((lps_mm / (98, 95, 95)) ** 2).sum(axis=-1))
    # The head is an ellipsoid: its shell is what lies close under the surface.
    assert (radius[ignored] > 0.85).all()
    skin = left.targets == _index_of(left, SKIN)
    assert skin.any()
    from scipy import ndimage

    beside = ndimage.distance_transform_edt(~skin, sampling=left.grid.spacing_kji_mm) <= 4.0
    assert not (ignored & beside).any()


def test_the_first_step_judges_every_voxel(tmp_path, painted):
    case = write_case(tmp_path, *painted)
    for sample in samples_of(case, GLAND_PRESET, SPACING):
        assert sample.targets.max() == 1


def test_targets_are_the_networks_values_where_the_paint_is(tmp_path, painted):
    case = write_case(tmp_path, *painted)
    left, _ = samples_of(case, ORGANS_PRESET, SPACING)
    for structure in (*ORGANS_AT_RISK, GLAND):
        own = left.targets == _index_of(left, structure)
        assert np.percentile(left.hu[own], 75) == pytest.approx(HU_OF[structure], abs=75)


def test_a_map_without_a_gland_has_nothing_to_learn(tmp_path, painted):
    volume, labels = painted
    case = write_case(tmp_path, volume, np.where(labels == GLAND.value, 0, labels))
    with pytest.raises(InputRefusedError, match=r"painted.*nothing to learn in it \(no gland"):
        list(samples_of(case, GLAND_PRESET, SPACING))


@pytest.mark.parametrize("name", ["compact", "paper"])
def test_a_gland_alone_does_not_teach_that_there_are_no_organs(tmp_path, painted, name):
    volume, labels = painted
    only = np.where(labels == GLAND.value, labels, 0).astype(np.uint8)
    case = write_case(tmp_path, volume, only)
    assert list(samples_of(case, preset_for(name, Step.GLAND), SPACING))
    with pytest.raises(InputRefusedError, match="no gland with an organ at risk"):
        list(samples_of(case, preset_for(name, Step.ORGANS_AT_RISK), SPACING))


def test_a_side_without_organs_is_left_out_and_the_other_kept(tmp_path, painted):
    volume, labels = painted
    x = positions_of(volume.grid)[..., 0]
    keep = (x > 0) | (labels == GLAND.value)
    case = write_case(tmp_path, volume, np.where(keep, labels, 0).astype(np.uint8))
    assert [s.name for s in samples_of(case, ORGANS_PRESET, SPACING)] == ["painted__left"]


def test_a_map_of_another_shape_is_refused(tmp_path, painted):
    volume, labels = painted
    case = write_case(tmp_path, volume, labels)
    other = volume.grid.cropped((0, 0, 0), (84, 68, 63))
    write_label_map(case.labels, labels[:63], other)
    with pytest.raises(GeometryError, match="its grid is not the image's"):
        list(samples_of(case, GLAND_PRESET, SPACING))


def test_the_working_grid_of_paper_is_the_median_spacing_in_patient_axes(tmp_path):
    cases = []
    sagittal = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # i is y, j is z, k is x
    spacings = [(1.0, 2.0, 3.0), (1.5, 2.5, 3.5), (4.0, 5.0, 1.5)]
    for n, spacing in enumerate(spacings):
        direction = sagittal if n == 2 else (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
        volume = head(grid_of((60, 80, 60), spacing, direction), case=f"case{n}")
        image = tmp_path / f"case{n}.nii.gz"
        write_ct(image, volume)
        # Both sides of a patient count once.
        cases += [TrainingCase(f"case{n}", side, image, image) for side in Side]
    # x: 1, 1.5, 1.5; y: 2, 2.5, 4; z: 3, 3.5, 5
    assert median_spacing(cases) == pytest.approx((3.5, 2.5, 1.5), abs=1e-4)
