"""Tissues: mean CT number and texture of each."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

import numpy as np

from parotid_brachy.lib.phantom.lattice import Array


class Tissue(enum.IntEnum):
    """What a voxel is mostly made of."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    GLAND = 4
    SUBMANDIBULAR = 5
    CARTILAGE = 6
    CORTICAL = 7
    CANCELLOUS = 8
    DIPLOE = 9
    BRAIN = 10
    FLUID = 11
    MUCOSA = 12
    EYE = 13
    LENS = 14
    ARTERY = 15
    VEIN = 16
    ENAMEL = 17
    DENTIN = 18
    METAL = 19
    SCAR = 20
    FOAM = 21
    SHELL = 22
    MASK = 23


@dataclass(frozen=True)
class Texture:
    """Mean CT number (HU) and how it varies.

    Attributes:
        mean_hu: without texture.
        fine_hu: standard deviation over about 2 mm.
        coarse_hu: standard deviation over about 10 mm.
        septa_hu: CT number added along thin sheets (fibrous in fat, fatty in gland and muscle).
    """

    mean_hu: float
    fine_hu: float = 0.0
    coarse_hu: float = 0.0
    septa_hu: float = 0.0


USUAL: Final = {
    Tissue.AIR: Texture(-1000),
    Tissue.SKIN: Texture(25, 12, 8),
    Tissue.FAT: Texture(-104, 7, 5, 55),
    Tissue.MUSCLE: Texture(57, 5, 5, -40),
    Tissue.GLAND: Texture(15, 14, 8, -45),
    Tissue.SUBMANDIBULAR: Texture(48, 8, 5, -25),
    Tissue.CARTILAGE: Texture(100, 12, 8),
    Tissue.CORTICAL: Texture(1250, 110, 140),
    Tissue.CANCELLOUS: Texture(300, 130, 90),
    Tissue.DIPLOE: Texture(480, 150, 120),
    Tissue.BRAIN: Texture(35, 2.5, 3),
    Tissue.FLUID: Texture(10, 2, 3),
    Tissue.MUCOSA: Texture(42, 7, 6),
    Tissue.EYE: Texture(8, 1, 1),
    Tissue.LENS: Texture(75, 2, 0),
    Tissue.ARTERY: Texture(48, 2, 2),
    Tissue.VEIN: Texture(45, 2, 2),
    Tissue.ENAMEL: Texture(2300, 60, 0),
    Tissue.DENTIN: Texture(1500, 70, 40),
    Tissue.METAL: Texture(6000),
    Tissue.SCAR: Texture(75, 10, 6, -20),
    Tissue.FOAM: Texture(-930, 8, 5),
    Tissue.SHELL: Texture(-250, 20, 0),
    Tissue.MASK: Texture(60, 10, 0),
}


def lookup(textures: dict[Tissue, Texture]) -> tuple[Array, Array, Array, Array]:
    """Mean, fine, coarse and septa by tissue number."""
    table = np.array(
        [
            (t.mean_hu, t.fine_hu, t.coarse_hu, t.septa_hu)
            for t in (textures[tissue] for tissue in Tissue)
        ],
        dtype=np.float32,
    )
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]
