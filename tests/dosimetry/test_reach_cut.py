import numpy as np
import pytest

from parotid_brachy.lib.anatomy import GLAND, SKIN
from parotid_brachy.lib.dosimetry.reach_cut import DoseCut, cut_maps
from parotid_brachy.lib.imaging.volume import Grid

GRID = Grid((100, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def line(gland, skin):
    labels = np.zeros(GRID.shape_kji, np.uint8)
    labels[0, 0, slice(*skin)] = SKIN.value
    labels[0, 0, slice(*gland)] = GLAND.value
    return labels


MAPS = {"manual": line((40, 50), (0, 100)), "auto": line((44, 50), (10, 80))}


def skin_of(labels):
    where = np.flatnonzero(labels[0, 0] == SKIN.value)
    return (int(where[0]), int(where[-1])) if where.size else None


@pytest.mark.parametrize(
    ("cut", "manual", "auto"),
    [
        (DoseCut.NONE, (0, 99), (10, 79)),
        (DoseCut.REFERENCE, (23, 66), (23, 66)),
        (DoseCut.BOTH, (27, 66), (27, 66)),
    ],
)
def test_organs_end_at_the_reach_of_whose_glands_count(cut, manual, auto):
    found = cut_maps(MAPS, "manual", GRID, cut)
    assert (skin_of(found["manual"]), skin_of(found["auto"])) == (manual, auto)
    for name, labels in found.items():
        assert np.array_equal(labels == GLAND.value, MAPS[name] == GLAND.value)


def test_a_set_without_a_gland_cuts_nothing():
    maps = {**MAPS, "manual": line((0, 0), (0, 100))}
    assert skin_of(cut_maps(maps, "manual", GRID, DoseCut.REFERENCE)["manual"]) == (0, 99)
    assert skin_of(cut_maps(maps, "manual", GRID, DoseCut.BOTH)["manual"]) == (27, 66)


def test_glands_out_of_each_others_reach_leave_no_organ():
    maps = {"manual": line((0, 5), (0, 100)), "auto": line((90, 95), (0, 100))}
    found = cut_maps(maps, "manual", GRID, DoseCut.BOTH)
    assert [skin_of(labels) for labels in found.values()] == [None, None]
