"""Agreement of all readers on the consensus set, before the study's own cases are contoured.

Every reader contours the same few cases; the table of their pairwise agreement is what they
discuss until their criteria are the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.evaluation.summary import Summary
from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.review.agreement import AgreementRow, Contoured, Contours, agreement


@dataclass(frozen=True)
class PairAgreement:
    """Agreement of two readers on one case.

    Attributes:
        case: its id.
        first: the reader whose map stands as the earlier one in the rows.
        second: the other reader.
        rows: by structure.
    """

    case: str
    first: str
    second: str
    rows: tuple[AgreementRow, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "case": self.case,
            "first": self.first,
            "second": self.second,
            "rows": [row.to_json() for row in self.rows],
        }


@dataclass(frozen=True)
class TableRow:
    """Agreement on one structure over cases.

    Attributes:
        structure: its name.
        first: one reader; None in the rows of all pairs together.
        second: the other reader; None likewise.
        one_sided: pairs of maps of which one only is about the structure; they count in no score.
        dsc: over the others.
        hd95_mm: over the others.
    """

    structure: str
    first: str | None
    second: str | None
    one_sided: int
    dsc: Summary
    hd95_mm: Summary

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "structure": self.structure,
            "first": self.first,
            "second": self.second,
            "one_sided": self.one_sided,
            "dsc": vars(self.dsc).copy(),
            "hd95_mm": vars(self.hd95_mm).copy(),
        }


def pairwise(case: str, readings: Sequence[Contours], grid: Grid) -> list[PairAgreement]:
    """The agreement of every pair of readers on a case, readers in the order of their names.

    Raises:
        UsageError: a reader comes twice.
        GeometryError: a map does not fit the grid.
    """
    ordered = sorted(readings, key=lambda one: one.by)
    for one, other in itertools.pairwise(ordered):
        if one.by == other.by:
            message = f"{case}: two maps of reader {one.by!r}; give each reader's newest"
            raise UsageError(message)
    return [
        PairAgreement(case, one.by, other.by, tuple(agreement(one, other, grid)))
        for one, other in itertools.combinations(ordered, 2)
    ]


def agreement_table(pairs: Iterable[PairAgreement]) -> list[TableRow]:
    """Mean and spread over cases: for all pairs of readers together, then for each pair."""
    found = list(pairs)
    readers = sorted({(one.first, one.second) for one in found})
    return [row for pair in (None, *readers) for row in _rows_of(pair, found)]


def _rows_of(pair: tuple[str, str] | None, found: Sequence[PairAgreement]) -> list[TableRow]:
    own = [row for one in found if pair in (None, (one.first, one.second)) for row in one.rows]
    first, second = pair or (None, None)
    table = []
    for structure in STRUCTURES:
        rows = [row for row in own if row.structure == structure.name]
        shared = [row for row in rows if row.contoured is Contoured.BOTH]
        if rows:
            scores = ([row.dsc for row in shared], [row.hd95_mm for row in shared])
            overlap, distance = (Summary.of(one) for one in scores)
            one_sided = len(rows) - len(shared)
            table.append(TableRow(structure.name, first, second, one_sided, overlap, distance))
    return table
