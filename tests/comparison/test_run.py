import csv
import io
from dataclasses import replace

import pytest
from tests.segmentation.quick import quick
from tests.segmentation.studies import write_studies

from parotid_brachy.lib.comparison import run
from parotid_brachy.lib.comparison.child import Peak
from parotid_brachy.lib.comparison.costs import costs_csv
from parotid_brachy.lib.comparison.methods import Method
from parotid_brachy.lib.comparison.run import ComparisonPlan, compare
from parotid_brachy.lib.comparison.work import Labelled
from parotid_brachy.lib.errors import ConflictError, UsageError
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.segmentation.progress import Progress

pytestmark = pytest.mark.usefixtures("nnunets_variables_restored")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    root = tmp_path_factory.mktemp("studies of a hospital")
    write_studies(root, count=3)
    return root


@pytest.fixture(scope="module")
def small():
    """Small networks, and no new process: another test has those. The calls are listed."""
    calls = []

    def here(work, *arguments, on_report):
        calls.append(work.__name__)
        return work(*arguments, on_report), Peak("CPU", 100.0 + len(calls), None)

    presets = Method.presets
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "run_in_child", here)
        patch.setattr(
            Method,
            "presets",
            lambda self, name: tuple(quick(one.step, one.name) for one in presets(self, name)),
        )
        yield calls


def plan_for(studies, output, **changes):
    plan = ComparisonPlan(
        images=studies / "images",
        labels=studies / "labels",
        output=output,
        methods=(Method.TWO_STEP, Method.UNET3D),
        nnunet_preset="compact",
        test=("case2",),
        test_share=0.3,
        epochs=1,
        iterations=1,
        seed=0,
        processes=0,
    )
    return replace(plan, **changes)


@pytest.fixture(scope="module")
def compared(studies, small, tmp_path_factory):
    """The folder, what came of it, what was told, and the calls, in two calls to ``compare``."""
    output = tmp_path_factory.mktemp("comparison")
    told = []
    del small[:]
    for method in (Method.TWO_STEP, Method.UNET3D):
        plan = plan_for(studies, output, methods=(method,))
        compare(plan, lambda what, one: told.append((what, one)))
    before = list(small)
    done = compare(plan_for(studies, output), lambda what, one: None)
    assert small == before, "what is done is not done again"
    return output, done, told, before


def test_every_method_is_trained_and_labels_the_test_cases(compared):
    _, done, told, calls = compared
    assert calls == [
        *("train_network", "train_network", "label_items"),
        *("train_network", "label_items"),
    ]
    assert [one.name for one in done.items] == ["case2_left", "case2_right"]
    for method in ("two_step", "unet3d"):
        for item in done.items:
            grid = read_volume(item.image, case="case2").grid
            read_label_map(done.predictions[method] / item.file_name, grid)
    assert [what for what, one in told if isinstance(one, Progress)] == [
        "two_step: training gland",
        "two_step: training organs_at_risk",
        "unet3d: training one_step",
    ]
    assert sum(isinstance(one, Labelled) for _, one in told) == 4


def test_costs_are_those_of_all_networks_of_a_method(compared):
    _, done, _, _ = compared
    two_step, unet3d = done.costs
    assert (two_step.method, unet3d.method) == ("two_step", "unet3d")
    assert two_step.training_resident_mib == 102.0, "the larger of two trainings"
    assert two_step.labelling_resident_mib == 103.0
    assert unet3d.training_gpu_mib is None
    assert two_step.parameters > 1000
    assert two_step.training_seconds > 0
    rows = list(csv.DictReader(io.StringIO(costs_csv(done.costs).decode())))
    assert [row["epochs"] for row in rows] == ["1", "1"]
    assert rows[0]["training_gpu_mib"] == ""


def test_no_method_sees_a_test_case(compared):
    output, _, _, _ = compared
    manifests = list(output.glob("*/*/version/manifest.json"))
    assert len(manifests) == 3
    for manifest in manifests:
        training = run.read_version(manifest.parent).manifest["training"]
        assert training["cases"] == ["case0", "case1"]
        assert training["held_out_cases"] == ["case2"]
        assert training["validation_cases"] == []


def test_other_terms_in_the_same_folder_are_refused(studies, compared):
    output, _, _, _ = compared
    with pytest.raises(ConflictError, match="iterations differ"):
        compare(plan_for(studies, output, iterations=2), lambda what, one: None)


def test_an_interrupted_comparison_goes_on(studies, tmp_path, small):
    plan = plan_for(studies, tmp_path, methods=(Method.TWO_STEP,), epochs=2)

    def stop(what, one):
        if isinstance(one, Progress) and "organs" in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(plan, stop)
    told = []
    compare(plan, lambda what, one: told.append((what, one)))
    epochs = [(what, one.epoch) for what, one in told if isinstance(one, Progress)]
    assert epochs == [("two_step: training organs_at_risk", 2)], "from its last epoch"


def test_a_case_that_a_method_refuses_is_named_and_has_no_map(
    studies, tmp_path, small, monkeypatch
):
    from parotid_brachy.lib.comparison import work
    from parotid_brachy.lib.errors import InputRefusedError

    def refuse(self, volume, options):
        message = f"{volume.case}: no CT values"
        raise InputRefusedError(message)

    monkeypatch.setattr(work.OneStep, "run", refuse)
    done = compare(plan_for(studies, tmp_path, methods=(Method.UNET3D,)), lambda what, one: None)
    assert done.refused == (
        "case2_left: unet3d: case2_left: no CT values",
        "case2_right: unet3d: case2_right: no CT values",
    )
    assert done.costs[0].labelling_seconds is None
    assert list(done.predictions["unet3d"].glob("*.nii.gz")) == []


def test_a_method_that_is_given_twice_is_refused(studies, tmp_path):
    with pytest.raises(UsageError, match="once"):
        compare(
            plan_for(studies, tmp_path, methods=(Method.VNET, Method.VNET)),
            lambda what, one: None,
        )
