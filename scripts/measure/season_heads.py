"""The patients of a season: CTs with the truth of the side of the cancer."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from tqdm import tqdm

from parotid_brachy.lib.anatomy import GLAND, STRUCTURES, Side
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.imaging.volume import Grid, to_image
from parotid_brachy.lib.phantom.draw import draw_phantom
from parotid_brachy.lib.phantom.truth import Extent

Labels = NDArray[np.uint8]

ENDING: Final = ".nii.gz"
_SPACING_MM: Final = (1.5, 1.5, 2.5)
_FIRST_SEED: Final = 700_000
"""Far from the seeds that models are trained on."""
_SLIP_SHARE: Final = 0.15
_SLIP_SMOOTH_VOXELS: Final = 3.0


@dataclass(frozen=True)
class Heads:
    """Patients in ``images/`` and ``labels/``, as ``parotid train`` pairs them.

    Attributes:
        folder: of both.
    """

    folder: Path

    @property
    def images(self) -> Path:
        """Of the CTs, ``<case>.nii.gz``."""
        return self.folder / "images"

    @property
    def labels(self) -> Path:
        """Of the truth, ``<case>.nii.gz``, values 0-7 on one side."""
        return self.folder / "labels"

    @property
    def cases(self) -> list[str]:
        """Their ids."""
        return sorted(path.name.removesuffix(ENDING) for path in self.images.glob(f"*{ENDING}"))

    def truth(self, case: str) -> tuple[Labels, Grid]:
        """A case's truth, and the grid that it is on."""
        grid = read_volume(self.images / f"{case}{ENDING}").grid
        return read_label_map(self.labels / f"{case}{ENDING}", grid), grid

    def side(self, case: str) -> Side:
        """The side of a case's cancer."""
        labels, grid = self.truth(case)
        gland = np.argwhere(labels == GLAND.value).mean(axis=0)
        middle = (np.asarray(grid.shape_kji) - 1) / 2
        x, middle_x = (float(grid.to_lps_mm(kji[::-1])[0]) for kji in (gland, middle))
        return Side.LEFT if x > middle_x else Side.RIGHT

    def add(self, case: str, hu: NDArray[np.int16], labels: Labels, grid: Grid) -> None:
        """Writes a case."""
        for folder, voxels in ((self.labels, labels), (self.images, hu)):
            folder.mkdir(parents=True, exist_ok=True)
            image = to_image(voxels, grid)
            sitk.WriteImage(image, str(folder / f"{case}{ENDING}"), useCompression=True)


@dataclass(frozen=True)
class Cohorts:
    """Who is who in a season; no patient is in two of them.

    Attributes:
        before: the first version is trained on these.
        season: contoured by the readers, and trained on.
        unseen: no version ever sees these; versions are compared on them.
    """

    before: Heads
    season: Heads
    unseen: Heads

    @classmethod
    def in_folder(cls, folder: Path) -> Cohorts:
        """Three folders in one."""
        return cls(*(Heads(folder / name) for name in ("before", "season", "unseen")))


def draw_cohorts(folder: Path, *, before: int, season: int, unseen: int) -> Cohorts:
    """Phantoms after surgery on one side, sides by turns, on a coarse grid.

    The truth is that of organs within the seeds' reach, as readers contour them. Every patient has
    all of them: the gate refuses a candidate of whose organs no validation patient tells, and
    with twelve patients a single one may be all there is. Of what was drawn before, nothing is
    drawn again.
    """
    cohorts = Cohorts.in_folder(folder)
    seed = _FIRST_SEED
    sizes = ((cohorts.before, before), (cohorts.season, season), (cohorts.unseen, unseen))
    progress = tqdm(total=before + season + unseen, desc="phantoms", disable=None)
    for heads, count in sizes:
        known = set(heads.cases)
        for number in range(count):
            side = Side.LEFT if number % 2 == 0 else Side.RIGHT
            while (case := f"phantom_{seed}") not in known:
                phantom = draw_phantom(
                    seed, after_surgery=side, spacing_mm=_SPACING_MM, compact=True
                )
                truth = phantom.truth[side][Extent.ROI17]
                if set(np.unique(truth)) >= {structure.value for structure in STRUCTURES}:
                    heads.add(case, phantom.volume.voxels, truth, phantom.volume.grid)
                    break
                seed += 1
            seed += 1
            progress.update()
    return cohorts


def slipped(labels: Labels, seed: int) -> Labels:
    """Contours as a hand draws them that slips by a voxel here and there.

    Args:
        labels: the truth; nothing of it lies in the grid's outermost voxels.
        seed: where it slips.
    """
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=labels.shape), _SLIP_SMOOTH_VOXELS)
    where = smooth > np.quantile(smooth, 1 - _SLIP_SHARE)
    return np.where(where, np.roll(labels, 1, axis=int(rng.integers(3))), labels)


def exchanged(heads: Heads, folder: Path, values: dict[int, int]) -> Heads:
    """The same CTs with label values exchanged.

    Args:
        heads: the true ones.
        folder: new.
        values: what each value becomes; those that it lacks stay.
    """
    wrong = Heads(folder)
    shutil.copytree(heads.images, wrong.images)
    wrong.labels.mkdir()
    table = np.array([values.get(value, value) for value in range(8)], np.uint8)
    for case in heads.cases:
        labels, grid = heads.truth(case)
        image = to_image(table[labels], grid)
        sitk.WriteImage(image, str(wrong.labels / f"{case}{ENDING}"), useCompression=True)
    return wrong
