"""What a CT file may be: the bounds that every reader holds to before it allocates anything."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileLimits:
    """Bounds of a CT volume that is worked on.

    Attributes:
        voxel_bytes: most bytes that the voxels may take, as stored and as worked on.
        header_bytes: longest text header.
        slice_file_bytes: largest file of one DICOM slice.
        slices: most files of a DICOM folder.
        least_size: fewest voxels along each axis.
        spacing_mm: smallest and largest distance of voxel centres. Head and neck CTs have
            0.3-5 mm; the bounds leave room on both sides.
        extent_mm: smallest and largest edge of the volume.
        origin_mm: farthest that the first voxel may be from the coordinates' origin.
        shear: largest cosine between two axes that still counts as a right angle.
    """

    voxel_bytes: int = 2 * 1024**3
    header_bytes: int = 1024**2
    slice_file_bytes: int = 64 * 1024**2
    slices: int = 4096
    least_size: int = 8
    spacing_mm: tuple[float, float] = (0.1, 10.0)
    extent_mm: tuple[float, float] = (30.0, 2500.0)
    origin_mm: float = 10_000.0
    shear: float = 2e-3


CT_LIMITS = FileLimits()
"""The limits that hold where nobody gives others."""
