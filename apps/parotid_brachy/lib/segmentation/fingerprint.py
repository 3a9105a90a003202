"""The foreground's CT numbers, without what no reader judged.

nnU-Net takes every voxel whose label is above 0 for foreground, and so the "ignore" label too,
which here is most of the region of interest: air and distant tissue. Its CT scheme (clip to the
foreground's 0.5 and 99.5 percentiles, subtract the mean, divide by the standard deviation; Isensee
et al., Nat Methods 2021;18:203-211) is meant for the structures alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

_SAMPLES: Final = 5_000_000
"""Voxels drawn from all cases together; each case gives as many, as in nnU-Net."""


def judged_intensities(raw: Path, *, structures: int, seed: int = 1234) -> dict[str, float]:
    """Statistics of the structures' HU over a data set in nnU-Net's raw layout.

    Args:
        raw: holds ``imagesTr/<name>_0000.nrrd`` and ``labelsTr/<name>.nrrd``.
        structures: labels 1 ... so many are structures; what is above is "ignore".
        seed: of the draw.

    Returns:
        nnU-Net's ``foreground_intensity_properties_per_channel`` of one channel.
    """
    rng = np.random.default_rng(seed)
    paths = sorted((raw / "labelsTr").iterdir())
    share = max(1, _SAMPLES // len(paths))
    drawn = []
    for path in paths:
        labels = _voxels(path)
        hu = _voxels(raw / "imagesTr" / path.name.replace(".", "_0000.", 1))
        foreground = hu[(labels > 0) & (labels <= structures)]
        if foreground.size:
            drawn.append(rng.choice(foreground, share, replace=True))
    hu = np.concatenate(drawn)
    low, median, high = np.percentile(hu, (0.5, 50.0, 99.5))
    return {
        "mean": float(np.mean(hu, dtype=np.float64)),
        "median": float(median),
        "std": float(np.std(hu, dtype=np.float64)),
        "min": float(hu.min()),
        "max": float(hu.max()),
        "percentile_99_5": float(high),
        "percentile_00_5": float(low),
    }


def _voxels(path: Path) -> NDArray[np.float32]:
    return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), dtype=np.float32)
