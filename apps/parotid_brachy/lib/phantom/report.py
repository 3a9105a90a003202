"""What was drawn, for whoever scores a model on phantoms."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.phantom.recipe import Recipe


@dataclass(frozen=True)
class SideReport:
    """One side of a phantom.

    Attributes:
        operated: whether this is the side of the surgery.
        whole_gland_ml: the gland before surgery, also where the scan cuts it.
        residual_gland_ml: what is left of it, likewise.
        volumes_ml: full label map's volume by structure's name, as far as scanned.
    """

    operated: bool
    whole_gland_ml: float
    residual_gland_ml: float
    volumes_ml: Mapping[str, float]

    @property
    def residual_fraction(self) -> float:
        """What is left of the gland, 0-1."""
        return self.residual_gland_ml / self.whole_gland_ml


@dataclass(frozen=True)
class PhantomReport:
    """A phantom's case, recipe and both sides."""

    case: str
    recipe: Recipe
    sides: Mapping[Side, SideReport]

    @property
    def operated_side(self) -> Side | None:
        """The side of the surgery, None without."""
        return None if self.recipe.surgery is None else self.recipe.surgery.side

    def to_json(self) -> dict[str, Any]:
        """As plain data, rounded for reading."""
        operated = self.operated_side
        return {
            "case": self.case,
            "seed": self.recipe.seed,
            "operated_side": operated.value if operated else None,
            "sides": {
                side.value: {
                    "operated": report.operated,
                    "whole_gland_ml": round(report.whole_gland_ml, 3),
                    "residual_gland_ml": round(report.residual_gland_ml, 3),
                    "residual_fraction": round(report.residual_fraction, 4),
                    "volumes_ml": {n: round(v, 3) for n, v in report.volumes_ml.items()},
                }
                for side, report in self.sides.items()
            },
            "recipe": _plain(asdict(self.recipe)),
        }


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return round(value, 5) if isinstance(value, float) else value
