"""What a seed and a plan can be."""

from __future__ import annotations

import math

import pytest

from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.errors import InputRefusedError


@pytest.mark.parametrize("direction", [(0.0, 0.0, -3.0), (1e-300, 0.0, 0.0), (1e300, 1e300, 0.0)])
def test_a_direction_gets_the_length_of_one(direction: tuple[float, float, float]) -> None:
    seed = Seed((1.0, 2.0, 3.0), 0.8, direction)
    assert seed.direction_lps is not None
    assert math.hypot(*seed.direction_lps) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("position", "strength", "direction", "told"),
    [
        ((math.nan, 0.0, 0.0), 1.0, None, "position"),
        ((0.0, 0.0), 1.0, None, "three finite numbers"),
        ((0.0, 0.0, 9e3), 1.0, None, "5000 mm"),
        ((0.0, 0.0, 0.0), 0.0, None, "strength"),
        ((0.0, 0.0, 0.0), -1.0, None, "strength"),
        ((0.0, 0.0, 0.0), math.nan, None, "strength"),
        ((0.0, 0.0, 0.0), 1e6, None, "strength"),
        ((0.0, 0.0, 0.0), 1.0, (0.0, 0.0, 0.0), "length 0"),
        ((0.0, 0.0, 0.0), 1.0, (math.inf, 0.0, 0.0), "direction"),
    ],
)
def test_what_no_seed_can_be_is_refused(
    position: tuple[float, float, float],
    strength: float,
    direction: tuple[float, float, float] | None,
    told: str,
) -> None:
    with pytest.raises(InputRefusedError, match=told):
        Seed(position, strength, direction)


def test_a_plan_has_seeds_of_a_named_model() -> None:
    seed = Seed((0.0, 0.0, 0.0), 0.5)
    assert SeedPlan("p", "6711", (seed, seed)).total_strength_u == 1.0
    with pytest.raises(InputRefusedError, match="0 seeds"):
        SeedPlan("p", "6711", ())
    with pytest.raises(InputRefusedError, match="1001 seeds"):
        SeedPlan("p", "6711", (seed,) * 1001)
    with pytest.raises(InputRefusedError, match="no seed model"):
        SeedPlan("p", " ", (seed,))
