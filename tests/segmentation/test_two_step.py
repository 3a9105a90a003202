import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from tests.imaging.heads import grid_of, positions_of
from tests.segmentation.painted import PaintedModel, dice, painted_head
from tests.segmentation.versions import ball_ml

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK, SKIN, STRUCTURES, Side
from parotid_brachy.lib.errors import GeometryError, GlandNotFoundError, InputRefusedError
from parotid_brachy.lib.imaging.half_head import find_midplane
from parotid_brachy.lib.imaging.roi import within_reach
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.segmentation import two_step as two_step_module
from parotid_brachy.lib.segmentation.findings import Gland
from parotid_brachy.lib.segmentation.organs import Labelled
from parotid_brachy.lib.segmentation.presets import Step, preset_for
from parotid_brachy.lib.segmentation.two_step import (
    GlandOnly,
    OneStep,
    OrgansOnly,
    TwoStep,
    TwoStepOptions,
    outline,
)


def two_step(**organs):
    return TwoStep(PaintedModel(Step.GLAND), PaintedModel(Step.ORGANS_AT_RISK, **organs))


@pytest.fixture(scope="module")
def painted():
    return painted_head()


@pytest.fixture(scope="module")
def found(painted):
    return two_step().run(painted[0])


def on_side(grid, side):
    x = positions_of(grid)[..., 0]
    return x > 0 if side is Side.LEFT else x < 0


def truth_within_reach(volume, labels, side):
    """The right answer: one side's structures, organs at risk within 17 mm of the gland only."""
    own = np.where(on_side(volume.grid, side), labels, 0)
    near = within_reach(own == GLAND.value, volume.grid)
    return np.where((own == GLAND.value) | near, own, 0)


def test_the_smaller_gland_is_proposed_and_marked_as_a_guess(found):
    report = found.report
    assert (report.side, report.side_source) == ("left", "guessed")
    assert report.gland_ml_by_side == {
        "left": pytest.approx(ball_ml(14), rel=0.15),
        "right": pytest.approx(ball_ml(18), rel=0.15),
    }
    assert report.warnings == ()


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("how", ["given", "recorded"])
def test_a_known_side_is_honoured_whichever_gland_is_smaller(painted, side, how):
    volume, labels = painted
    field = {"given": "side", "recorded": "recorded_side"}[how]
    result = two_step().run(volume, TwoStepOptions(**{field: side}))
    assert (result.report.side, result.report.side_source) == (side.value, how)
    assert set(result.report.gland_ml_by_side) == {side.value}
    assert not result.labels[~on_side(volume.grid, side)].any()
    truth = truth_within_reach(volume, labels, side)
    for structure in STRUCTURES:
        assert dice(result.labels == structure.value, truth == structure.value) > 0.6
    assert dice(result.labels == GLAND.value, truth == GLAND.value) > 0.93


def test_a_given_side_outweighs_the_recorded_one(painted):
    options = TwoStepOptions(side=Side.RIGHT, recorded_side=Side.LEFT)
    report = two_step().run(painted[0], options).report
    assert (report.side, report.side_source) == ("right", "given")


def test_organs_beyond_17_mm_are_cleared_and_kept_on_request(painted, found):
    volume, _ = painted
    near = within_reach(found.labels == GLAND.value, volume.grid)
    organs = (found.labels > 0) & (found.labels != GLAND.value)
    assert not (organs & ~near).any()
    kept = two_step().run(volume, TwoStepOptions(side=Side.LEFT, keep_beyond_reach=True))
    assert kept.report.kept_beyond_reach
    assert ((kept.labels > 0) & ~near).any()
    np.testing.assert_array_equal(kept.labels[near], found.labels[near])


def test_the_report_is_complete_and_true(painted, found):
    volume, _ = painted
    content = json.loads(json.dumps(found.report.to_json()))
    assert content["case"] == "painted"
    assert content["task"] == "two_step"
    assert content["models"] == {
        "gland": "painted-gland",
        "organs_at_risk": "painted-organs_at_risk",
    }
    assert {"midplane", "gland network", "organs network", "restoring"} <= set(content["seconds"])
    assert list(content["structures"]) == [s.name for s in STRUCTURES]
    for structure in STRUCTURES:
        own = content["structures"][structure.name]
        assert own["voxels"] == (found.labels == structure.value).sum() > 0
        assert own["ml"] == pytest.approx(own["voxels"] * volume.grid.voxel_ml, abs=1e-3)
        assert 0.5 <= own["mean_confidence"] <= 1


def test_confidence_is_of_the_voxels_that_stayed(painted):
    """Beyond reach a model may be less sure; what was cleared must not count."""

    class Doubtful(PaintedModel):
        def probabilities(self, hu):
            result = super().probabilities(hu)
            deep = self.value_of(SKIN)
            # The half of the region farther from the midplane.
            result[deep, :, :, hu.shape[2] * 3 // 4 :] *= 0.6
            result[0] = 1 - result[1:].sum(axis=0)
            return result

    volume, _ = painted
    steps = TwoStep(PaintedModel(Step.GLAND), Doubtful(Step.ORGANS_AT_RISK))
    results = [
        steps.run(volume, TwoStepOptions(side=Side.LEFT, keep_beyond_reach=keep))
        for keep in (False, True)
    ]
    cut, whole = (r.report.structures[SKIN.name] for r in results)
    assert cut.voxels < whole.voxels
    assert cut.mean_confidence != whole.mean_confidence


def test_empty_organs_are_reported(painted):
    report = two_step(blind_to=(SKIN,)).run(painted[0]).report
    assert report.structures["skin"].voxels == 0
    assert report.structures["skin"].mean_confidence is None
    assert report.warnings == ("nothing labelled as: skin",)


def test_no_gland_is_an_empty_map_with_the_reasons(painted):
    volume, _ = painted
    for steps in (
        TwoStep(PaintedModel(Step.GLAND, blind_to=(GLAND,)), PaintedModel(Step.ORGANS_AT_RISK)),
        GlandOnly(PaintedModel(Step.GLAND, blind_to=(GLAND,))),
        OneStep(PaintedModel(Step.ONE_STEP, blind_to=(GLAND,))),
    ):
        result = steps.run(volume)
        assert result.labels.shape == volume.grid.shape_kji
        assert not result.labels.any()
        assert result.report.side is None
        why = "the network labelled no gland in this half head"
        assert result.report.warnings == (
            f"no gland found on the left: {why}",
            f"no gland found on the right: {why}",
        )


def test_a_gland_on_one_side_only_is_proposed_with_a_warning():
    volume, _ = painted_head(radii_mm=(0.0, 16.0))
    report = two_step().run(volume).report
    assert (report.side, report.side_source) == ("right", "guessed")
    assert any("one side only" in warning for warning in report.warnings)
    assert any("no gland found on the left" in warning for warning in report.warnings)


def test_a_guess_between_glands_of_one_size_is_marked_as_hardly_one():
    volume, _ = painted_head(radii_mm=(16.0, 16.0))
    report = two_step().run(volume).report
    assert any("about as large" in warning for warning in report.warnings)


def test_of_glands_that_hardly_differ_the_left_is_proposed():
    volume, _ = painted_head(radii_mm=(16.1, 16.0))
    report = two_step().run(volume).report
    left, right = (report.gland_ml_by_side[side] for side in ("left", "right"))
    assert 1.001 < left / right < 1.03, "the smaller one is the right"
    assert report.side == "left"
    assert any("about as large" in warning for warning in report.warnings)


def _axis_orders():
    """Six axis orders with flips of their own: a third of the 48, every axis turned both ways."""
    for order in itertools.permutations(range(3)):
        for signs in ((1, 1, 1), (-1, 1, -1)):
            matrix = np.zeros((3, 3))
            matrix[order, range(3)] = signs
            yield matrix


def _oblique(degrees=12.0):
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler(
        "xyz", [degrees, -degrees / 2, degrees / 3], degrees=True
    ).as_matrix()


@pytest.mark.parametrize("matrix", [*_axis_orders(), _oblique()], ids=range(13))
def test_the_map_lies_on_the_images_own_grid_in_every_orientation(matrix):
    size, spacing = np.asarray((84, 70, 58)), np.asarray((2.5, 3.0, 3.5))
    along = np.abs(matrix).argmax(axis=0)
    grid = grid_of(
        tuple(int(n) for n in size[along]),
        tuple(float(s) for s in spacing[along]),
        tuple(float(v) for v in matrix.ravel()),
    )
    volume, labels = painted_head(grid)
    result = two_step().run(volume, TwoStepOptions())
    assert result.report.side == "left"
    assert result.grid == grid
    assert result.labels.dtype == np.uint8
    truth = truth_within_reach(volume, labels, Side.LEFT)
    assert dice(result.labels == GLAND.value, truth == GLAND.value) > 0.9
    for structure in ORGANS_AT_RISK:
        assert dice(result.labels == structure.value, truth == structure.value) > 0.5


def test_the_image_is_not_touched(painted):
    volume, _ = painted
    before = volume.voxels.copy()
    two_step().run(volume)
    assert np.array_equal(volume.voxels, before)


def test_progress_is_told_by_stage_and_never_goes_back(painted):
    told = []
    two_step().run(painted[0], None, lambda stage, share: told.append((stage, share)))
    assert [stage for stage, _ in told] == ["gland", "organs_at_risk", "restoring", "done"]
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_where_both_steps_know_the_gland_the_outline_is_their_mean(painted):
    """Step 2 at 0.3 beside step 1 at 1 is over a half; beside nothing it is not."""
    volume, labels = painted
    result = two_step(gland_share=0.3).run(volume, TwoStepOptions(side=Side.LEFT))
    own = (labels == GLAND.value) & on_side(volume.grid, Side.LEFT)
    assert dice(result.labels == GLAND.value, own) > 0.8


def test_a_step_2_that_contradicts_the_gland_does_not_erase_it(painted):
    volume, labels = painted
    result = two_step(blind_to=(GLAND,)).run(volume, TwoStepOptions(side=Side.LEFT))
    own = (labels == GLAND.value) & on_side(volume.grid, Side.LEFT)
    assert dice(result.labels == GLAND.value, own) > 0.9


def test_a_step_2_model_without_the_gland_leaves_step_1s_outline(painted):
    volume, labels = painted
    organs = PaintedModel(Step.ORGANS_AT_RISK)
    organs.preset = preset_for("paper", Step.ORGANS_AT_RISK)
    result = TwoStep(PaintedModel(Step.GLAND), organs).run(volume, TwoStepOptions(side=Side.LEFT))
    truth = truth_within_reach(volume, labels, Side.LEFT)
    for structure in STRUCTURES:
        assert dice(result.labels == structure.value, truth == structure.value) > 0.6


def test_step_1_alone_labels_the_gland_and_nothing_else(painted):
    volume, labels = painted
    result = GlandOnly(PaintedModel(Step.GLAND)).run(volume)
    own = (labels == GLAND.value) & on_side(volume.grid, Side.LEFT)
    assert set(np.unique(result.labels)) == {0, GLAND.value}
    assert dice(result.labels == GLAND.value, own) > 0.93
    assert list(result.report.structures) == ["parotid_gland"]
    assert result.report.task == "parotid_gland"


def test_one_step_labels_the_same_head_from_the_half_head(painted):
    volume, labels = painted
    model = PaintedModel(Step.ONE_STEP)
    result = OneStep(model).run(volume, TwoStepOptions(side=Side.RIGHT))
    truth = truth_within_reach(volume, labels, Side.RIGHT)
    for structure in STRUCTURES:
        assert dice(result.labels == structure.value, truth == structure.value) > 0.6


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_step_2_alone_keeps_a_readers_gland_as_it_is(painted, side, dtype):
    volume, labels = painted
    gland = (labels == GLAND.value) & on_side(volume.grid, side)
    result = OrgansOnly(PaintedModel(Step.ORGANS_AT_RISK)).run(volume, gland.astype(dtype))
    assert np.array_equal(result.labels == GLAND.value, gland)
    assert result.report.side == side.value
    assert result.report.structures["parotid_gland"].mean_confidence is None
    truth = truth_within_reach(volume, labels, side)
    for structure in ORGANS_AT_RISK:
        assert dice(result.labels == structure.value, truth == structure.value) > 0.6


def test_step_2_warns_of_a_gland_on_the_other_side_than_stated(painted):
    volume, labels = painted
    gland = (labels == GLAND.value) & on_side(volume.grid, Side.LEFT)
    result = OrgansOnly(PaintedModel(Step.ORGANS_AT_RISK)).run(
        volume, gland, TwoStepOptions(side=Side.RIGHT)
    )
    assert result.report.side == "right"
    assert any("the gland lies on the left" in w for w in result.report.warnings)


def test_step_2_without_a_gland_says_what_to_do(painted):
    volume, _ = painted
    with pytest.raises(GlandNotFoundError, match=r"painted: .*Contour or infer"):
        OrgansOnly(PaintedModel(Step.ORGANS_AT_RISK)).run(
            volume, np.zeros(volume.grid.shape_kji, bool)
        )


@pytest.mark.parametrize("shape", [(64, 68, 83), (84, 68, 64), (64, 68), (1, 64, 68, 84)])
def test_a_gland_of_another_shape_is_refused(painted, shape):
    with pytest.raises(GeometryError, match=r"painted: a gland of shape"):
        OrgansOnly(PaintedModel(Step.ORGANS_AT_RISK)).run(painted[0], np.ones(shape, bool))


def _part(volume, labels, low, high):
    """The part of a head between two corners (i, j, k)."""
    box = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
    return Volume(volume.grid.cropped(low, high), volume.voxels[box].copy(), "part"), labels[box]


@pytest.fixture
def no_midplane(monkeypatch):
    """The painted head is too even to tell a half of it from a whole one."""

    def unbelieved(volume):
        return replace(find_midplane(volume), is_believed=False, symmetry=0.1)

    monkeypatch.setattr(two_step_module, "find_midplane", unbelieved)


def test_a_midplane_that_is_known_is_not_looked_for(painted, found, monkeypatch):
    volume, _ = painted
    known = find_midplane(volume)
    monkeypatch.setattr(two_step_module, "find_midplane", None)
    again = two_step().run(volume, TwoStepOptions(midplane=known))
    np.testing.assert_array_equal(again.labels, found.labels)


@pytest.mark.parametrize("side", Side)
@pytest.mark.usefixtures("no_midplane")
def test_a_volume_of_one_half_head_is_searched_as_a_whole(painted, side):
    volume, labels = painted
    low, high = ((44, 0, 0), (84, 68, 64)) if side is Side.LEFT else ((0, 0, 0), (40, 68, 64))
    part, truth = _part(volume, labels, low, high)
    result = two_step().run(part, TwoStepOptions(side=side))
    assert dice(result.labels == GLAND.value, truth == GLAND.value) > 0.9
    assert any("no sagittal midplane" in warning for warning in result.report.warnings)


@pytest.mark.usefixtures("no_midplane")
def test_one_gland_seen_from_both_sides_is_reported_once(painted):
    """In one half head both searches see the whole volume; the surer one counts."""
    volume, labels = painted
    part, _ = _part(volume, labels, (44, 0, 0), (84, 68, 64))
    report = two_step().run(part).report
    assert len(report.gland_ml_by_side) == 1
    assert report.side in report.gland_ml_by_side
    assert any("one side only" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("low", "high"),
    [((0, 0, 30), (84, 68, 64)), ((0, 0, 0), (84, 68, 34)), ((0, 29, 0), (84, 68, 64))],
    ids=["cut below", "cut above", "cut in front"],
)
def test_a_gland_that_touches_the_edge_of_the_scan_is_labelled_to_the_edge(painted, low, high):
    volume, labels = painted
    part, own = _part(volume, labels, low, high)
    result = two_step().run(part, TwoStepOptions(side=Side.LEFT))
    truth = truth_within_reach(part, own, Side.LEFT)
    assert dice(result.labels == GLAND.value, truth == GLAND.value) > 0.88


def test_a_gland_at_the_lateral_edge_of_the_scan_is_labelled_to_the_edge(painted):
    volume, labels = painted
    part, own = _part(volume, labels, (16, 0, 0), (64, 68, 64))
    result = two_step().run(part, TwoStepOptions(side=Side.LEFT))
    truth = truth_within_reach(part, own, Side.LEFT)
    assert dice(result.labels == GLAND.value, truth == GLAND.value) > 0.88


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ((0, 0, 32), (84, 68, 33)),
        ((0, 32, 0), (84, 33, 64)),
        ((62, 0, 0), (63, 68, 64)),
        ((62, 38, 32), (63, 39, 33)),
    ],
    ids=["one transverse slice", "one coronal slice", "one sagittal slice", "one voxel"],
)
@pytest.mark.parametrize("side", [None, Side.LEFT, Side.RIGHT])
def test_next_to_nothing_gets_an_empty_map_or_a_refusal_with_the_case(painted, low, high, side):
    part, _ = _part(*painted, low, high)
    try:
        result = two_step().run(part, TwoStepOptions(side=side))
    except InputRefusedError as refused:
        message = str(refused)
    else:
        assert result.labels.shape == part.grid.shape_kji
        message = f"part: {result.report.warnings[0]}"
    assert message.startswith("part: ")


def test_air_is_refused():
    grid = grid_of((20, 20, 20))
    air = Volume(grid, np.full(grid.shape_kji, -1000, np.int16), "air")
    with pytest.raises(InputRefusedError, match="air: no tissue"):
        two_step().run(air)


def test_planted_networks_label_a_head_end_to_end(planted, head):
    """Nothing is faked here: real versions through nnU-Net's predictor."""
    result = TwoStep(planted[Step.GLAND], planted[Step.ORGANS_AT_RISK]).run(head)
    report = result.report
    assert (report.side, report.side_source) == ("left", "guessed")
    assert report.gland_ml_by_side["left"] == pytest.approx(ball_ml(14), rel=0.2)
    assert report.gland_ml_by_side["right"] == pytest.approx(ball_ml(18), rel=0.2)
    left = on_side(head.grid, Side.LEFT)
    assert dice(result.labels == GLAND.value, (head.voxels == 1500) & left) > 0.85
    near = within_reach(result.labels == GLAND.value, head.grid)
    ramus = (head.voxels == 300) & left & near
    assert dice(result.labels == 6, ramus) > 0.7
    assert not (result.labels[~near] > 0).any()
    again = TwoStep(planted[Step.GLAND], planted[Step.ORGANS_AT_RISK]).run(head)
    assert np.array_equal(result.labels, again.labels)
    assert replace(again.report, seconds={}) == replace(report, seconds={})


@pytest.mark.parametrize(("spacing_mm", "expected"), [(1.0, True), (3.0, False)])
def test_step_2_sharpens_the_gland_only_on_images_that_are_fine_enough(spacing_mm, expected):
    grid = Grid((24, 24, 24), (spacing_mm,) * 3, (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    first = np.zeros(grid.shape_kji, dtype=np.float32)
    first[4:20, 4:20, 4:20] = 0.6
    second = np.ones(grid.shape_kji, dtype=np.float32)
    second[4:6] = 0.0
    gland = Gland(Side.LEFT, grid, first, 4.0, 0.6)
    whole = (slice(0, 24),) * 3
    labelled = Labelled(np.zeros(grid.shape_kji, np.uint8), second, second, whole)
    mask = outline(gland, labelled, grid)
    was_sharpened = not mask[4:6].any()
    assert was_sharpened is expected
    assert mask[10, 10, 10]
