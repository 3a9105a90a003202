import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from parotid_brachy.lib.anatomy import STRUCTURES, Side
from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.errors import NotFoundError, ParotidBrachyError, UsageError
from parotid_brachy.lib.infers.drafting import Drafting
from parotid_brachy.lib.infers.models import WarmModels
from parotid_brachy.lib.infers.task import SegmentationTask
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.segmentation.findings import PreLabel, Report
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import Registry

VALUES = (1, 3, 7)


class BoxesTask(SegmentationTask):
    """Proposes one box for each of three structures, whatever the image shows."""

    name = "boxes"
    summary = "Boxes"
    steps = (Step.GLAND,)
    structures = STRUCTURES

    def __init__(self, models):
        super().__init__(models)
        self.asked = []

    def propose(self, volume, options, gland_file):
        self.asked.append((volume.case, options, gland_file))
        labels = np.zeros(volume.grid.shape_kji, np.uint8)
        for n, value in enumerate(VALUES):
            labels[2 + 4 * n : 5 + 4 * n, 3:9, 3:9] = value
        report = Report(volume.case, "boxes", "left", "given", {}, {}, {}, {}, False)
        return PreLabel(labels, volume.grid, report)


class FromGlandTask(BoxesTask):
    """The same, from a gland."""

    name = "from_gland"
    wants_gland = True


@pytest.fixture
def studies(tmp_path):
    hu = np.full((16, 64, 64), -1000, np.int16)
    hu[:, 8:56, 8:56] = np.random.default_rng(0).normal(40, 20, (16, 48, 48))
    hu[:, 20:26, 20:26] = 1200
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((2.0, 2.0, 4.0))
    image.SetOrigin((-64, -64, 100))
    folder = tmp_path / "my studies"
    folder.mkdir()
    sitk.WriteImage(image, str(folder / "case_a.nii.gz"))
    return Studies(folder)


@pytest.fixture
def tasks(tmp_path):
    models = WarmModels(Registry(tmp_path / "models"), load=lambda version: version)
    return {task.name: task(models) for task in (BoxesTask, FromGlandTask)}


@pytest.fixture
def drafting(tasks):
    return Drafting(tasks)


@pytest.fixture
def infer(drafting, studies):
    """Runs a request and removes the answer's temporary file afterwards."""
    files = []

    def run(**request):
        result = drafting.infer({"model": "boxes", "image": "case_a", **request}, studies)
        files.append(Path(result["file"]))
        return result

    yield run
    for file in files:
        file.unlink()


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".seg.nrrd"])
def test_the_answer_and_the_draft_hold_the_same_map_on_the_images_grid(infer, studies, ending):
    result = infer(result_extension=ending)
    assert result["file"].endswith(ending)
    image = sitk.ReadImage(studies.get_image_uri("case_a"))
    draft = studies.get_label_uri("case_a", "original")
    assert draft.endswith(".seg.nrrd")
    for path in (result["file"], draft):
        labels = sitk.ReadImage(path)
        assert labels.GetSize() == image.GetSize()
        assert labels.GetSpacing() == pytest.approx(image.GetSpacing())
        assert labels.GetOrigin() == pytest.approx(image.GetOrigin())
        assert set(np.unique(sitk.GetArrayViewFromImage(labels))) == {0, *VALUES}


def test_only_what_the_map_holds_is_named_in_the_order_of_the_values(infer):
    names = infer()["params"]["label_names"]
    assert list(names.items()) == [("auricula", 1), ("skin", 3), ("parotid_gland", 7)]


def test_the_draft_keeps_the_report(infer, studies):
    params = infer()["params"]
    info = studies.get_label_info("case_a", "original")
    assert info["model"] == "boxes"
    assert info["params"] == json.loads(json.dumps(params))
    assert params["report"]["case"] == "case_a"


def test_the_drafts_names_come_in_the_order_in_which_slicer_gives_them_to_segments(infer, studies):
    infer()
    kept = studies.json()["objects"]["case_a"]["labels"]["original"]["info"]["params"]
    names = [("auricula", 1), ("skin", 3), ("parotid_gland", 7)]
    assert list(kept["label_names"].items()) == names
    assert list(studies.get_label_info("case_a", "original")["params"]["label_names"]) == [
        name for name, _ in names
    ]


def test_a_newer_draft_hides_the_older_one_which_is_kept(infer, studies):
    infer(result_extension=".nrrd", reader=Reader("anna", Role.ANNOTATOR))
    infer(result_extension=".nii.gz")
    first, second = studies.store.versions("case_a")
    assert (first.author, second.author) == ("anna", "server")
    assert studies.label_version("case_a", "original").number == second.number
    assert studies.store.path_of(first.file).is_file()


def test_no_draft_is_kept_when_the_client_does_not_want_one(infer, studies):
    infer(save_label=False)
    assert studies.get_labels_by_image_id("case_a") == {}


def test_options_reach_the_task_as_types(infer, tasks):
    infer(side="left", keep_beyond_reach="true")
    ((_, options, _),) = tasks["boxes"].asked
    assert options.side is Side.LEFT
    assert options.keep_beyond_reach


@pytest.mark.parametrize("side", Side)
def test_the_side_that_the_cases_facts_state_reaches_the_task(infer, tasks, studies, side):
    studies.store.keep_image_info("case_a", {"facts": {"side": side.value}})
    infer(side="auto")
    infer(side="right", save_label=False)
    (_, automatic, _), (_, chosen, _) = tasks["boxes"].asked
    assert (automatic.side, automatic.for_core().recorded_side) == (None, side)
    assert (chosen.for_core().side, chosen.for_core().recorded_side) == (Side.RIGHT, side)


def test_facts_that_name_no_side_and_received_files_have_no_recorded_one(infer, tasks, studies):
    infer()
    studies.store.keep_image_info("case_a", {"facts": {"side": "up"}})
    infer()
    studies.store.keep_image_info("case_a", {"facts": ["left"]})
    infer()
    infer(image=Path(studies.get_image_uri("case_a")))
    assert [options.recorded_side for _, options, _ in tasks["boxes"].asked] == [None] * 4


def test_a_client_cannot_state_the_recorded_side(infer, tasks):
    infer(recorded_side="left")
    ((_, options, _),) = tasks["boxes"].asked
    assert options.recorded_side is None


def test_a_received_file_is_labelled_without_a_draft(infer, studies):
    infer(image=Path(studies.get_image_uri("case_a")))
    assert studies.get_labels_by_image_id("case_a") == {}


@pytest.mark.parametrize("image", ["other", "/etc/passwd", "../case_a", "case_a.nii.gz"])
def test_only_listed_cases_are_read(drafting, studies, tasks, image):
    with pytest.raises(NotFoundError, match="no case"):
        drafting.infer({"model": "boxes", "image": image}, studies)
    assert not tasks["boxes"].asked


def test_the_path_of_a_listed_image_is_not_its_id(drafting, studies):
    path = studies.get_image_uri("case_a")
    with pytest.raises(NotFoundError, match="no case"):
        drafting.infer({"model": "boxes", "image": path}, studies)


@pytest.mark.parametrize("image", [None, "", 3, ["case_a"]])
def test_a_request_without_an_image_is_refused(drafting, studies, image):
    with pytest.raises(UsageError, match="image"):
        drafting.infer({"model": "boxes", "image": image}, studies)


@pytest.mark.parametrize("model", [None, "deepedit", ["boxes"]])
def test_an_unknown_model_is_refused_with_the_known_ones(drafting, studies, model):
    with pytest.raises(NotFoundError, match="boxes, from_gland"):
        drafting.infer({"model": model, "image": "case_a"}, studies)


def test_organs_are_found_from_the_readers_contours_before_the_draft(infer, tasks, studies):
    infer()
    infer(model="from_gland")
    draft = studies.get_label_uri("case_a", "original")
    studies.save_label("case_a", draft, "final", {})
    infer(model="from_gland")
    used = [label for _, _, label in tasks["from_gland"].asked]
    assert used == [Path(draft), Path(studies.get_label_uri("case_a", "final"))]


def test_a_sent_label_map_goes_before_the_kept_ones(infer, tasks, studies, tmp_path):
    infer()
    infer(model="from_gland", label=tmp_path / "sent.nii.gz")
    ((_, _, label),) = tasks["from_gland"].asked
    assert label == tmp_path / "sent.nii.gz"


def test_a_label_named_by_the_client_is_not_read(infer, tasks, studies):
    infer()
    infer(model="from_gland", label="/etc/passwd")
    ((_, _, label),) = tasks["from_gland"].asked
    assert label == Path(studies.get_label_uri("case_a", "original"))


def test_without_any_gland_the_user_is_told_what_to_do(drafting, studies):
    with pytest.raises(ParotidBrachyError, match="Run parotid_gland or two_step first"):
        drafting.infer({"model": "from_gland", "image": "case_a"}, studies)


def test_one_inference_at_a_time_is_on_the_device(drafting, studies, tasks, monkeypatch):
    at_work, most = 0, 0
    counting = threading.Lock()
    original = BoxesTask.propose

    def propose(self, volume, options, gland_file):
        nonlocal at_work, most
        with counting:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.05)  # so that two at work would meet
        try:
            return original(self, volume, options, gland_file)
        finally:
            with counting:
                at_work -= 1

    monkeypatch.setattr(BoxesTask, "propose", propose)
    results = []
    request = {"model": "boxes", "image": "case_a"}
    threads = [
        threading.Thread(target=lambda: results.append(drafting.infer(request, studies)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert most == 1
    for result in results:
        Path(result["file"]).unlink()
