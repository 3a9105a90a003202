"""Two maps of a case under one plan, against the exact dose at every voxel."""

from __future__ import annotations

import numpy as np
import pytest
from tests.dosimetry.implants import random_plan

from parotid_brachy.lib.anatomy import AURICULA, GLAND, SKIN
from parotid_brachy.lib.dosimetry.contour_change import CHANGED, StructureChange, contour_changes
from parotid_brachy.lib.dosimetry.dose_grid import dose_at_gy
from parotid_brachy.lib.dosimetry.reach_cut import DoseCut
from parotid_brachy.lib.dosimetry.seed_model import load_seed_model
from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.label_box import LabelBox
from parotid_brachy.lib.imaging.volume import Grid

MODEL = load_seed_model("6711")
# Oblique, and left-handed: nothing may depend on the axes.
TURN = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, -1.0)
GRID = Grid((40, 44, 30), (1.5, 1.5, 2.0), (-50.0, -10.0, 30.0), TURN)
PLAN = random_plan(8, seed=11, oriented=True, half_width_mm=12.0)


def _labels(gland_from: int = 14, skin_from: int = 4) -> np.ndarray:
    labels = np.zeros(GRID.shape_kji, np.uint8)
    labels[8:20, skin_from:10, 5:30] = SKIN.value
    labels[10:18, gland_from:22, 12:26] = GLAND.value
    return labels


def _changes(before: np.ndarray, after: np.ndarray, **more) -> dict[str, StructureChange]:
    found = contour_changes(
        PLAN, MODEL, LabelBox.of(before, GRID), LabelBox.of(after, GRID), case="case_1", **more
    )
    return {one.structure.name: one for one in found}


def _exact(labels: np.ndarray, value: int) -> np.ndarray:
    kji = np.argwhere(labels == value)
    return np.sort(dose_at_gy(PLAN, MODEL, GRID.to_lps_mm(kji[:, ::-1].astype(float))))[::-1]


def test_each_structure_has_the_dose_of_its_voxels_and_the_change_is_the_difference() -> None:
    before, after = _labels(), _labels(gland_from=16, skin_from=6)
    found = _changes(before, after, prescription_gy=120.0)
    assert list(found) == [SKIN.name, GLAND.name]
    for structure in (SKIN, GLAND):
        one = found[structure.name]
        doses = [_exact(labels, structure.value) for labels in (before, after)]
        count = int(np.ceil(2.0 / GRID.voxel_ml))
        assert one.change()["dmean_gy"] == pytest.approx(
            doses[1].mean() - doses[0].mean(), abs=1e-3 * doses[0].mean()
        )
        for side, gy in zip((one.before, one.after), doses, strict=True):
            values = side.score.values()
            assert values["dmean_gy"] == pytest.approx(gy.mean(), rel=5e-4)
            assert values["d2cc_gy"] == pytest.approx(gy[count - 1], rel=5e-4)
            assert values["dmax_gy"] == pytest.approx(gy[0], rel=5e-4)
            assert values["v100_percent"] == pytest.approx(100 * (gy >= 120).mean(), abs=0.2)
            assert values["volume_ml"] == pytest.approx(len(gy) * GRID.voxel_ml)
            assert values["covered_fraction"] == 1.0
    assert not found[GLAND.name].is_in_one_only


def test_the_same_contours_change_nothing() -> None:
    for one in _changes(_labels(), _labels(), prescription_gy=100.0).values():
        assert one.change() == dict.fromkeys(CHANGED, 0.0)


def test_an_organ_in_one_map_only_is_told_and_has_no_change() -> None:
    after = _labels()
    after[2:4, 30:34, 30:34] = AURICULA.value
    one = _changes(_labels(), after)[AURICULA.name]
    assert one.is_in_one_only
    assert one.before.score.values()["dmean_gy"] is None
    assert one.after.score.values()["dmean_gy"] > 0.0
    assert one.change() == dict.fromkeys(CHANGED)


def test_no_prescription_no_v100_and_a_small_organ_has_no_d2cc() -> None:
    before, after = _labels(), _labels()
    for labels in (before, after):
        labels[2:4, 30:34, 30:34] = AURICULA.value
    change = _changes(before, after)[AURICULA.name].change()
    assert (change["v100_percent"], change["d2cc_gy"], change["d0_1cc_gy"]) == (None, None, 0.0)


def test_what_reaches_the_edge_of_the_ct_is_told() -> None:
    after = _labels()
    after[8:30, 4:10, 5:30] = SKIN.value
    found = _changes(_labels(), after)
    assert not found[SKIN.name].before.is_at_image_edge
    assert found[SKIN.name].after.is_at_image_edge
    assert not found[GLAND.name].after.is_at_image_edge


def test_organs_can_be_cut_at_the_older_maps_gland_and_at_both() -> None:
    before, after = _labels(), _labels(gland_from=19)
    for labels in (before, after):
        labels[8:20, 0:10, 0:40] = SKIN.value
    volumes = [
        [side.score.values()["volume_ml"] for side in (skin.before, skin.after)]
        for cut in (DoseCut.NONE, DoseCut.REFERENCE, DoseCut.BOTH)
        for skin in [_changes(before, after, cut=cut)[SKIN.name]]
    ]
    assert all(first == second for first, second in volumes)
    assert volumes[0][0] > volumes[1][0] > volumes[2][0]


def test_empty_maps_have_nothing_to_tell_and_other_grids_are_refused() -> None:
    empty = np.zeros(GRID.shape_kji, np.uint8)
    assert _changes(empty, empty) == {}
    moved = Grid(GRID.size_ijk, GRID.spacing_mm, (0.0, 0.0, 0.0), GRID.direction)
    with pytest.raises(GeometryError, match="case_1: the two maps lie on two grids"):
        contour_changes(
            PLAN,
            MODEL,
            LabelBox.of(_labels(), GRID),
            LabelBox.of(_labels(), moved),
            case="case_1",
        )
    with pytest.raises(InputRefusedError, match="prescription"):
        _changes(_labels(), _labels(), prescription_gy=-1.0)
