"""A folder of studies with painted heads whose contours two readers have dealt with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from tests.imaging.heads import grid_of, positions_of
from tests.review.studies import ANNA, SENIOR, Desk, open_desk
from tests.segmentation.painted import painted_head

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes
from parotid_brachy.lib.review.records import ReviewStatus
from parotid_brachy.lib.review.reviewing import Review
from parotid_brachy.lib.review.workflow import Received

GRID = grid_of((60, 48, 44), (3.5, 4.0, 4.5))
NAMES = [{"name": s.name, "idx": s.value} for s in STRUCTURES]


def write_painted(folder: Path, count: int, *, first: int = 0) -> dict[str, np.ndarray]:
    """Heads of which no two glands are alike; returns the left side's contours by case."""
    folder.mkdir(exist_ok=True)
    truths = {}
    for number in range(first, first + count):
        case = f"case{number:02}"
        volume, labels = painted_head(GRID, radii_mm=(12.0 + 0.3 * number, 18.0), case=case)
        image = sitk.GetImageFromArray(volume.voxels.astype(np.int16))
        image.SetSpacing(GRID.spacing_mm)
        image.SetOrigin(GRID.origin_lps_mm)
        sitk.WriteImage(image, str(folder / f"{case}.nii.gz"))
        x = positions_of(GRID)[..., 0]
        truths[case] = np.where(x > 0, labels, 0).astype(np.uint8)
    return truths


def approve_contours(desk: Desk, truths: dict[str, np.ndarray]) -> None:
    """Reader 1 submits, the senior approves as it is."""
    for case, labels in truths.items():
        received = Received(nifti_bytes(labels, GRID), "map.nii.gz", NAMES)
        desk.workflow.save(case, received, ANNA, tag="final")
        desk.workflow.review(case, "final", Review(ReviewStatus.APPROVED), SENIOR)


def approved_heads(folder: Path, count: int) -> Desk:
    """A store over so many approved cases; two of seven are not trained on."""
    truths = write_painted(folder, count)
    desk = open_desk(folder, cases=())
    approve_contours(desk, truths)
    return desk
