"""Permanent implants of seeds, as the dose calculation takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.volume import Grid, Vector

FARTHEST_MM: Final = 5000.0
"""No coordinate of a seed lies farther from the origin: more is a mix-up of units."""
MOST_SEEDS: Final = 1000
"""More than any implant of the head has; a file with more is no plan."""
STRONGEST_U: Final = 1000.0
"""Permanent seeds have some 0.3 to 6 U; more than this is another quantity or another unit."""
SAME_PLACE_MM: Final = 0.01
"""No two seeds are as near as this."""
_ROUNDING: Final = 1e-15


@dataclass(frozen=True, slots=True)
class Seed:
    """One implanted seed.

    Attributes:
        position_lps_mm: its centre.
        air_kerma_strength_u: its air-kerma strength at the time of implantation, in
            U = uGy m^2 / h.
        direction_lps: unit vector along its axis, of either sign; None where the orientation is
            unknown: the 1D formalism.

    Raises:
        InputRefusedError: a value that no seed can have; names it.
    """

    position_lps_mm: Vector
    air_kerma_strength_u: float
    direction_lps: Vector | None = None

    def __post_init__(self) -> None:
        """Refuses what no seed can be, and gives the direction the length of one."""
        position = _vector(self.position_lps_mm, "position")
        if max(abs(value) for value in position) > FARTHEST_MM:
            message = (
                f"seed at {position} mm LPS: more than {FARTHEST_MM:.0f} mm from the origin. "
                "Give millimetres in the CT's coordinates."
            )
            raise InputRefusedError(message)
        object.__setattr__(self, "position_lps_mm", position)
        strength = float(self.air_kerma_strength_u)
        if not 0.0 < strength <= STRONGEST_U:
            message = (
                f"seed at {position} mm LPS: air-kerma strength of {strength} U; more than 0 and "
                f"at most {STRONGEST_U:.0f} U is needed."
            )
            raise InputRefusedError(message)
        object.__setattr__(self, "air_kerma_strength_u", strength)
        if self.direction_lps is not None:
            direction = _vector(self.direction_lps, "direction")
            largest = max(abs(value) for value in direction)
            if largest == 0.0:
                message = (
                    f"seed at {position} mm LPS: a direction of length 0. Give the seed's axis, or "
                    "no direction at all."
                )
                raise InputRefusedError(message)
            # Scaled first, so that neither huge nor tiny components leave the range of a float.
            scaled = [value / largest for value in direction]
            length = math.hypot(*scaled)
            unit = (scaled[0] / length, scaled[1] / length, scaled[2] / length)
            # One that has it keeps its digits, so that what was written is what is read.
            has_length_one = abs(math.hypot(*direction) - 1.0) < _ROUNDING
            unit = direction if has_length_one else unit
            object.__setattr__(self, "direction_lps", unit)


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """The seeds of one permanent implant.

    Attributes:
        name: the plan's or the patient's, for messages and reports.
        model: of the seeds, such as ``6711``; one for the whole plan.
        seeds: at least one.

    Raises:
        InputRefusedError: no seeds, too many, or no model.
    """

    name: str
    model: str
    seeds: tuple[Seed, ...]

    def __post_init__(self) -> None:
        """Refuses what is no plan."""
        object.__setattr__(self, "seeds", tuple(self.seeds))
        if not self.model.strip():
            message = f"plan {self.name}: no seed model is named. Say which, such as 6711."
            raise InputRefusedError(message)
        if not 1 <= len(self.seeds) <= MOST_SEEDS:
            message = f"plan {self.name}: {len(self.seeds)} seeds; 1 to {MOST_SEEDS} are needed."
            raise InputRefusedError(message)

    @property
    def total_strength_u(self) -> float:
        """Air-kerma strength of all seeds together, in U."""
        return math.fsum(seed.air_kerma_strength_u for seed in self.seeds)


def require_near(plan: SeedPlan, image: Grid, case: str) -> None:
    """Refuses a plan of which a seed lies outside the CT: another patient's, or other coordinates.

    Raises:
        GeometryError: names the first such seed.
    """
    last = np.asarray(image.size_ijk) - 0.5
    for number, seed in enumerate(plan.seeds, start=1):
        index = image.to_index(np.asarray(seed.position_lps_mm))
        if np.any(index < -0.5) or np.any(index > last):
            message = (
                f"{case}: seed {number} at {seed.position_lps_mm} mm LPS lies outside the CT. "
                "Give the plan of this CT, in its coordinates."
            )
            raise GeometryError(message)


def require_apart(name: str, seeds: Sequence[Seed]) -> None:
    """Refuses one seed that is stated twice.

    Raises:
        InputRefusedError: names the place.
    """
    for index, one in enumerate(seeds):
        for other in seeds[:index]:
            if math.dist(one.position_lps_mm, other.position_lps_mm) <= SAME_PLACE_MM:
                message = (
                    f"{name}: two seeds at {one.position_lps_mm} mm LPS. One seed stated twice "
                    "would count double; take one of them out of the plan."
                )
                raise InputRefusedError(message)


def _vector(values: Vector, what: str) -> Vector:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != 3 or not all(math.isfinite(value) for value in numbers):
        message = f"seed with the {what} {numbers}: three finite numbers are needed."
        raise InputRefusedError(message)
    return numbers[0], numbers[1], numbers[2]
