"""The scene: sample points of head and sides in their own frames, and the canvas they feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.imaging.volume import FloatArray, Grid
from parotid_brachy.lib.phantom.canvas import Canvas, Label
from parotid_brachy.lib.phantom.lattice import (
    Array,
    Box,
    Field,
    Lattice,
    Points,
    resampled,
)
from parotid_brachy.lib.phantom.outline import (
    depression,
    fat_thickness,
    intact_skin_surface,
    skin_thickness,
)
from parotid_brachy.lib.phantom.recipe import Recipe, SideShape
from parotid_brachy.lib.phantom.shapes import Vector, box_of, ellipsoid, tube
from parotid_brachy.lib.phantom.tissue import Tissue

SIDE_BOX: Box = ((8.0, 100.0), (-86.0, 64.0), (-118.0, 48.0))
SIDES_BOX: Box = ((-100.0, 100.0), SIDE_BOX[1], SIDE_BOX[2])
FACE_BOX: Box = ((-58.0, 58.0), (-122.0, 2.0), (-132.0, 50.0))
SPINE_BOX: Box = ((-50.0, 50.0), (-24.0, 72.0), (-170.0, -18.0))
_ROOM_MM = 3.0
"""Room round a painted shape for its blurred edge."""
SKULL_BOX: Box = ((-92.0, 92.0), (-108.0, 116.0), (-42.0, 135.0))
HEAD_BOX: Box = ((-100.0, 100.0), (-125.0, 122.0), (-190.0, 135.0))


@dataclass(frozen=True)
class Frame:
    """From LPS to the head's own frame: moved, turned, scaled and gently warped.

    Attributes:
        rotation: turns LPS into the head's axes.
        centre_lps_mm: midpoint between the ear canals.
        scale: head frame times this is the patient.
        waves: wave vectors (n, 3, rad/mm), amplitudes (n, 3, mm) and phases (n) of the warp.
    """

    rotation: FloatArray
    centre_lps_mm: FloatArray
    scale: FloatArray
    waves: tuple[FloatArray, FloatArray, FloatArray]

    @classmethod
    def of(cls, recipe: Recipe) -> Frame:
        """The frame of a recipe's pose."""
        pose = recipe.pose
        # Columns of the active rotation are the head's axes in LPS; its transpose brings them home.
        angles = [pose.yaw_deg, pose.roll_deg, pose.pitch_deg]
        turn = Rotation.from_euler("ZYX", angles, degrees=True)
        rng = np.random.default_rng([recipe.noise_seed, 1])
        waves = rng.normal(0, 1, (5, 3))
        waves *= (2 * np.pi / rng.uniform(55, 130, 5) / np.linalg.norm(waves, axis=1))[:, None]
        amplitudes = rng.normal(0, 0.55, (5, 3))
        phases = rng.uniform(0, 2 * np.pi, 5)
        return cls(
            turn.as_matrix().T,
            np.asarray(pose.centre_lps_mm),
            np.asarray(recipe.head.scale),
            (waves, amplitudes, phases),
        )

    def points(self, lattice: Lattice) -> Points:
        """A lattice's points in the head's frame."""
        x, y, z = (
            np.asarray(values / np.float32(factor), dtype=np.float32)
            for values, factor in zip(
                lattice.positions(self.rotation, self.centre_lps_mm), self.scale, strict=True
            )
        )
        offsets = [np.zeros(lattice.shape, dtype=np.float32) for _ in range(3)]
        for wave, amplitude, phase in zip(*self.waves, strict=True):
            w = wave.astype(np.float32)
            swing = np.sin(w[0] * x + w[1] * y + w[2] * z + np.float32(phase))
            for axis, size in enumerate(amplitude):
                offsets[axis] += np.float32(size) * swing
        return Points(lattice, x + offsets[0], y + offsets[1], z + offsets[2])

    def box_lps_mm(self, box: Box) -> Box:
        """The LPS box round a box of the head's frame, with room for the warp."""
        corners = np.array(np.meshgrid(*np.asarray(box))).reshape(3, -1).T * self.scale
        lps = corners @ self.rotation + self.centre_lps_mm
        low, high = lps.min(axis=0) - 3, lps.max(axis=0) + 3
        return ((low[0], high[0]), (low[1], high[1]), (low[2], high[2]))

    def to_lps_mm(self, position: tuple[float, float, float]) -> FloatArray:
        """Where a point of the head's frame lies, without the warp (a few millimetres)."""
        placed = (np.asarray(position) * self.scale) @ self.rotation + self.centre_lps_mm
        return np.asarray(placed, dtype=np.float64)


@dataclass(frozen=True)
class Layers:
    """Distances to the head's layers: skin, the same before surgery, under the skin and the fat."""

    p: Points
    skin: Array
    intact: Array
    under: Array
    deep: Array


@dataclass(frozen=True)
class SidePoints:
    """Sample points of one side: x lateral for either side, and depths below its skin.

    Attributes:
        side: which side.
        shape: how its structures are shaped.
        p: the points in the side's own frame.
        skin: distance to the skin's outer surface.
        intact: the same before surgery.
        under: distance to the skin's inner surface.
        deep: distance to the inner surface of the subcutaneous fat.
    """

    side: Side
    shape: SideShape
    p: Points
    skin: Array
    intact: Array
    under: Array
    deep: Array

    def within(self, box: Box) -> SidePoints:
        """The part inside a box of the side's frame."""
        part = self.p.within(box)
        start = self.p.lattice.start_kji
        cut = tuple(
            slice((a - b) // n, (a - b) // n + count)
            for a, b, n, count in zip(
                part.lattice.start_kji,
                start,
                part.lattice.step_kji,
                part.lattice.shape,
                strict=True,
            )
        )
        layers = (values[cut] for values in (self.skin, self.intact, self.under, self.deep))
        return SidePoints(self.side, self.shape, part, *layers)


@dataclass(frozen=True)
class Scene:
    """Everything that the parts of the anatomy draw with.

    Attributes:
        recipe: what chance decided.
        canvas: what is painted on.
        frame: where the head lies.
    """

    recipe: Recipe
    canvas: Canvas
    frame: Frame

    def points(self, box: Box, *, step_mm: float, slice_step_mm: float = 1.6) -> Points:
        """Sample points over the scanned part of a box of the head's frame."""
        placed = clipped_to_scan(self.frame.box_lps_mm(box), self.canvas.grid)
        return self._points(placed, step_mm=step_mm, slice_step_mm=slice_step_mm)

    def layers(self) -> Layers:
        """Skin and fat over the whole head, and beyond the scan where a gland may lie."""
        (x, y, z), sides = self.frame.box_lps_mm(HEAD_BOX), self.frame.box_lps_mm(SIDES_BOX)
        scanned = clipped_to_scan((x, y, z), self.canvas.grid)
        height = (min(scanned[2][0], sides[2][0]), max(scanned[2][1], sides[2][1]))
        p = self._points((x, y, height), step_mm=2.6, slice_step_mm=2.6)
        intact = intact_skin_surface(p, self.recipe)
        surgery = self.recipe.surgery
        skin = intact if surgery is None else intact + depression(p, surgery)
        thickness = skin_thickness(p, self.recipe)
        deep = skin + thickness + fat_thickness(p, self.recipe)
        return Layers(p, skin, intact, skin + thickness, deep)

    def side_points(self, side: Side, layers: Layers) -> SidePoints:
        """Sample points over one side, about 1 mm apart, also beyond the scan."""
        sign = 1.0 if side is Side.LEFT else -1.0
        (low, high), y, z = SIDE_BOX
        box: Box = ((low, high), y, z) if side is Side.LEFT else ((-high, -low), y, z)
        head = self._points(self.frame.box_lps_mm(box), step_mm=1.1, slice_step_mm=1.6)
        shape = self.recipe.side(side)
        shift = np.asarray(shape.shift, dtype=np.float32)
        p = head.moved(np.float32(sign) * head.x - shift[0], head.y - shift[1], head.z - shift[2])
        source = layers.p.lattice
        skin, intact, under, deep = (
            resampled(values, source, p.lattice)
            for values in (layers.skin, layers.intact, layers.under, layers.deep)
        )
        return SidePoints(side, shape, p, skin, intact, under, deep)

    def _points(self, box_lps_mm: Box, *, step_mm: float, slice_step_mm: float) -> Points:
        lattice = Lattice.over(
            self.canvas.grid, box_lps_mm, step_mm=step_mm, slice_step_mm=slice_step_mm
        )
        return self.frame.points(lattice)

    def paint(
        self,
        p: Points,
        distance: Array,
        tissue: Tissue,
        label: tuple[Side, int] | Label = Label.CLEAR,
        *,
        hu: float | None = None,
    ) -> None:
        """Paints the inside of a distance given at sample points."""
        self.canvas.paint(Field(p.lattice, distance), tissue, label, hu=hu)

    def ellipsoid(
        self,
        p: Points,
        centre: Vector,
        semi: Vector,
        tissue: Tissue,
        *,
        hu: float | None = None,
        paired: bool = False,
    ) -> None:
        """Paints an ellipsoid, or one on either side, over what is there; keeps the truth."""
        for sign in (1.0, -1.0) if paired else (1.0,):
            at = (sign * centre[0], centre[1], centre[2])
            near = p.within(
                box_of([at], (semi[0] + _ROOM_MM, semi[1] + _ROOM_MM, semi[2] + _ROOM_MM))
            )
            self.paint(near, ellipsoid(near, at, semi), tissue, Label.KEEP, hu=hu)

    def tube(
        self,
        p: Points,
        path: Sequence[Vector] | FloatArray,
        radius: float | Sequence[float],
        tissue: Tissue,
        *,
        flat: tuple[Vector, float] | None = None,
        hu: float | None = None,
        paired: bool = False,
    ) -> None:
        """Paints a swept tube, or one on either side, over what is there; keeps the truth."""
        margin = float(np.max(radius)) + _ROOM_MM
        for sign in (1.0, -1.0) if paired else (1.0,):
            curve = np.asarray(path, dtype=np.float64) * (sign, 1.0, 1.0)
            bent = None if flat is None else ((sign * flat[0][0], flat[0][1], flat[0][2]), flat[1])
            near = p.within(box_of(curve, margin))
            self.paint(near, tube(near, curve, radius, flat=bent), tissue, Label.KEEP, hu=hu)

    def mark(self, p: Points, distance: Array, label: tuple[Side, int]) -> None:
        """Sets the truth inside a distance given at sample points."""
        self.canvas.mark(Field(p.lattice, distance), label)


def clipped_to_scan(box: Box, grid: Grid) -> Box:
    """The part of an LPS box that a scan reaches, with a margin."""
    corners = grid.corners_lps_mm()
    low, high = corners.min(axis=0) - 4, corners.max(axis=0) + 4
    (x0, x1), (y0, y1), (z0, z1) = box
    return (
        (max(x0, low[0]), min(x1, high[0])),
        (max(y0, low[1]), min(y1, high[1])),
        (max(z0, low[2]), min(z1, high[2])),
    )
