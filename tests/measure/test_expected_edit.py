import numpy as np
import pytest
import SimpleITK as sitk
from scripts.measure.expected_edit import GUESSES, measure, report
from tests.active_learning.proposing import proposal
from tests.imaging.heads import grid_of, head

from parotid_brachy.lib.anatomy import GLAND, STRUCTURES, Side
from parotid_brachy.lib.imaging.files import write_label_map
from parotid_brachy.lib.imaging.volume import to_image
from parotid_brachy.lib.segmentation.findings import StructureReport
from parotid_brachy.lib.segmentation.training_cases import TrainingCase

GRID = grid_of((24, 20, 16), (4.0, 4.0, 5.0))


def row(case, actual, **guesses):
    return {"case": case, "actual_ml": actual, "ensemble_seconds": 1.0, **guesses}


def test_a_guess_that_ranks_as_the_truth_does_has_rho_1_and_finds_the_worst_third():
    rows = []
    for number in range(6):
        right, wrong = float(number), float(-number)
        guesses = {**dict.fromkeys(GUESSES, wrong), "ensemble_ml": right}
        rows.append(row(f"c{number}", float(number), **guesses))
    lines = report(rows).splitlines()
    ensemble = next(line for line in lines if "ensemble of poses" in line).split("|")
    assert (float(ensemble[2]), float(ensemble[4])) == (pytest.approx(1.0), 4.5)
    mirrored = next(line for line in lines if "mirrored" in line).split("|")
    assert (float(mirrored[2]), float(mirrored[4])) == (pytest.approx(-1.0), 0.5)


class Seeing:
    """Networks that draw a gland where the head's mass is, whichever way the array runs."""

    def two_step(self, volume, options):
        labels = np.where(volume.voxels == 70, GLAND.value, 0)
        seen = proposal(labels, volume.grid, options.side)
        structures = {
            one.name: StructureReport(0, 10.0, 0.5 if one is GLAND else None) for one in STRUCTURES
        }
        seen.report.structures.update(structures)
        return seen


def test_a_case_is_measured_against_its_truth(tmp_path):
    volume = head(GRID, case="a")
    truth = np.where(volume.voxels == 70, GLAND.value, 0).astype(np.uint8)
    grown = truth | np.roll(truth, 1, axis=2)
    sitk.WriteImage(to_image(volume.voxels, GRID), str(tmp_path / "a.nii.gz"))
    write_label_map(tmp_path / "truth.nii.gz", grown, GRID)
    one = TrainingCase("a", Side.LEFT, tmp_path / "a.nii.gz", tmp_path / "truth.nii.gz")
    found = measure(one, Seeing())
    missing_ml = ((grown > 0) & (truth == 0)).sum() * GRID.voxel_ml
    assert found["actual_ml"] == pytest.approx(missing_ml)
    assert found["ensemble_ml"] == 0.0, "these networks do not waver"
    assert found["mirrored_ml"] == 0.0, "nor do mirrored arrays come back in another order"
    assert found["unsure_ml"] == pytest.approx(5.0)
