"""What a grader gets tells nothing of the method."""

import json
import stat

import nibabel
import numpy as np
import pytest
from tests.evaluation.grading.graded import (
    GRADERS,
    GRID,
    draw_nothing,
    inputs,
    made,
    painted,
    plan_of,
)

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK
from parotid_brachy.lib.errors import NotFoundError, StoreError, UsageError
from parotid_brachy.lib.evaluation.grading.making import SHOWN_ROUND_MM, make_study
from parotid_brachy.lib.evaluation.grading.study import CONTROL, Masked, read_key, read_study
from parotid_brachy.lib.report.grading_pictures import draw_item


def refused(folder, **more):
    """The problems of a study that is not made."""
    problems = make_study(plan_of(folder, **more), folder / "study", draw_nothing, lambda _: None)
    assert not (folder / "study").exists()
    return [problem.message for problem in problems]


def test_every_case_and_method_is_one_item_and_the_control_too(tmp_path):
    study = made(tmp_path)
    key = read_key(study)
    assert key.methods == ("two-step", "v-net", CONTROL)
    assert sorted(key.items.values(), key=str) == sorted(
        (Masked(f"case {n}", method) for n in range(3) for method in key.methods), key=str
    )
    assert set(study.orders) == set(GRADERS)
    assert study.orders[GRADERS[0]] != study.orders[GRADERS[1]]
    assert study == read_study(study.folder)


def test_nothing_but_the_key_names_cases_and_methods(tmp_path):
    study = made(tmp_path)
    for path in study.folder.rglob("*"):
        assert not any(word in path.name for word in ("case", "two", "net", CONTROL))
        if path.is_file() and path.name != "key.json":
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = nibabel.load(path).header.binaryblock
            for word in (b"case 0", b"two-step", b"v-net", CONTROL.encode()):
                assert word not in content, path.name
    key = study.folder / "key.json"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_maps_of_a_case_differ_in_their_voxels_only(tmp_path):
    study = made(tmp_path)
    by_image = {}
    for item in study.items.values():
        by_image.setdefault(item.image, []).append(study.map_of(item))
    assert [len(paths) for paths in by_image.values()] == [3, 3, 3]
    for paths in by_image.values():
        assert len({path.stat().st_size for path in paths}) == 1
        assert len({path.stat().st_mtime for path in paths}) == 1
        assert len({bytes(path.read_bytes()[:352]) for path in paths}) == 1
        assert len({path.read_bytes() for path in paths}) == 3


def test_a_masked_map_lies_on_its_image_and_has_the_graded_structures_only(tmp_path):
    study = made(tmp_path)
    values = {structure.value for structure in ORGANS_AT_RISK}
    for name, masked in read_key(study).items.items():
        item = study.item(name)
        own, image = nibabel.load(study.map_of(item)), nibabel.load(study.image_of(item))
        assert np.array_equal(own.affine, image.affine)
        assert own.shape == image.shape
        labels = np.asarray(own.dataobj)
        assert set(np.unique(labels)) == {0, *values}
        shift = {"two-step": 1, "v-net": 2, CONTROL: 0}[masked.method]
        whole = painted(shift)
        whole[whole == GLAND.value] = 0
        part = shown_part([painted(shift) for shift in range(3)])
        assert np.array_equal(labels, whole[part].T)
        original = nibabel.load(tmp_path / "ct" / f"{masked.case}.nii.gz")
        assert np.array_equal(image.dataobj, np.asarray(original.dataobj)[part[::-1]])


def shown_part(maps):
    """What of the CT is shown, as slices along k, j, i."""
    graded = np.any([(labels > 0) & (labels != GLAND.value) for labels in maps], axis=0)
    where = np.argwhere(graded)
    margin = np.ceil(SHOWN_ROUND_MM / np.array(GRID.spacing_kji_mm)).astype(int)
    low, high = np.maximum(where.min(axis=0) - margin, 0), where.max(axis=0) + 1 + margin
    return tuple(slice(a, min(b, n)) for a, b, n in zip(low, high, graded.shape, strict=True))


def test_nothing_tells_where_the_patient_lay_in_the_scanner(tmp_path):
    study = made(tmp_path)
    for item in study.items.values():
        for path in (study.map_of(item), study.image_of(item)):
            header = nibabel.load(path).header
            for affine in (header.get_sform(), header.get_qform()):
                assert np.array_equal(affine[:3, 3], (0, 0, 0))


def test_a_picture_holds_nothing_but_what_is_seen(tmp_path):
    inputs(tmp_path, cases=1, methods=("two-step",))
    make_study(plan_of(tmp_path, ("two-step",)), tmp_path / "study", draw_item, lambda _: None)
    for path in (tmp_path / "study" / "pictures").iterdir():
        assert {name for name, _ in chunks(path.read_bytes())} == {
            b"IHDR", b"pHYs", b"IDAT", b"IEND",
        }  # fmt: skip


def chunks(png):
    """The parts of a PNG file, by name."""
    at = 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def test_pictures_show_the_same_planes_for_all_items_of_a_case(tmp_path):
    inputs(tmp_path, cases=1)
    make_study(plan_of(tmp_path), tmp_path / "study", draw_item, lambda _: None)
    study = read_study(tmp_path / "study")
    (planes,) = {item.pictures for item in study.items.values()}
    items, count = list(study.items.values()), len(planes)
    assert sorted(set(planes)) == ["axial", "coronal", "sagittal"]
    for number in range(count):
        files = [study.picture_of(item, number).read_bytes() for item in items]
        assert all(file.startswith(b"\x89PNG") for file in files)
    middle = {study.picture_of(item, count // 4).read_bytes() for item in items}
    assert len(middle) == 3
    with pytest.raises(NotFoundError):
        study.picture_of(items[0], count)


def test_a_missing_map_is_told_and_graded_as_empty_only_if_wished(tmp_path):
    inputs(tmp_path)
    (tmp_path / "two-step" / "case 1.nii.gz").unlink()
    (message,) = refused(tmp_path)
    assert "case 1: two-step has no map" in message
    problems = make_study(
        plan_of(tmp_path, allows_problems=True), tmp_path / "study", draw_nothing, lambda _: None
    )
    assert len(problems) == 1
    study = read_study(tmp_path / "study")
    (empty,) = [item for item in study.items.values() if not item.contoured]
    assert read_key(study).items[empty.id] == Masked("case 1", "two-step")


def test_cases_that_cannot_be_shown_are_told_and_left_out_only_if_wished(tmp_path):
    inputs(tmp_path)
    (tmp_path / "ct" / "case 0.nii.gz").unlink()
    (tmp_path / "v-net" / "case 1.seg.nrrd").write_bytes(b"NRRD0004\n")
    assert any("case 0: there is no CT" in message for message in refused(tmp_path))
    problems = make_study(
        plan_of(tmp_path, allows_problems=True), tmp_path / "study", draw_nothing, lambda _: None
    )
    assert {problem.case for problem in problems} == {"case 0", "case 1"}
    masked = read_key(read_study(tmp_path / "study")).items.values()
    assert {one.case for one in masked} == {"case 2"}


def test_an_ambiguous_map_leaves_its_case_out(tmp_path):
    inputs(tmp_path)
    double = tmp_path / "v-net" / "case 1.nii.gz"
    double.write_bytes((tmp_path / "two-step" / "case 1.nii.gz").read_bytes())
    make_study(
        plan_of(tmp_path, allows_problems=True), tmp_path / "study", draw_nothing, lambda _: None
    )
    assert len(read_study(tmp_path / "study").items) == 6


def test_an_unreadable_map_makes_no_study(tmp_path):
    inputs(tmp_path)
    (tmp_path / "v-net" / "case 1.seg.nrrd").write_bytes(b"NRRD0004\n")
    (message,) = refused(tmp_path)
    assert message.startswith("case 1: left out.")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"methods": ("Manual",)},
        {"methods": ("a", "A")},
        {"graders": ()},
        {"graders": ("x", "X")},
        {"structures": ()},
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(tmp_path, wrong):
    inputs(tmp_path, cases=1)
    with pytest.raises(UsageError):
        refused(tmp_path, **wrong)


def test_a_study_is_never_written_over(tmp_path):
    study = made(tmp_path)
    with pytest.raises(UsageError, match="is there already"):
        make_study(plan_of(tmp_path), study.folder, draw_nothing, lambda _: None)


def test_a_key_that_was_changed_or_lost_is_found_out(tmp_path):
    study = made(tmp_path)
    path = study.folder / "key.json"
    told = json.loads(path.read_text())
    first, second = list(told["items"])[:2]
    told["items"][first], told["items"][second] = told["items"][second], told["items"][first]
    path.write_text(json.dumps(told))
    with pytest.raises(StoreError, match="not the one"):
        read_key(study)
    path.unlink()
    with pytest.raises(NotFoundError):
        read_key(study)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["items"][0].update(id="../../../etc/passwd"),
        lambda told: told["items"][0].update(image="../x"),
        lambda told: told["structures"].append("nose"),
        lambda told: told["orders"].popitem(),
        lambda told: next(iter(told["orders"].values())).pop(),
        lambda told: told.update(format="other"),
        lambda told: told["items"][0].update(pictures=["<b>"]),
        lambda told: told["items"][0].update(pictures=3),
        lambda told: told.pop("graders"),
    ],
)
def test_a_damaged_study_is_told(tmp_path, change):
    study = made(tmp_path)
    path = study.folder / "study.json"
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))
    with pytest.raises(StoreError, match=r"study\.json"):
        read_study(study.folder)


def test_a_study_of_an_older_program_is_refused_with_the_reason(tmp_path):
    study = made(tmp_path)
    path = study.folder / "study.json"
    path.write_text(path.read_text().replace("grading study 2", "grading study 1"))
    with pytest.raises(StoreError, match="older program made this grading study"):
        read_study(study.folder)


def test_a_folder_without_a_study_is_told(tmp_path):
    with pytest.raises(NotFoundError):
        read_study(tmp_path)
