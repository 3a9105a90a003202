"""Small CT series in all positions, with contoured masks, for tests of DICOM objects."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from tests.imaging.test_sampling import rotation

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.dicom.contour_content import Approval, ContourContent, Origin
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.phantom.dicom_series import write_series

SIZE = (40, 36, 12)
"""Voxels along i, j, k."""
MADE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)

GRIDS: dict[str, Grid] = {
    name: Grid(SIZE, spacing, (-31.25, 12.5, -403.125), direction)
    for name, spacing, direction in (
        ("straight", (1.0, 1.0, 3.0), rotation(0.0, 0.0, 0.0)),
        ("oblique", (1.1, 1.1, 3.0), rotation(9.0, -14.0, 21.0)),
        ("prone", (1.0, 1.0, 3.0), (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)),
        ("feet first", (1.0, 1.0, 3.0), (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)),
        ("feet first prone", (1.0, 1.0, 3.0), (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0)),
        ("sagittal", (1.0, 1.0, 3.0), (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)),
        ("non-square", (0.8, 1.7, 2.5), rotation(0.0, 0.0, 0.0)),
        ("non-square oblique", (1.7, 0.9, 2.5), rotation(4.0, 3.0, -33.0)),
        ("unround", (0.9765625, 0.9765625, 2.7), rotation(0.0, 0.0, 0.0)),
        ("coarse", (2.0, 2.0, 5.0), rotation(0.0, 0.0, 0.0)),
    )
}
GRIDS["0.4 mm"] = Grid((96, 80, 12), (0.4, 0.4, 3.0), (0.0, 0.0, 0.0), rotation(0.0, 0.0, 0.0))


def volume_of(grid: Grid) -> Volume:
    """Soft tissue with a different value in every voxel's neighbourhood."""
    k, j, i = np.indices(grid.shape_kji)
    return Volume(grid, (3 * i + 2 * j + 5 * k - 100).astype(np.int16), "case_1")


def write_ct(folder: Path, grid: Grid, *, order: str = "forward") -> Path:
    """A series on a grid; its files are named along, against or across the slices' order."""
    write_series(volume_of(grid), folder, seed=1)
    paths = sorted(folder.glob("*.dcm"))
    numbers = np.arange(len(paths))
    if order == "reversed":
        numbers = numbers[::-1]
    elif order == "shuffled":
        numbers = np.random.default_rng(3).permutation(len(paths))
    for path, number in zip(paths, numbers.tolist(), strict=True):
        one = pydicom.dcmread(path)
        one.InstanceNumber = number + 1
        one.save_as(folder / f"slice_{number:03d}.dcm")
        path.unlink()
    return folder


def masks(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """All seven structures, each awkward in its own way."""
    labels = np.zeros(shape, dtype=np.uint8)
    k, j, i = np.indices(shape)
    labels[(k > 1) & (k < 9) & ((i - 20) ** 2 + (j - 17) ** 2 < 14**2)] = 3
    labels[(k > 1) & (k < 9) & ((i - 20) ** 2 + (j - 17) ** 2 < 10**2)] = 0  # a hole
    labels[(k > 2) & (k < 8) & ((i - 20) ** 2 + (j - 17) ** 2 < 7**2)] = 7  # within the hole
    labels[4, 14:17, 18:20] = 0  # holes of the gland, one of them with a piece inside
    labels[5, 13:20, 16:22] = 0
    labels[5, 15:17, 18:20] = 7
    labels[3, 17, 20] = 2  # one voxel, in one slice
    labels[:, 0:3, 0:4] = 4  # in the corner, through all slices
    labels[6, 30:34, 5:9] = 5  # several pieces in one slice, two of them touching at a corner
    labels[6, 34:36, 9:12] = 5
    labels[6, 28, 30:36] = 5
    noise = np.random.default_rng(5).random(shape) < 0.5
    labels[noise & (k == 10) & (i > 22)] = 6  # as ragged as can be
    labels[0, -1, :] = 1  # along an edge, on the first slice
    return labels


def content(
    *,
    side: Side = Side.RIGHT,
    origin: Origin = Origin.CORRECTED,
    reader: str = "reader1",
    approved: bool = False,
) -> ContourContent:
    """What the tests' objects say."""
    approval = Approval("Dr Senior", MADE) if approved else None
    return ContourContent(
        "case_1", side, origin, MADE, reader=reader, approval=approval, algorithm_version="0.1.0"
    )


def missing(program: str, package: str) -> None:
    """Skips where a Debian program is missing; on the build machine that is a failure."""
    if shutil.which(program) is None:
        message = f"{program} is missing: apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def dciodvfy_errors(path: Path) -> list[str]:
    """What Debian's dciodvfy finds wrong with an object."""
    missing("dciodvfy", "dicom3tools")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    return [line for line in said.splitlines() if line.startswith("Error")]
