"""Confidence intervals by resampling cases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000


def bootstrap_interval(
    values: NDArray[np.float64],
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Percentile interval of a mean (Efron and Tibshirani, An Introduction to the Bootstrap).

    Args:
        values: one for each patient, at least one; of a single one, both ends are it.
        seed: the same seed gives the same interval.
        confidence: share of resamples inside.
        resamples: how many.
    """
    drawn = np.random.default_rng(seed).choice(values, (resamples, len(values)))
    tail = (100.0 - 100.0 * confidence) / 2
    low, high = np.percentile(drawn.mean(axis=1), (tail, 100.0 - tail))
    return float(low), float(high)
