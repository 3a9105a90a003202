"""Folders of images and label maps, as a training wants them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from tests.imaging.heads import grid_of
from tests.segmentation.painted import painted_head

from parotid_brachy.lib.imaging.files import write_label_map
from parotid_brachy.lib.imaging.volume import Volume, to_image
from parotid_brachy.lib.segmentation.training_cases import TrainingCase


def write_ct(path: Path, volume: Volume) -> None:
    """Writes a CT as a NIfTI file."""
    sitk.WriteImage(to_image(volume.voxels, volume.grid), str(path))


def write_case(root: Path, volume: Volume, labels: NDArray[np.uint8]) -> TrainingCase:
    """Writes ``images/<case>.nii.gz`` and ``labels/<case>.nii.gz``."""
    image, target = (root / name / f"{volume.case}.nii.gz" for name in ("images", "labels"))
    for path in (image, target):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_ct(image, volume)
    write_label_map(target, np.asarray(labels, np.uint8), volume.grid)
    return TrainingCase(volume.case, None, image, target)


def write_studies(root: Path, *, count: int = 2) -> None:
    """Writes small painted heads ``case0``, ``case1`` ... with both sides labelled."""
    for n in range(count):
        grid = grid_of((68, 56, 52), (3.0, 3.5, 4.0))
        volume, labels = painted_head(grid, radii_mm=(14.0 + n, 18.0 - n), case=f"case{n}")
        write_case(root, volume, labels)
