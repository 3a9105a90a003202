"""What two sets of contours of the same cases mean in Gray: the protocol's dose comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import numpy as np

from parotid_brachy.lib.anatomy import (
    AURICULA,
    CONDYLE_PROCESS,
    EXTERNAL_AUDITORY_CANAL,
    MANDIBULAR_RAMUS,
    MASTOID_PROCESS,
    ORGANS_AT_RISK,
    SKIN,
    Structure,
)
from parotid_brachy.lib.dosimetry.dvh import Dvh
from parotid_brachy.lib.dosimetry.reach_cut import DoseCut
from parotid_brachy.lib.evaluation.agreement_statistics import RankCorrelation, spearman
from parotid_brachy.lib.evaluation.paired_tests import PairedTest, compare_paired


@dataclass(frozen=True)
class DoseScore:
    """One line of ``dvh.csv``: a structure of one case in one set of contours.

    Attributes:
        case: its id.
        name: of the set of contours, such as ``manual``.
        structure: which.
        dvh: its histogram; None where the set does not have the structure.
        prescription_gy: for V100; None where nobody stated one.
        cut: where organs at risk end.
    """

    case: str
    name: str
    structure: Structure
    dvh: Dvh | None
    prescription_gy: float | None = None
    cut: DoseCut = DoseCut.NONE

    def values(self) -> dict[str, float | None]:
        """Metric by column name; None where it does not apply."""
        if self.dvh is None:
            return dict.fromkeys(COLUMNS)
        dvh, prescription = self.dvh, self.prescription_gy
        return {
            "dmean_gy": dvh.dmean_gy,
            "dmin_gy": dvh.dmin_gy,
            "dmax_gy": dvh.dmax_gy,
            "d0_1cc_gy": dvh.d_hottest_gy(0.1),
            "d1cc_gy": dvh.d_hottest_gy(1.0),
            "d2cc_gy": dvh.d_hottest_gy(2.0),
            "d90_gy": dvh.d_percent_gy(90.0),
            "v100_percent": None if prescription is None else dvh.v_percent(prescription),
            "volume_ml": dvh.volume_ml,
            "covered_fraction": dvh.covered_fraction,
        }


COLUMNS: Final = (
    "dmean_gy",
    "dmin_gy",
    "dmax_gy",
    "d0_1cc_gy",
    "d1cc_gy",
    "d2cc_gy",
    "d90_gy",
    "v100_percent",
    "volume_ml",
    "covered_fraction",
)
COMPARED: Final = ("dmean_gy", "dmax_gy", "d0_1cc_gy", "d1cc_gy", "d2cc_gy")
"""Metrics of organs at risk that are compared between two sets."""


@dataclass(frozen=True)
class PublishedDifference:
    """A column of the published Table 3."""

    mean_gy: float
    sd_gy: float
    p: float


PUBLISHED: Final = {
    AURICULA: PublishedDifference(5.52, 12.14, 0.266),
    CONDYLE_PROCESS: PublishedDifference(2.69, 4.31, 0.547),
    SKIN: PublishedDifference(9.71, 17.55, 0.062),
    MASTOID_PROCESS: PublishedDifference(3.37, 3.81, 0.054),
    EXTERNAL_AUDITORY_CANAL: PublishedDifference(8.92, 17.10, 0.120),
    MANDIBULAR_RAMUS: PublishedDifference(2.53, 3.34, 0.619),
}
"""Dmean, manual against automatic (``evaluation.published.CITATION``)."""


@dataclass(frozen=True)
class DoseDifference:
    """One organ's metric, a set of contours against the reference, over all cases.

    Attributes:
        name: of the set.
        structure: which organ.
        metric: which column.
        n: cases in which both have a value.
        lost: cases in which only the reference has the organ.
        added: cases in which only the set has it.
        mean_gy: of the set's less the reference's; None without a case.
        sd_gy: of these differences; None below two cases.
        mean_absolute_gy: of their sizes.
        sd_absolute_gy: likewise.
        test: paired, the set against the reference.
        correlation: Spearman's, between the two.
        cut: where organs at risk end.
    """

    name: str
    structure: Structure
    metric: str
    n: int
    lost: int
    added: int
    mean_gy: float | None
    sd_gy: float | None
    mean_absolute_gy: float | None
    sd_absolute_gy: float | None
    test: PairedTest
    correlation: RankCorrelation
    cut: DoseCut = DoseCut.NONE


def dose_differences(scores: Sequence[DoseScore], reference: str) -> list[DoseDifference]:
    """Compares every set of contours with the reference's, organ by organ, cut by cut.

    Args:
        scores: of all cases and sets; a structure that a set lacks has a score without histogram.
        reference: name of the set that the others are compared with.
    """
    table = {(one.cut, one.case, one.name, one.structure): one for one in scores}
    cases = sorted({one.case for one in scores})
    names = [name for name in dict.fromkeys(one.name for one in scores) if name != reference]
    found = []
    for cut, name, structure in product(
        dict.fromkeys(one.cut for one in scores), names, ORGANS_AT_RISK
    ):
        pairs = [
            (table.get((cut, case, reference, structure)), table.get((cut, case, name, structure)))
            for case in cases
        ]
        found += [
            replace(_difference(name, structure, metric, pairs), cut=cut) for metric in COMPARED
        ]
    return found


def _difference(
    name: str,
    structure: Structure,
    metric: str,
    pairs: Sequence[tuple[DoseScore | None, DoseScore | None]],
) -> DoseDifference:
    manual = [_value(one, metric) for one, _ in pairs]
    other = [_value(one, metric) for _, one in pairs]
    differences = np.asarray(
        [b - a for a, b in zip(manual, other, strict=True) if a is not None and b is not None]
    )
    held = [(_has(a), _has(b)) for a, b in pairs]
    sizes = np.abs(differences)
    n = len(differences)
    return DoseDifference(
        name=name,
        structure=structure,
        metric=metric,
        n=n,
        lost=sum(a and not b for a, b in held),
        added=sum(b and not a for a, b in held),
        mean_gy=float(differences.mean()) if n else None,
        sd_gy=float(differences.std(ddof=1)) if n > 1 else None,
        mean_absolute_gy=float(sizes.mean()) if n else None,
        sd_absolute_gy=float(sizes.std(ddof=1)) if n > 1 else None,
        test=compare_paired(other, manual),
        correlation=spearman(other, manual),
    )


def _value(score: DoseScore | None, metric: str) -> float | None:
    return None if score is None else score.values()[metric]


def _has(score: DoseScore | None) -> bool:
    return score is not None and score.dvh is not None
