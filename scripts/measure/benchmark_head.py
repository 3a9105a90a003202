"""The volume that speed is measured on: a phantom with the matrix of the protocol's planning CTs.

512 x 512 x 130 voxels of 0.98 x 0.98 x 2 mm. A phantom's scan is shorter than 260 mm; its end
slices are repeated, so that there is a body all the way, as in a real scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import GLAND, Side
from parotid_brachy.lib.imaging.files import read_label_map, read_volume, write_label_map
from parotid_brachy.lib.imaging.half_head import Midplane
from parotid_brachy.lib.imaging.sampling import sample_labels
from parotid_brachy.lib.imaging.volume import Grid, Volume, to_image
from parotid_brachy.lib.phantom.draw import draw_phantom
from parotid_brachy.lib.phantom.truth import Extent
from parotid_brachy.lib.segmentation import gland as gland_step
from parotid_brachy.lib.segmentation.findings import Gland

SIZE_IJK: Final = (512, 512, 130)
SPACING_MM: Final = (0.98, 0.98, 2.0)
OPERATED: Final = Side.LEFT
_SEED: Final = 800_002
"""A long scan, three quarters of the gland left: a region of interest as large as the median of
intact glands in planning CTs."""


@dataclass(frozen=True)
class Head:
    """A phantom and its truth.

    Attributes:
        volume: the CT.
        truth: values 0-7 by side, organs at risk cut at the seeds' reach.
    """

    volume: Volume
    truth: Mapping[Side, NDArray[np.uint8]]

    def save(self, folder: Path) -> None:
        """Writes CT and truth for other processes."""
        image = to_image(self.volume.voxels, self.volume.grid)
        sitk.WriteImage(image, str(folder / "head.nii.gz"), useCompression=True, compressionLevel=1)
        for side, labels in self.truth.items():
            write_label_map(folder / f"{side.value}.nii.gz", labels, self.volume.grid)

    @classmethod
    def load(cls, folder: Path) -> Head:
        """Reads what ``save`` wrote."""
        volume = read_volume(folder / "head.nii.gz")
        truth = {
            side: read_label_map(folder / f"{side.value}.nii.gz", volume.grid) for side in Side
        }
        return cls(volume, truth)


def draw_head(matrix: int = SIZE_IJK[0]) -> Head:
    """Draws the head.

    Args:
        matrix: columns and rows; fewer, and slices in proportion, for trying things out.
    """
    factor = SIZE_IJK[0] / matrix
    spacing = (SPACING_MM[0] * factor, SPACING_MM[1] * factor, SPACING_MM[2] * factor)
    phantom = draw_phantom(
        _SEED, after_surgery=OPERATED, spacing_mm=spacing, matrix=(matrix, matrix)
    )
    slices = round(SIZE_IJK[2] / factor)
    grid, before = _of_slices(phantom.volume.grid, slices)
    voxels = _slices(phantom.volume.voxels, before, slices, repeats=True)
    truth = {
        side: _slices(maps[Extent.ROI17], before, slices, repeats=False)
        for side, maps in phantom.truth.items()
    }
    return Head(Volume(grid, voxels, "benchmark"), truth)


def _of_slices(grid: Grid, slices: int) -> tuple[Grid, int]:
    """The grid with another number of slices, and how many are added below (negative: removed)."""
    before = (slices - grid.size_ijk[2]) // 2
    i, j, _ = grid.size_ijk
    return grid.cropped((0, 0, -before), (i, j, slices - before)), before


def _slices(
    array: NDArray[np.generic], before: int, slices: int, *, repeats: bool
) -> NDArray[np.generic]:
    wanted = np.arange(slices) - before
    inside = np.clip(wanted, 0, len(array) - 1)
    result = array[inside]
    if not repeats:
        result[wanted != inside] = 0
    return result


class KnownGland:
    """Has step 1 answer with the true gland, whatever its network says.

    Random weights find nothing, and a search that finds nothing costs nothing afterwards. All work
    is done as usual; only the probabilities are exchanged before the component is looked for.
    """

    def __init__(self, head: Head) -> None:
        self._head = head
        self._search = gland_step.plausible_gland
        # Sampled at the first run, which only warms up, so that no measured run pays for it.
        self._sampled: dict[tuple[Grid, Side], NDArray[np.float32]] = {}

    def __enter__(self) -> None:
        """Takes the place of the search for a plausible component."""
        gland_step.plausible_gland = self._known

    def __exit__(self, *_: object) -> None:
        """Puts the search back."""
        gland_step.plausible_gland = self._search

    def _known(
        self,
        probability: NDArray[np.float32],
        grid: Grid,
        side: Side,
        midplane: Midplane,
    ) -> Gland:
        del probability
        sampled = self._sampled.get((grid, side))
        if sampled is None:
            true = np.where(self._head.truth[side] == GLAND.value, np.uint8(1), np.uint8(0))
            sampled = sample_labels(true, self._head.volume.grid, grid).astype(np.float32)
            self._sampled[grid, side] = sampled
        return self._search(sampled, grid, side, midplane)
