"""What an import has taken and refused, as a table or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from parotid_brachy.lib.dicom.importing.records import SeriesFound, Survey
    from parotid_brachy.lib.dicom.importing.series_import import Taken
    from parotid_brachy.lib.review.clinical_facts import ClinicalFacts

_MOST_LEFT_OUT: Final = 8


@dataclass(frozen=True)
class TakenRow:
    """One case."""

    case: str
    source: str
    landed: str
    slices: int
    size: str
    related: int
    facts: Mapping[str, str]


@dataclass(frozen=True)
class RefusedRow:
    """One series or source, or one file that may have been a slice."""

    source: str
    what: str
    reason: str
    slices: Sequence[str] = ()


@dataclass
class ImportReport:
    """Filled while the import goes on.

    Attributes:
        is_deidentified: whether the cases are.
        taken: cases that are in the studies now.
        refused: what is not.
        left_out: files that belong to no CT, counted by source and reason.
        notes: what somebody should look at.
    """

    is_deidentified: bool
    taken: list[TakenRow] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def has_refusals(self) -> bool:
        """Whether something was refused."""
        return bool(self.refused)

    def take(self, source: str, taken: Taken, facts: ClinicalFacts) -> None:
        """Counts a case."""
        grid = taken.converted.grid
        spacing = " x ".join(f"{value:.3g}" for value in grid.spacing_mm)
        self.taken.append(
            TakenRow(
                taken.converted.case,
                source,
                taken.landed.value,
                taken.converted.slice_count,
                f"{' x '.join(map(str, grid.size_ijk))} of {spacing} mm",
                len(taken.converted.related),
                facts.to_json(),
            )
        )
        for reason, count in taken.converted.related_left_out.items():
            self.notes.append(f"{taken.converted.case}: {count} related left out: {reason}")

    def refuse(self, source: str, series: SeriesFound, reason: str, slices: Sequence[str]) -> None:
        """Counts a series that was refused."""
        told = reason.removeprefix(f"{series.name}: ")
        self.refused.append(RefusedRow(source, series.name, told, slices))

    def refuse_source(self, source: str, reason: str) -> None:
        """Counts a source that was refused."""
        self.refused.append(RefusedRow(source, "source", reason.removeprefix(f"{source}: ")))

    def note_left_out(self, source: str, survey: Survey) -> None:
        """Counts files that belong to no CT series."""
        for one in survey.left_out:
            if one.is_fault:
                row = RefusedRow(
                    source, "file", f"{one.path.name} is {one.reason}", [one.path.name]
                )
                self.refused.append(row)
            else:
                self.left_out[source, one.reason] += 1

    def note_unused(self, series: Sequence[str], lines: Sequence[int]) -> None:
        """Notes what was asked for and not there: series are refused, lines of a table told."""
        self.refused.extend(RefusedRow("", f"--series {uid}", "no such series") for uid in series)
        if lines:
            told = ", ".join(map(str, lines[:20]))
            self.notes.append(f"side table: of no series here: line {told}")

    def write(self, out: TextIO, err: TextIO, *, as_json: bool) -> None:
        """Writes it: a table of what was taken, and a line for everything else."""
        if as_json:
            out.write(json.dumps(self._to_json(), indent=1) + "\n")
            return
        if self.taken:
            rows = [("case", "", "slices", "voxels", "side", "from")]
            rows += [
                (
                    row.case,
                    row.landed,
                    str(row.slices),
                    row.size,
                    row.facts.get("side", "unknown"),
                    row.source,
                )
                for row in self.taken
            ]
            widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
            for row in rows:
                cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                out.write(printable("  ".join(cells).rstrip()) + "\n")
        err.writelines(f"{printable(line)}\n" for line in self._remarks())
        kinds = Counter(row.landed for row in self.taken)
        counts = [f"{count} {kind}" for kind, count in sorted(kinds.items(), reverse=True)]
        kept = "de-identified" if self.is_deidentified else "NOT de-identified"
        told = ", ".join([*(counts or ["none imported"]), f"{len(self.refused)} refused"])
        out.write(f"series: {told}; {kept}\n")

    def _remarks(self) -> Iterator[str]:
        for row in self.refused:
            where = f"{row.source}, {row.what}" if row.source else row.what
            yield f"refused   {where}: {row.reason}"
        for (source, reason), count in self.left_out.most_common(_MOST_LEFT_OUT):
            yield f"left out  {source}: {count} files: {reason}"
        yield from (f"note      {note}" for note in self.notes)

    def _to_json(self) -> dict[str, Any]:
        return {
            "deidentified": self.is_deidentified,
            "taken": [asdict(row) for row in self.taken],
            "refused": [asdict(row) for row in self.refused],
            "left_out": [
                {"source": source, "reason": reason, "files": count}
                for (source, reason), count in sorted(self.left_out.items())
            ],
            "notes": self.notes,
        }


def printable(text: str) -> str:
    """A line for a terminal: what a hostile name might do to it is shown, not done."""
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text)
