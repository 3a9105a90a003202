"""A model without a network, which knows every structure by its paint, and a head so painted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from tests.imaging.heads import grid_of, positions_of

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK, STRUCTURES, Structure
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.segmentation.presets import Preset, Step, preset_for
from parotid_brachy.lib.segmentation.registry import ModelVersion

HU_OF = {structure: 100 * structure.value + 100 for structure in STRUCTURES}
TISSUE_HU = 40
CENTRE_MM = (52.0, 12.0, 0.0)
"""Distance of a gland's centre from the midplane, then y and z in LPS."""
_OFFSETS_MM = {
    "auricula": (24, 10, 12),
    "condyle_process": (0, -22, 14),
    "skin": (28, -10, -10),
    "mastoid_process": (-4, 28, 10),
    "external_auditory_canal": (5, 4, 28),
    "mandibular_ramus": (-6, -26, -12),
}
_ORGAN_RADIUS_MM = 6.0


class PaintedModel:
    """What a ``Model`` is to the two steps."""

    def __init__(
        self,
        step: Step,
        *,
        spacing_kji_mm: tuple[float, float, float] = (3.0, 3.0, 3.0),
        blind_to: tuple[Structure, ...] = (),
        gland_share: float = 1.0,
    ) -> None:
        self.preset: Preset = preset_for("compact", step)
        self.version = ModelVersion(step, f"painted-{step.value}", Path(), {"preset": "compact"})
        self.name = f"{step.value}/{self.version.name}"
        self.spacing_kji_mm = spacing_kji_mm
        self.shapes_seen: list[tuple[int, ...]] = []
        self._blind_to = blind_to
        self._gland_share = gland_share

    def value_of(self, structure: Structure) -> int | None:
        structures = self.preset.structures
        return structures.index(structure) + 1 if structure in structures else None

    def probabilities(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        self.shapes_seen.append(hu.shape)
        # A blob's HU is its brightest nearby; its outline lies where the HU is halfway up to that.
        paint = ndimage.maximum_filter(hu, 3)
        inside = hu > (paint + TISSUE_HU) / 2
        result = np.zeros((1 + len(self.preset.structures), *hu.shape), np.float32)
        for value, structure in enumerate(self.preset.structures, start=1):
            if structure not in self._blind_to:
                share = self._gland_share if structure is GLAND else 1.0
                result[value] = (inside & (np.abs(paint - HU_OF[structure]) < 49)) * share
        result[0] = 1 - result[1:].sum(axis=0)
        return result


def painted_labels(
    lps_mm: NDArray[np.float64], radii_mm: tuple[float, float] = (14.0, 18.0)
) -> NDArray[np.uint8]:
    """Structures at positions in LPS: balls round each gland; radii left, right, 0 for none."""
    labels = np.zeros(lps_mm.shape[:-1], np.uint8)
    for sign, radius in zip((1, -1), radii_mm, strict=True):
        if not radius:
            continue
        centre = np.asarray(CENTRE_MM) * (sign, 1, 1)
        labels[((lps_mm - centre) ** 2).sum(axis=-1) < radius**2] = GLAND.value
        for organ in ORGANS_AT_RISK:
            offset = np.asarray(_OFFSETS_MM[organ.name]) * (sign, 1, 1)
            # As far from the surface of every gland as from that of one of 14 mm.
            place = centre + offset * (1 + (radius - 14.0) / np.linalg.norm(offset))
            ball = ((lps_mm - place) ** 2).sum(axis=-1) < _ORGAN_RADIUS_MM**2
            labels[ball] = organ.value
    return labels


def painted_head(
    grid: Grid | None = None, *, radii_mm: tuple[float, float] = (14.0, 18.0), case: str = "painted"
) -> tuple[Volume, NDArray[np.uint8]]:
    """A head and its structures on both sides."""
    where = grid or grid_of((84, 68, 64), (2.5, 3.0, 3.0))
    lps_mm = positions_of(where)
    labels = painted_labels(lps_mm, radii_mm)
    radius = np.sqrt(((lps_mm / (98, 95, 95)) ** 2).sum(axis=-1))
    hu = np.where(radius < 1, TISSUE_HU, -1000).astype(np.int16)
    for structure in STRUCTURES:
        hu[labels == structure.value] = HU_OF[structure]
    return Volume(where, hu, case), labels


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Dice similarity coefficient of two masks that are not both empty."""
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())
