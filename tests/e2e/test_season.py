"""A season in small, as scripts/measure/season plays it: painted heads, and step 1 only."""

import shutil

import numpy as np
import pytest
from scripts.measure.season import server_arguments, what_is_wrong, write_readers
from scripts.measure.season_heads import Cohorts
from scripts.measure.season_models import BLIND, FIRST, SHUFFLED, Effort
from scripts.measure.season_report import draw, report
from scripts.measure.season_run import Place, SeasonPlan, end_trainers, is_better, play, prepare
from tests.e2e.conftest import UNCHANGED
from tests.imaging.heads import positions_of
from tests.retraining.approved_heads import GRID
from tests.segmentation.painted import painted_head

from parotid_brachy.lib.anatomy import GLAND
from parotid_brachy.lib.imaging.roi import cut_at_reach
from parotid_brachy.lib.retraining.job import Task
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import Registry

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(3600)]

PLAN = SeasonPlan(
    task=Task.PAROTID_GLAND,
    first=Effort(epochs=1, iterations=12),
    later=Effort(epochs=2, iterations=12),
    bad=Effort(epochs=1, iterations=15),
    compares_all=False,
    pause_s=3.0,
    job_within_s=500.0,
)


def draw_painted(folder):
    """Painted heads in three cohorts; no two glands of the left side are alike."""
    cohorts = Cohorts.in_folder(folder)
    number = 0
    for heads, count in ((cohorts.before, 3), (cohorts.season, 12), (cohorts.unseen, 3)):
        for _ in range(count):
            case = f"case{number:02}"
            volume, labels = painted_head(GRID, radii_mm=(12.0 + 0.25 * number, 18.0), case=case)
            is_left = positions_of(GRID)[..., 0] > 0
            own = np.where(is_left, labels, 0).astype(np.uint8)
            own = cut_at_reach(own, own == GLAND.value, GRID)
            heads.add(case, volume.voxels.astype(np.int16), own, GRID)
            number += 1
    return cohorts


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where it is played; no trainer is left there, however the tests end."""
    root = tmp_path_factory.mktemp("season")
    yield Place(root / "studies", root / "models", root / "work")
    end_trainers(root / "studies")


@pytest.fixture(scope="module")
def season(place, start_server):
    """What has happened, when it is over."""
    cohorts = draw_painted(place.work / "heads")
    prepare(PLAN, place, cohorts)
    write_readers(place.studies)
    server = start_server(
        *server_arguments(), studies=place.studies, model_dir=place.models, program=UNCHANGED
    )
    try:
        played = play(PLAN, place, cohorts, server.url)
        assert end_trainers(place.studies) == [], "a trainer outlived its job"
        return played
    finally:
        # The server would start it again.
        server.process.terminate()
        server.process.wait(60)
        end_trainers(place.studies)


def test_everything_is_in_order_after_three_rounds(season):
    assert list(season.faults) == ["versions", "hashes", "split", "parents", "journal", "verify"]
    assert what_is_wrong(season) == []
    assert [len(one["patients"]) for one in season.rounds] == [4, 4, 4]
    assert all(result["promoted"] for one in season.rounds for result in one["results"])


def test_the_third_champion_is_better_than_the_first_on_patients_that_none_saw(season):
    last = season.unseen[-1]
    assert last["version"] == season.rounds[-1]["results"][0]["version"]
    assert is_better(last["rows"])
    assert last["rows"][0]["patients"] == 3


def test_readers_change_less_from_round_to_round(season):
    first, last = season.rounds[0]["patients"], season.rounds[-1]["patients"]
    assert sum(p["dsc"] for p in last) > sum(p["dsc"] for p in first)
    assert sum(p["changed_ml"] for p in last) < sum(p["changed_ml"] for p in first)


def test_candidates_made_worse_on_purpose_are_refused(season):
    assert [one["verdict"] for one in season.refused] == ["wait"] * 3
    found = {one["version"]: " ".join(one["reasons"]) for one in season.refused}
    assert "lower, at most" in found[SHUFFLED]
    assert f"{GLAND.name}: missed in" in found[BLIND]
    one_iteration = next(one for one in season.refused if one["what"] == "one iteration")
    assert any("lower, at most" in reason for reason in one_iteration["reasons"])


def test_a_person_promotes_and_rolls_back_and_inference_answers_all_along(season):
    assert season.seen.failures == []
    before, while_first, after = season.served
    assert before == after
    assert while_first.endswith(FIRST)
    # Every champion has answered while it served, and no version that never did.
    promoted = [r["version"] for one in season.rounds for r in one["results"]]
    assert {one.rpartition("/")[2] for one in season.seen.versions} == {FIRST, *promoted}


def test_a_season_is_told_in_tables_and_a_picture(season, tmp_path):
    draw(season, tmp_path / "season.png")
    assert (tmp_path / "season.png").stat().st_size > 10_000
    text = report(season)
    assert text.count("| gland |") == 1 + 3 + 3  # unseen, rounds' candidates, bad candidates


def test_a_manifest_that_tells_of_another_label_map_is_found(season, place, tmp_path):
    """The checks themselves: one digit changed in a copy of a manifest."""
    from scripts.measure.season_checks import Left, faults
    from scripts.measure.season_models import CommandLine

    models = shutil.copytree(place.models, tmp_path / "models")
    name = season.rounds[1]["results"][0]["version"]
    manifest = Registry(models).version(Step.GLAND, name).folder / "manifest.json"
    manifest_of = Registry(models).version(Step.GLAND, name).manifest
    digest = min(manifest_of["training"]["label_sha256"].values())
    manifest.write_text(manifest.read_text().replace(digest, "0" * 64))
    line = CommandLine(models, place.studies, tmp_path)
    found = faults(Left(line, season.tags, season.jobs, [Step.GLAND]))
    assert found["hashes"]
    assert not found["journal"]
