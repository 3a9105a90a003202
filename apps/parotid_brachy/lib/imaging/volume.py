"""A CT volume and its grid, in LPS millimetres.

Arrays are indexed ``[k, j, i]`` as SimpleITK's are; grids speak of the index axes as i, j, k.
LPS: +x is the patient's left, +y posterior, +z superior (DICOM PS3.3, section C.7.6.2.1.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from parotid_brachy.lib.errors import GeometryError

Vector = tuple[float, float, float]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """A lattice of voxel centres in space.

    Attributes:
        size_ijk: number of voxels along i, j, k.
        spacing_mm: distance of voxel centres along i, j, k.
        origin_lps_mm: centre of voxel (0, 0, 0).
        direction: row-major 3 x 3 matrix whose columns are the unit vectors of the i, j, k axes
            in LPS. A left-handed matrix is allowed: a mirrored half head is such a grid.
    """

    size_ijk: tuple[int, int, int]
    spacing_mm: Vector
    origin_lps_mm: Vector
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> Grid:
        """The grid of a SimpleITK image of three dimensions."""
        size, spacing, origin = image.GetSize(), image.GetSpacing(), image.GetOrigin()
        return cls(
            (size[0], size[1], size[2]),
            (spacing[0], spacing[1], spacing[2]),
            (origin[0], origin[1], origin[2]),
            tuple(image.GetDirection()),
        )

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Shape of an array on this grid."""
        return (self.size_ijk[2], self.size_ijk[1], self.size_ijk[0])

    @property
    def spacing_kji_mm(self) -> Vector:
        """Spacing in the order of the array's axes."""
        return (self.spacing_mm[2], self.spacing_mm[1], self.spacing_mm[0])

    @property
    def matrix(self) -> FloatArray:
        """Maps an index step (i, j, k) to millimetres; the columns are the voxel's edges."""
        axes: FloatArray = np.asarray(self.direction, dtype=np.float64).reshape(3, 3)
        edges: FloatArray = axes * np.asarray(self.spacing_mm)
        return edges

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.matrix))) / 1000.0

    def to_lps_mm(self, ijk: FloatArray) -> FloatArray:
        """Positions in LPS millimetres of (continuous) indices of shape ``(..., 3)``."""
        steps = np.asarray(ijk, dtype=np.float64) @ self.matrix.T
        return np.asarray(steps + np.asarray(self.origin_lps_mm), dtype=np.float64)

    def to_index(self, lps_mm: FloatArray) -> FloatArray:
        """Continuous indices (i, j, k) of positions of shape ``(..., 3)``."""
        offset = np.asarray(lps_mm, dtype=np.float64) - np.asarray(self.origin_lps_mm)
        return np.asarray(offset @ np.linalg.inv(self.matrix).T, dtype=np.float64)

    def corners_lps_mm(self) -> FloatArray:
        """The eight corners of the voxels' outer faces, shape (8, 3)."""
        low, high = np.full(3, -0.5), np.asarray(self.size_ijk) - 0.5
        corners = [
            [(low, high)[a][0], (low, high)[b][1], (low, high)[c][2]]
            for a in (0, 1)
            for b in (0, 1)
            for c in (0, 1)
        ]
        return self.to_lps_mm(np.asarray(corners))

    def cropped(self, start_ijk: tuple[int, ...], stop_ijk: tuple[int, ...]) -> Grid:
        """The part of this grid from ``start_ijk`` up to, not including, ``stop_ijk``."""
        origin = self.to_lps_mm(np.asarray(start_ijk, dtype=np.float64))
        size = tuple(int(b - a) for a, b in zip(start_ijk, stop_ijk, strict=True))
        return Grid(
            (size[0], size[1], size[2]),
            self.spacing_mm,
            (float(origin[0]), float(origin[1]), float(origin[2])),
            self.direction,
        )

    def is_same_as(self, other: Grid, *, tolerance_mm: float = 1e-2) -> bool:
        """Whether both grids have the same size and no corner is off by more than a tolerance."""
        if self.size_ijk != other.size_ijk:
            return False
        gap = np.abs(self.corners_lps_mm() - other.corners_lps_mm())
        return bool(gap.max() <= tolerance_mm)

    def require_same(self, other: Grid, *, what: str) -> None:
        """Refuses a map that does not lie on this grid.

        Raises:
            GeometryError: size, spacing, origin or direction differ; names both.
        """
        if not self.is_same_as(other):
            message = (
                f"{what}: its grid is not the image's. Image: {self.describe()}; "
                f"{what}: {other.describe()}. Resample it to the image first."
            )
            raise GeometryError(message)

    def describe(self) -> str:
        """Size, spacing and origin for a message."""
        spacing = " x ".join(f"{value:.4g}" for value in self.spacing_mm)
        origin = ", ".join(f"{value:.5g}" for value in self.origin_lps_mm)
        size = " x ".join(str(value) for value in self.size_ijk)
        return f"{size} voxels of {spacing} mm from ({origin}) mm LPS"


@dataclass(frozen=True)
class Volume:
    """A CT volume of one case.

    Attributes:
        grid: where the voxels lie.
        voxels: CT numbers in HU, shape ``grid.shape_kji``.
        case: the case's id, for messages and reports.
    """

    grid: Grid
    voxels: NDArray[Any]
    case: str

    def __post_init__(self) -> None:
        """Refuses an array that does not fit its grid."""
        if self.voxels.shape != self.grid.shape_kji:
            message = (
                f"{self.case}: array of shape {self.voxels.shape} on a grid of shape "
                f"{self.grid.shape_kji} (k, j, i)"
            )
            raise GeometryError(message)

    @classmethod
    def of(cls, image: sitk.Image, *, case: str) -> Volume:
        """The volume held by a SimpleITK image."""
        return cls(Grid.of(image), sitk.GetArrayFromImage(image), case)


def to_image(array: NDArray[Any], grid: Grid) -> sitk.Image:
    """A SimpleITK image of ``array`` on ``grid``.

    Args:
        array: shape ``grid.shape_kji``, or with one more axis at the end for channels.
        grid: where the voxels lie.
    """
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_lps_mm)
    image.SetDirection(grid.direction)
    return image
