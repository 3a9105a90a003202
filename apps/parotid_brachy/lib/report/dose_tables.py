"""Doses as CSV: a line a structure, and a line an organ's difference."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from parotid_brachy.lib.dosimetry.comparison import COLUMNS, DoseDifference, DoseScore


def dvh_csv(scores: Sequence[DoseScore]) -> bytes:
    """``dvh.csv``: the metrics of every structure; what does not apply is empty."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("name", "structure", *COLUMNS, "is_partial", "case", "cut"))
    for one in scores:
        partial = "" if one.dvh is None else str(one.dvh.is_partial).lower()
        values = one.values()
        cells = [_cell(values[column]) for column in COLUMNS]
        table.writerow((one.name, one.structure.name, *cells, partial, one.case, one.cut.value))
    return text.getvalue().encode()


def differences_csv(rows: Sequence[DoseDifference]) -> bytes:
    """``differences.csv``: each set of contours against the reference, by organ and metric."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        (
            *("name", "structure", "metric", "n", "lost", "added", "mean_gy", "sd_gy"),
            *("mean_absolute_gy", "sd_absolute_gy", "test", "p", "spearman_rho", "spearman_p"),
            *("remark", "cut"),
        )
    )
    for one in rows:
        table.writerow(
            (
                *(one.name, one.structure.name, one.metric, one.n, one.lost, one.added),
                *map(_cell, (one.mean_gy, one.sd_gy, one.mean_absolute_gy, one.sd_absolute_gy)),
                *(one.test.test.value, _cell(one.test.p)),
                *(
                    _cell(one.correlation.rho),
                    _cell(one.correlation.p),
                    one.test.remark,
                    one.cut.value,
                ),
            )
        )
    return text.getvalue().encode()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
