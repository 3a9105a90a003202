import json

import numpy as np
from tests.imaging.heads import grid_of

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.segmentation.findings import Gland, Report, StructureReport


def test_a_report_is_json_ready():
    report = Report(
        case="c",
        task="two_step",
        side="left",
        side_source="guessed",
        gland_ml_by_side={"left": 3.5},
        models={"gland": "a"},
        seconds={"midplane": 0.1},
        structures={"skin": StructureReport(10, 0.5, None)},
        kept_beyond_reach=False,
        warnings=("first", "second"),
    )
    content = json.loads(json.dumps(report.to_json()))
    assert content["structures"] == {"skin": {"voxels": 10, "ml": 0.5, "mean_confidence": None}}
    assert content["warnings"] == ["first", "second"]
    assert content["side"] == "left"


def test_a_gland_with_a_reason_against_it_is_not_found():
    nothing = np.zeros((2, 2, 2), np.float32)
    grid = grid_of((2, 2, 2))
    assert Gland(Side.LEFT, grid, nothing, 3.0, 0.9).is_found
    assert not Gland(Side.LEFT, grid, nothing, 0.0, 0.0, "too small").is_found
