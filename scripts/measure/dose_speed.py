"""The dose grid beside the plain sum over seeds: seconds, their ratio, and the largest error.

Sixty seeds on a grid of 100 x 100 x 100 voxels of 1 mm, in turn, in one run.

    scripts/measure/run dose_speed --output DIR
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from scripts.measure.tables import markdown, write_csv

from parotid_brachy.lib.dosimetry.dose_grid import LpsBox, dose_at_gy, dose_grid
from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import load_seed_model

_BOX = LpsBox((-50.0, -50.0, -50.0), (49.0, 49.0, 49.0))
_CAPSULE_HALF_MM = 2.25


def _plan(count: int, *, is_oriented: bool) -> SeedPlan:
    random = np.random.default_rng(0)
    seeds = []
    for _ in range(count):
        x, y, z = random.uniform(-20.0, 20.0, 3).tolist()
        dx, dy, dz = random.normal(size=3).tolist()
        seeds.append(Seed((x, y, z), 0.8, (dx, dy, dz) if is_oriented else None))
    return SeedPlan("measured", "6711", tuple(seeds))


def _measure(kind: str, plan: SeedPlan, repeats: int) -> dict[str, object]:
    model = load_seed_model(plan.model)
    fast, plain = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        dose = dose_grid(plan, model, around=_BOX)
        fast.append(time.perf_counter() - start)
        k, j, i = np.indices(dose.gy.shape)
        points = dose.grid.to_lps_mm(np.stack([i, j, k], axis=-1).astype(np.float64))
        start = time.perf_counter()
        exact = dose_at_gy(plan, model, points)
        plain.append(time.perf_counter() - start)
    away = np.full(dose.gy.shape, np.inf)
    for seed in plan.seeds:
        away = np.minimum(away, ((points - seed.position_lps_mm) ** 2).sum(axis=-1))
    outside = away > _CAPSULE_HALF_MM**2
    error = np.abs(dose.gy / exact - 1.0)[outside]
    return {
        "seeds": f"{len(plan.seeds)} {kind}",
        "grid, s": round(statistics.median(fast), 3),
        "plain sum, s": round(statistics.median(plain), 2),
        "ratio": round(statistics.median(plain) / statistics.median(fast), 1),
        "largest error off the seeds": f"{error.max():.1e}",
        "mean error": f"{error.mean():.1e}",
    }


def main() -> None:
    """Measures, and writes a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rows = [
        _measure("with orientation", _plan(60, is_oriented=True), options.repeats),
        _measure("without", _plan(60, is_oriented=False), options.repeats),
    ]
    write_csv(options.output / "dose_speed.csv", rows)
    print(markdown(rows))


if __name__ == "__main__":
    main()
