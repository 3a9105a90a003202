"""``contours``: what a reader sees of a case, as an answer of a model's."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tests.infers.test_drafting import studies

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.errors import ConflictError, NotFoundError, UsageError
from parotid_brachy.lib.imaging.files import read_grid
from parotid_brachy.lib.infers.catalogue import infer_tasks, warm_models
from parotid_brachy.lib.infers.drafting import Drafting
from parotid_brachy.lib.review.intake import intake_of
from parotid_brachy.lib.review.records import ReviewStatus
from parotid_brachy.lib.review.reviewing import Review
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.workflow import Received

__all__ = ["studies"]
ANA, BEA = Reader("ana", Role.ANNOTATOR), Reader("bea", Role.ANNOTATOR)
SOFIA = Reader("sofia", Role.REVIEWER)


def boxes(studies, value):
    """A label map with one box, on the case's grid."""
    grid = read_grid(Path(studies.get_image_uri("case_a")))
    labels = np.zeros(grid.shape_kji, np.uint8)
    labels[2:6, 10:20, 10:20] = value
    return labels, grid


def submit(studies, value, reader, **more):
    labels, _ = boxes(studies, value)
    return studies.workflow.save("case_a", Received(labels.tobytes(), "label.bin"), reader, **more)


def draft(studies, value):
    labels, grid = boxes(studies, value)
    drafted = intake_of(labels, grid, STRUCTURES, case="case_a")
    return studies.workflow.keep_draft("case_a", drafted, ANA, info={})


@pytest.fixture
def show(tmp_path, studies):
    drafting = Drafting(infer_tasks(warm_models(tmp_path / "no models")))

    def run(reader, **more):
        request = {"model": "contours", "image": "case_a", "reader": reader, **more}
        result = drafting.infer(request, studies)
        path = Path(result["file"])
        try:
            image = sitk.ReadImage(str(path))
        finally:
            path.unlink()
        return sitk.GetArrayFromImage(image), result

    return run


def test_it_is_offered_without_any_model_and_comes_last(tmp_path):
    tasks = infer_tasks(warm_models(tmp_path / "no models"))
    assert list(tasks)[-1] == "contours"
    assert [name for name, task in tasks.items() if task.is_valid()] == ["contours"]
    assert tasks["contours"].info()["labels"] == tasks["two_step"].info()["labels"]


def test_a_case_without_any_label_map_is_told(show):
    with pytest.raises(NotFoundError, match="run two_step first"):
        show(ANA)


def test_an_uploaded_image_has_no_contours(show, studies):
    with pytest.raises(UsageError, match="kept for cases"):
        show(ANA, image=Path(studies.get_image_uri("case_a")))


def test_it_shows_the_draft_then_the_submission_then_the_correction(show, studies):
    draft(studies, 1)
    for value, tag in ((1, "original"), (3, "final"), (7, "version_1")):
        if tag == "final":
            submit(studies, value, ANA)
        elif tag == "version_1":
            submit(studies, value, SOFIA)
        shown, result = show(SOFIA, result_extension=".nrrd")
        assert np.array_equal(shown, boxes(studies, value)[0])
        assert result["params"]["tag"] == tag
        assert list(result["params"]["label_names"].values()) == [value]
    draft(studies, 2)  # a newer draft does not hide contours
    assert show(ANA)[1]["params"]["tag"] == "version_1"


def test_showing_keeps_nothing(show, studies):
    draft(studies, 1)
    before = studies.store.versions("case_a")
    show(ANA, save_label=True)
    assert studies.store.versions("case_a") == before


def test_showing_counts_as_loading_for_the_approval(show, studies):
    submit(studies, 1, ANA)
    show(SOFIA)
    submit(studies, 3, ANA)
    approval = Review(ReviewStatus.APPROVED)
    with pytest.raises(ConflictError, match="Load them again"):
        studies.workflow.review("case_a", "final", approval, SOFIA)
    show(SOFIA)
    studies.workflow.review("case_a", "final", approval, SOFIA)
    assert studies.store.case("case_a").approved_version == 2


def test_in_a_consensus_case_everybody_sees_his_or_her_own(show, studies):
    studies.workflow.set_consensus("case_a", SOFIA, is_consensus=True)
    submit(studies, 1, ANA)
    with pytest.raises(NotFoundError):
        show(BEA)
    assert np.array_equal(show(ANA)[0], boxes(studies, 1)[0])
