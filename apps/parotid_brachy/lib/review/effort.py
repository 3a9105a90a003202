"""What the hand-overs cost: how much was changed, and how long it took, over many cases."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.evaluation.summary import Summary
from parotid_brachy.lib.review.agreement import AgreementRow, Contoured


@dataclass(frozen=True)
class HandedOver:
    """One hand-over with its agreement.

    Attributes:
        kind: as the store's hand-overs have it, ``draft_to_initial`` or ``initial_to_approved``.
        reader: who made the later of the two versions.
        rows: by structure.
    """

    kind: str
    reader: str
    rows: tuple[AgreementRow, ...]

    @property
    def elapsed_s(self) -> float | None:
        """Seconds between the two versions, as far as known."""
        return next((row.elapsed_s for row in self.rows if row.elapsed_s is not None), None)


@dataclass(frozen=True)
class StructureEffort:
    """What was changed of one structure.

    Attributes:
        kind: of the hand-overs.
        reader: who made the later versions; None for all readers together.
        structure: its name.
        handed_over: how many versions are about it, before or after.
        unchanged: in how many of them not a voxel was touched.
        one_sided: in how many only one of the two versions is about it; they count in no score.
        dsc: over those that both versions are about.
        hd95_mm: likewise.
        added_ml: mean.
        removed_ml: mean.
    """

    kind: str
    reader: str | None
    structure: str
    handed_over: int
    unchanged: int
    one_sided: int
    dsc: Summary
    hd95_mm: Summary
    added_ml: float
    removed_ml: float

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        scores = {"dsc": vars(self.dsc).copy(), "hd95_mm": vars(self.hd95_mm).copy()}
        return {**vars(self), **scores}


@dataclass(frozen=True)
class TimeEffort:
    """How long hand-overs took; waiting is part of it, so that the median says most.

    Attributes:
        kind: of the hand-overs.
        reader: who made the later versions; None for all readers together.
        handed_over: how many.
        timed: of how many the time is known.
        median_s: seconds; None if none is known.
        shortest_s: seconds.
        longest_s: seconds.
    """

    kind: str
    reader: str | None
    handed_over: int
    timed: int
    median_s: float | None
    shortest_s: float | None
    longest_s: float | None

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Effort:
    """The readers' effort: for each kind of hand-over, of all readers together, then of each."""

    structures: tuple[StructureEffort, ...]
    times: tuple[TimeEffort, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "structures": [one.to_json() for one in self.structures],
            "times": [one.to_json() for one in self.times],
        }


def effort(hand_overs: Iterable[HandedOver]) -> Effort:
    """Sums up hand-overs."""
    found = list(hand_overs)
    structures: list[StructureEffort] = []
    times: list[TimeEffort] = []
    for kind in sorted({one.kind for one in found}):
        of_kind = [one for one in found if one.kind == kind]
        for reader in (None, *sorted({one.reader for one in of_kind})):
            own = [one for one in of_kind if reader in (None, one.reader)]
            structures += _structures(kind, reader, own)
            times.append(_times(kind, reader, own))
    return Effort(tuple(structures), tuple(times))


def _structures(kind: str, reader: str | None, own: Sequence[HandedOver]) -> list[StructureEffort]:
    result = []
    for structure in STRUCTURES:
        rows = [row for one in own for row in one.rows if row.structure == structure.name]
        if not rows:
            continue
        shared = [row for row in rows if row.contoured is Contoured.BOTH]
        result.append(
            StructureEffort(
                kind=kind,
                reader=reader,
                structure=structure.name,
                handed_over=len(rows),
                unchanged=sum(row.is_unchanged for row in shared),
                one_sided=len(rows) - len(shared),
                dsc=Summary.of([row.dsc for row in shared]),
                hd95_mm=Summary.of([row.hd95_mm for row in shared]),
                added_ml=statistics.fmean(row.added_ml for row in rows),
                removed_ml=statistics.fmean(row.removed_ml for row in rows),
            )
        )
    return result


def _times(kind: str, reader: str | None, own: Sequence[HandedOver]) -> TimeEffort:
    seconds = [one.elapsed_s for one in own if one.elapsed_s is not None]
    figures = (statistics.median(seconds), min(seconds), max(seconds)) if seconds else (None,) * 3
    median_s, shortest_s, longest_s = figures
    return TimeEffort(kind, reader, len(own), len(seconds), median_s, shortest_s, longest_s)
