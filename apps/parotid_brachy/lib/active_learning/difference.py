"""How different cases look from those that were learned from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Difference:
    """How far a case is from what was learned.

    Attributes:
        nearest: the learned case that is most like it.
        sd: root mean square difference from that one, in standard deviations of each feature over
            all cases.
    """

    nearest: str
    sd: float


def differences(
    vectors: Mapping[str, Vector], learned: Collection[str], asked: Collection[str]
) -> dict[str, Difference]:
    """Each case's difference from the nearest of the learned ones.

    A case far from every learned one is what a training would gain most from: the farthest-first
    rule of core-set selection (Sener and Savarese, ICLR 2018).

    Args:
        vectors: of all cases, learned or not, all of one length.
        learned: cases that were, or will be, learned from.
        asked: the cases to compare with them; those without a vector are left out.

    Returns:
        By case; empty where nothing learned has a vector.
    """
    known = sorted(set(learned) & vectors.keys())
    wanted = sorted(set(asked) & vectors.keys())
    if not known or not wanted:
        return {}
    spread = np.stack(list(vectors.values())).astype(np.float64).std(axis=0)
    # A feature that is the same in all cases tells nothing.
    scale = np.where(spread > 1e-9, spread, np.inf)

    def scaled(cases: list[str]) -> NDArray[np.float64]:
        stacked = np.stack([vectors[case] for case in cases]).astype(np.float64)
        return np.asarray(stacked / scale)

    features = max(int(np.isfinite(scale).sum()), 1)
    distances = cdist(scaled(wanted), scaled(known)) / np.sqrt(features)
    nearest = distances.argmin(axis=1)
    return {
        case: Difference(known[at], float(distances[row, at]))
        for row, (case, at) in enumerate(zip(wanted, nearest, strict=True))
    }
