"""Cases to compare on, and models that are stubs: they answer the truth, or less."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from tests.imaging.heads import grid_of
from tests.segmentation.painted import painted_head

from parotid_brachy.lib.anatomy import ORGANS_AT_RISK, STRUCTURES, Side, Structure
from parotid_brachy.lib.errors import ModelRefusedError
from parotid_brachy.lib.retraining.comparison import Comparison, Contender, compare
from parotid_brachy.lib.retraining.reference import Labels, ReferenceCase

GRID = grid_of((60, 48, 44), (3.5, 4.0, 4.5))


def painted_case(name: str = "case0", *, radius_mm: float = 14.0, **more: object) -> ReferenceCase:
    """One side of a painted head."""
    volume, labels = painted_head(GRID, radii_mm=(radius_mm, 18.0), case=name)
    return ReferenceCase.of(volume, labels, **{"side": Side.LEFT, **more})


def painted_cases(count: int = 4) -> list[ReferenceCase]:
    """Cases whose glands differ."""
    return [painted_case(f"case{n}", radius_mm=13.0 + n) for n in range(count)]


def stub(
    change: Callable[[Labels, ReferenceCase], Labels] = lambda labels, _: labels,
    *,
    name: str = "stub",
    seconds: float = 1.0,
) -> Contender:
    """A model that answers the reference, changed."""
    return Contender(name, lambda case: (change(case.labels.copy(), case), seconds))


def without(*structures: Structure, cases: tuple[str, ...] = ()) -> Callable[..., Labels]:
    """Misses structures, in all cases or in some."""

    def change(labels: Labels, case: ReferenceCase) -> Labels:
        if not cases or case.case in cases:
            labels[np.isin(labels, [one.value for one in structures])] = 0
        return labels

    return change


def moved(voxels: int, *, only: Structure | None = None) -> Callable[..., Labels]:
    """Everything, or one structure, some voxels too far to the front."""

    def change(labels: Labels, _: ReferenceCase) -> Labels:
        there = np.roll(labels, -voxels, axis=1)
        if only is None:
            return there
        labels[labels == only.value] = 0
        labels[there == only.value] = only.value
        return labels

    return change


def shuffled(labels: Labels, _: ReferenceCase) -> Labels:
    """What a network answers that was trained on labels whose values were exchanged."""
    table = np.array([0, 2, 3, 4, 5, 6, 1, 7], np.uint8)
    return table[labels]


def failing(case: ReferenceCase) -> tuple[Labels, float]:
    """A model that cannot label anything."""
    message = f"{case.case}: weights refused"
    raise ModelRefusedError(message)


def compared(
    candidate: Contender,
    champion: Contender | None = None,
    *,
    cases: list[ReferenceCase] | None = None,
    structures: tuple[Structure, ...] = ORGANS_AT_RISK,
) -> Comparison:
    """A candidate against a champion that answers the truth."""
    own = painted_cases() if cases is None else cases
    best = champion or stub(name="champion")
    return compare(own, best, candidate, structures=structures)


def rows_of(comparison: Comparison) -> Mapping[str, object]:
    """The table's rows by structure."""
    assert [row.structure for row in comparison.rows] == [
        one.name for one in STRUCTURES if one.name in {row.structure for row in comparison.rows}
    ]
    return {row.structure: row for row in comparison.rows}
