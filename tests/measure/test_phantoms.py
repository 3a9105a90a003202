import json

import numpy as np
import pytest
from scripts.measure.phantoms import FIRST_SEED, Plan, bin_of, finished, scored_of, summary_rows
from scripts.measure.scoring import Reference, Way, score_two_step

from parotid_brachy.lib.anatomy import GLAND, SKIN, Side
from parotid_brachy.lib.imaging.volume import Grid

STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("residual", "name"),
    [(0.1, "0.1-0.3"), (0.3, "0.3-0.5"), (0.5, "0.5-0.8"), (0.81, "0.5-0.8"), (1.0, "intact")],
)
def test_a_residual_share_has_its_bin(residual, name):
    assert bin_of(residual) == name


def test_sides_and_surgery_are_balanced():
    plans = [Plan.of(FIRST_SEED + n) for n in range(100)]
    assert sum(plan.side is Side.LEFT for plan in plans) == 50
    assert sum(plan.is_operated for plan in plans) == 80
    assert sum(plan.is_operated and plan.side is Side.LEFT for plan in plans) == 40


def entry(seed):
    grid = Grid((12, 12, 12), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), STRAIGHT)
    labels = np.zeros(grid.shape_kji, np.uint8)
    labels[3:7, 3:7, 3:7] = GLAND.value
    labels[3:7, 3:7, 8:10] = SKIN.value
    scored = score_two_step("case", labels, Reference.of(labels, grid, Side.LEFT))
    return {"seed": seed, "bin": "0.3-0.5", "scores": [s.to_row() for s in scored]}, scored


def test_what_was_measured_is_read_back_and_a_cut_line_is_not(tmp_path):
    journal = tmp_path / "phantoms.jsonl"
    lines = [json.dumps(entry(seed)[0]) for seed in (1, 2)]
    journal.write_text("\n".join([*lines, lines[0][:40]]))
    assert set(finished(journal)) == {1, 2}
    assert scored_of(finished(journal)[2]) == entry(2)[1]
    assert finished(tmp_path / "none.jsonl") == {}


def test_the_table_has_a_row_a_structure_and_columns_for_every_bin():
    rows = {row["structure"]: row for row in summary_rows([entry(1)[0]], Way.END_TO_END)}
    assert rows["skin"]["0.3-0.5: DSC"] == "1.000"
    assert rows["skin"]["0.1-0.3: missed of n"] == "0 of 0"
    assert rows["parotid_gland"]["all: missed of n"] == "0 of 1"
