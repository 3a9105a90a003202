"""How much of a case's contours will have to be changed, told from an ensemble.

The models label the same CT several times, with the patient posed a little differently each time.
Where they know what they see, the maps agree; the volume in which they differ from the contours at
hand is what a reader may expect to change.

The members are small turns and scalings, not mirror images: half heads are canonical (a right one
is mirrored onto the left before a network sees it), so that mirroring a head changes nothing, and
mirroring a half head shows the networks an anatomy that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from parotid_brachy.lib.anatomy import STRUCTURES, Side, Structure
from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.imaging.half_head import Midplane, find_midplane
from parotid_brachy.lib.imaging.orientation import along_patient
from parotid_brachy.lib.imaging.roi import Box
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.segmentation.findings import PreLabel
from parotid_brachy.lib.segmentation.two_step import TwoStepOptions

Labels = NDArray[np.uint8]
Propose = Callable[[Volume, TwoStepOptions], PreLabel]
"""Labels a volume; without a side it proposes one."""


@dataclass(frozen=True)
class Pose:
    """How the patient is moved, about the middle of the volume.

    Attributes:
        turn_deg: about the x (pitch), y (roll) and z (yaw) axes of LPS.
        scale: of all lengths.
    """

    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0


POSES: Final = (
    Pose((6.0, 0.0, 0.0)),
    Pose((-6.0, 0.0, 0.0), 1.04),
    Pose((0.0, 4.0, 6.0), 0.96),
    Pose((0.0, -4.0, -6.0)),
    Pose((3.0, 3.0, -4.0), 1.04),
    Pose((-3.0, -3.0, 4.0), 0.96),
)
"""Well within what trainings turn and scale their samples by."""


@dataclass(frozen=True)
class ExpectedEdit:
    """What a reader may expect to change.

    Attributes:
        ml: mean over the members of the volume that a member labels otherwise; what two
            structures exchange counts once.
        ml_by_structure: mean volume in which a structure's contours differ.
        members: how many maps the contours were compared with.
    """

    ml: float
    ml_by_structure: Mapping[Structure, float]
    members: int


def posed(volume: Volume, pose: Pose) -> Volume:
    """The same voxels of a patient who lies otherwise; a map of it lies on the volume's voxels."""
    grid = volume.grid
    turn = Rotation.from_euler("xyz", pose.turn_deg, degrees=True).as_matrix()
    origin = _moved(np.asarray(grid.origin_lps_mm), grid, pose)
    direction = turn @ np.asarray(grid.direction, dtype=np.float64).reshape(3, 3)
    i, j, k = (pose.scale * spacing for spacing in grid.spacing_mm)
    moved = Grid(
        grid.size_ijk,
        (i, j, k),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        tuple(float(value) for value in direction.ravel()),
    )
    return replace(volume, grid=moved)


def posed_midplane(midplane: Midplane, grid: Grid, pose: Pose) -> Midplane:
    """Where the sagittal midplane of a patient comes to lie who is moved.

    It is moved along, not looked for again: whether a scan of half a head has one does not depend
    on how the patient lies, and a wrong one would hide the gland from a member.

    Args:
        midplane: of the volume as it is.
        grid: of that volume.
        pose: how the patient is moved.

    Returns:
        The sagittal plane through the moved midplane's middle.
    """
    low, high = np.asarray(midplane.body.low_lps_mm), np.asarray(midplane.body.high_lps_mm)
    middle = (low + high) / 2
    middle[0] = midplane.x_lps_mm
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), axis=-1)
    moved = _moved(corners.reshape(-1, 3), grid, pose)
    return replace(
        midplane,
        x_lps_mm=float(_moved(middle, grid, pose)[0]),
        body=Box.of(moved.min(axis=0), moved.max(axis=0)),
    )


def _moved(lps_mm: NDArray[np.float64], grid: Grid, pose: Pose) -> NDArray[np.float64]:
    """Where points come to lie that are moved about the middle of a grid."""
    turn = Rotation.from_euler("xyz", pose.turn_deg, degrees=True).as_matrix()
    middle = grid.to_lps_mm((np.asarray(grid.size_ijk, dtype=np.float64) - 1) / 2)
    return np.asarray(middle + pose.scale * ((lps_mm - middle) @ turn.T))


def ensemble(
    volume: Volume, propose: Propose, side: Side | None, poses: Sequence[Pose] = POSES
) -> list[Labels]:
    """Labels a volume as it is, and once in each pose.

    Args:
        volume: the CT.
        propose: labels a volume.
        side: of the cancer; None: the one that is proposed for the volume as it is.
        poses: of the further members.

    Returns:
        Maps on the volume's voxels, the one of the volume as it is first.

    Raises:
        InputRefusedError: there is no body in the volume.
    """
    midplane = find_midplane(along_patient(volume)[0])
    first = propose(volume, TwoStepOptions(side=side, midplane=midplane))
    known = Side(first.report.side) if first.report.side else side

    def member(pose: Pose) -> Labels:
        moved = posed_midplane(midplane, volume.grid, pose)
        return propose(posed(volume, pose), TwoStepOptions(side=known, midplane=moved)).labels

    return [first.labels, *map(member, poses)]


def expected_edit(
    contours: Labels,
    members: Sequence[Labels],
    grid: Grid,
    structures: Collection[Structure] = STRUCTURES,
) -> ExpectedEdit:
    """Compares contours with an ensemble's maps.

    Args:
        contours: the map at hand, shape ``grid.shape_kji``.
        members: at least one map of the same shape.
        grid: of the CT.
        structures: what the contours are about; of members, others count as background.

    Raises:
        GeometryError: a map has another shape, or there is no member.
    """
    shapes = {contours.shape, *(member.shape for member in members)}
    if not members or shapes != {grid.shape_kji}:
        message = f"maps of shapes {sorted(shapes)} on a grid of shape {grid.shape_kji} (k, j, i)"
        raise GeometryError(message)
    # How often two values meet where maps differ tells of all structures in one pass.
    pairs = np.zeros((256, 256))
    counted = np.zeros(256, dtype=np.uint8)
    values = [structure.value for structure in structures]
    counted[values] = values
    for member in members:
        for own, whole in zip(contours, member, strict=True):  # slab by slab, to save memory
            other = counted[whole]
            differs = own != other
            np.add.at(pairs, (own[differs], other[differs]), 1)
    pairs *= grid.voxel_ml / len(members)
    by_value = pairs.sum(axis=0) + pairs.sum(axis=1)
    return ExpectedEdit(
        float(pairs.sum()),
        {structure: float(by_value[structure.value]) for structure in STRUCTURES},
        len(members),
    )
