"""Seed plans for tests, and TG-43 written down a second time, as plainly as can be."""

from __future__ import annotations

import bisect
import json
import math
from pathlib import Path

import numpy as np

import parotid_brachy.lib.dosimetry.seed_model as shipped
from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan

DATA = json.loads((Path(shipped.__file__).parent / "seed_models" / "6711.json").read_text())


def random_plan(count: int, *, seed: int, oriented: bool, half_width_mm: float = 20.0) -> SeedPlan:
    """Seeds anywhere in a cube round the origin, of one strength each."""
    random = np.random.default_rng(seed)
    seeds = []
    for _ in range(count):
        x, y, z = random.uniform(-half_width_mm, half_width_mm, 3).tolist()
        dx, dy, dz = random.normal(size=3).tolist()
        strength = float(random.uniform(0.6, 1.1))
        seeds.append(Seed((x, y, z), strength, (dx, dy, dz) if oriented else None))
    return SeedPlan("random", "6711", tuple(seeds))


def plain_rate(r_cm: float, theta_deg: float | None) -> float:
    """Dose rate of 1 U by TG-43U1, one point at a time, from the report's formulas."""
    length = DATA["L_cm"]
    reference = _plain_geometry(length, 1.0, 90.0)
    angle = 90.0 if theta_deg is None else theta_deg
    rate = DATA["dose_rate_constant_cGy_per_h_per_U"] * _plain_geometry(length, r_cm, angle)
    rate *= _plain_radial(r_cm) / reference
    if theta_deg is None:
        return rate * _plain_linear(DATA["phi_an"]["r_cm"], DATA["phi_an"]["value"], r_cm)
    columns = list(zip(*DATA["F"]["value_theta_by_r"], strict=True))
    folded = theta_deg if theta_deg <= 90.0 else 180.0 - theta_deg
    by_r = [_plain_linear(DATA["F"]["theta_deg"], list(column), folded) for column in columns]
    return rate * _plain_linear(DATA["F"]["r_cm"], by_r, r_cm)


def plain_dose_gy(plan: SeedPlan, point: tuple[float, float, float]) -> float:
    """Total dose at one point."""
    total = 0.0
    for seed in plan.seeds:
        away = [a - b for a, b in zip(point, seed.position_lps_mm, strict=True)]
        r = math.sqrt(sum(one * one for one in away))
        theta = None
        if seed.direction_lps is not None:
            along = sum(a * b for a, b in zip(away, seed.direction_lps, strict=True))
            theta = math.degrees(math.acos(max(-1.0, min(1.0, along / r))))
        rate = plain_rate(r / 10.0, theta) * seed.air_kerma_strength_u
        total += rate * DATA["half_life_days"] * 24.0 / math.log(2.0) / 100.0
    return total


def _plain_geometry(length: float, r: float, theta_deg: float) -> float:
    """Equation 4, by the difference of the two angles to the line's ends."""
    theta = math.radians(theta_deg)
    y, z = r * math.sin(theta), r * math.cos(theta)
    if y < 1e-9 * r:
        return 1.0 / (r * r - length * length / 4.0)
    beta = math.atan2(z + length / 2.0, y) - math.atan2(z - length / 2.0, y)
    return beta / (length * y)


def _plain_radial(r: float) -> float:
    nodes, values = DATA["g_L"]["r_cm"], DATA["g_L"]["value"]
    if r <= nodes[0]:
        return float(values[0])
    upper = min(bisect.bisect_left(nodes, r), len(nodes) - 1)
    lower = upper - 1
    slope = math.log(values[upper] / values[lower]) / (nodes[upper] - nodes[lower])
    return float(values[lower] * math.exp(slope * (r - nodes[lower])))


def _plain_linear(nodes: list[float], values: list[float], at: float) -> float:
    if at <= nodes[0]:
        return float(values[0])
    if at >= nodes[-1]:
        return float(values[-1])
    upper = bisect.bisect_left(nodes, at)
    share = (at - nodes[upper - 1]) / (nodes[upper] - nodes[upper - 1])
    return float(values[upper - 1] * (1.0 - share) + values[upper] * share)
