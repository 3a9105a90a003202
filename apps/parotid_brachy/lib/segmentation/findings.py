"""What the steps find, and the report that goes with a pre-label."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.imaging.volume import Grid


class SideSource(enum.Enum):
    """How the side of the cancer is known."""

    GIVEN = "given"
    RECORDED = "recorded"
    GUESSED = "guessed"


@dataclass(frozen=True)
class Gland:
    """What step 1 found in one half head.

    Attributes:
        side: the half head's side.
        grid: canonical working grid.
        probability: of the gland, on ``grid``; 0 outside the component that was kept. All 0 where
            nothing plausible was found.
        ml: volume; 0 where nothing plausible was found.
        confidence: mean probability inside it.
        why_not: why nothing was taken for the gland; empty where one was found.
    """

    side: Side
    grid: Grid
    probability: NDArray[np.float32]
    ml: float
    confidence: float
    why_not: str = ""

    @property
    def is_found(self) -> bool:
        """Whether there is a gland."""
        return not self.why_not


@dataclass(frozen=True)
class StructureReport:
    """One structure in a pre-label.

    Attributes:
        voxels: how many on the image's grid.
        ml: volume.
        mean_confidence: mean probability of its voxels, None where it is empty.
    """

    voxels: int
    ml: float
    mean_confidence: float | None


@dataclass(frozen=True)
class Report:
    """What a reader must know about a pre-label, JSON-ready."""

    case: str
    task: str
    side: str | None
    side_source: str
    gland_ml_by_side: dict[str, float]
    models: dict[str, str]
    seconds: dict[str, float]
    structures: dict[str, StructureReport]
    kept_beyond_reach: bool
    warnings: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class PreLabel:
    """A proposed label map.

    Attributes:
        labels: values 0-7 on the image's own grid, shape ``grid.shape_kji``.
        grid: the image's grid.
        report: how it came about.
    """

    labels: NDArray[np.uint8]
    grid: Grid
    report: Report
