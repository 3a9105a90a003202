"""What makes one phantom: every quantity that chance decides.

Lengths are millimetres in the head's own frame: origin midway between the ear canals, x lateral
(to the left for the midline), y posterior, z superior, before the head is scaled and tilted.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from parotid_brachy.lib.anatomy import Side


class Resection(enum.Enum):
    """What the surgeon took first."""

    SUPERFICIAL = "superficial"
    ROUND_TUMOUR = "round_tumour"
    LOWER_POLE = "lower_pole"


class View(enum.Enum):
    """How much of the head the scan covers, from above to below."""

    WHOLE_HEAD = "whole_head"
    CUT_AT_VERTEX = "cut_at_vertex"
    NECK = "neck"
    CUT_AT_GLAND = "cut_at_gland"


@dataclass(frozen=True)
class HeadShape:
    """Outline, layers and what lies in the midline."""

    scale: tuple[float, float, float]
    width_front: float
    neck_width: float
    chin_forward: float
    nose_length: float
    skin_mm: float
    cheek_fat_mm: float
    neck_fat_mm: float
    skull_mm: float
    pneumatised: float
    toothless: bool
    missing_teeth: tuple[int, ...]
    fillings: tuple[int, ...]
    filling_streaks: float


@dataclass(frozen=True)
class SideShape:
    """Structures of one side."""

    shift: tuple[float, float, float]
    gland_ml: float
    gland_depth: float
    gland_tail: float
    deep_lobe: float
    condyle_scale: float
    ramus_thickness: float
    notch_depth: float
    mastoid_height: float
    mastoid_scale: float
    cell_mm: float
    cells: float
    ear_scale: float
    ear_angle_deg: float
    ear_tilt_deg: float
    ear_thickness: float
    canal_radius: float
    canal_length: float
    canal_bend: float
    muscle_scale: float


@dataclass(frozen=True)
class Tissues:
    """CT numbers that differ between people and scans."""

    gland_hu: float
    gland_septa_hu: float
    fat_hu: float
    muscle_hu: float
    cortical_hu: float
    cancellous_hu: float
    artery_hu: float
    vein_hu: float


@dataclass(frozen=True)
class Pose:
    """How the head lies: degrees about y (roll), x (pitch) and z (yaw), and where (LPS mm)."""

    roll_deg: float
    pitch_deg: float
    yaw_deg: float
    centre_lps_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Scan:
    """Grid, reconstruction and what else lies on the couch; heights are the head frame's z."""

    view: View
    heights_mm: tuple[float, float]
    field_of_view_mm: float
    matrix: tuple[int, int]
    slice_mm: float
    off_centre_mm: tuple[float, float]
    blur_mm: float
    noise_hu: float
    sharp: float
    round_field: bool
    couch: bool
    headrest: bool
    mask: bool


@dataclass(frozen=True)
class Surgery:
    """Resection of one side's gland and what it left behind."""

    side: Side
    removed_fraction: float
    resection: Resection
    centre: tuple[float, float, float]
    depression_mm: float
    scar_strands: int
    fluid_ml: float
    air_bubbles: int
    clips: int
    thick_skin_mm: float
    tip_cells_removed: bool


@dataclass(frozen=True)
class Recipe:
    """Everything about one phantom. ``noise_seed`` feeds textures, cells and noise."""

    seed: int
    head: HeadShape
    left: SideShape
    right: SideShape
    tissues: Tissues
    pose: Pose
    scan: Scan
    surgery: Surgery | None
    noise_seed: int

    def side(self, side: Side) -> SideShape:
        """The shape of one side."""
        return self.left if side is Side.LEFT else self.right
