"""The report of a dose comparison: one HTML file that needs nothing from outside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from parotid_brachy.lib.dosimetry.comparison import PUBLISHED, DoseDifference, DoseScore
from parotid_brachy.lib.dosimetry.reach_cut import DoseCut
from parotid_brachy.lib.evaluation.published import CITATION
from parotid_brachy.lib.report.evaluation_page import (
    SIGNIFICANT,
    STYLE,
    Picture,
    figure_html,
    html_table,
    p_html,
)

_CUTS: Final = {
    DoseCut.REFERENCE: "Organs at risk of all contours are cut 17 mm from the reference's gland",
    DoseCut.BOTH: "Organs at risk of all contours are cut 17 mm from every set's gland",
    DoseCut.NONE: "Organs at risk count as they are contoured, without a cut",
}


def dose_page(
    scores: Sequence[DoseScore],
    differences: Sequence[DoseDifference],
    *,
    reference: str,
    plans: Sequence[tuple[str, str]],
    pictures: Sequence[Picture],
    problems: Sequence[str],
) -> str:
    """Puts a dose comparison on one page.

    Args:
        scores: of every case, set of contours and structure.
        differences: each set against the reference.
        reference: name of the reference set.
        plans: case and what its plan is.
        pictures: histograms of patients.
        problems: what could not be calculated, in words.

    Returns:
        HTML; every text from outside is escaped, pictures are embedded, and nothing is loaded.
    """
    cases = len({one.case for one in scores})
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        (
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        ),
        f"<title>Dose</title><style>{STYLE}</style></head><body>",
        "<h1>Dose of organs at risk, by whose contours</h1>",
        (
            f"<p>{cases} cases; compared with the contours <b>{escape(reference)}</b>, under the "
            "same plan and dose. TG-43 in water, without attenuation between seeds; total dose "
            "of the permanent implant. Research use only.</p>"
        ),
        *(f'<p class="problem">{escape(one)}</p>' for one in problems),
    ]
    for cut, name in dict.fromkeys((one.cut, one.name) for one in differences):
        rows = [one for one in differences if (one.cut, one.name) == (cut, name)]
        parts += _table_3(name, f"{_CUTS[cut]} ({cut.value})", rows)
    parts += _partial(scores)
    parts += _plans(plans)
    if pictures:
        parts.append("<h2>Dose-volume histograms</h2>")
        parts += map(figure_html, pictures)
    parts.append("</body></html>\n")
    return "\n".join(parts)


def _table_3(name: str, cut: str, rows: Sequence[DoseDifference]) -> list[str]:
    means = [one for one in rows if one.metric == "dmean_gy"]
    lines = []
    for one in means:
        published = PUBLISHED[one.structure]
        significant = one.test.p is not None and one.test.p < SIGNIFICANT
        cells = (
            str(one.n),
            _signed(one.mean_gy, one.sd_gy),
            _plain(one.mean_absolute_gy, one.sd_absolute_gy),
            f"{p_html(one.test.p)} ({one.test.test.value})",
            f"{_number(one.correlation.rho)} ({p_html(one.correlation.p)})",
            f"{one.lost} / {one.added}",
        )
        shown = "".join(f"<td>{cell}</td>" for cell in cells)
        shown = shown.replace("<td>", '<td class="significant">') if significant else shown
        lines.append(
            f"<td>{escape(one.structure.title)}</td>{shown}"
            f'<td class="published">{published.mean_gy:.2f} &plusmn; {published.sd_gy:.2f}</td>'
            f'<td class="published">{published.p:.3f}</td>'
        )
    head = (
        *("organ at risk", "n", "difference of Dmean, Gy", "its size, Gy"),
        *("p (test)", "Spearman's rho (p)", "lost / added", "published, Gy", "published p"),
    )
    others = [
        f"<td>{escape(one.structure.title)}</td><td>{escape(one.metric)}</td><td>{one.n}</td>"
        f"<td>{_signed(one.mean_gy, one.sd_gy)}</td><td>{p_html(one.test.p)}</td>"
        f"<td>{_number(one.correlation.rho)}</td>"
        for one in rows
        if one.metric != "dmean_gy"
    ]
    return [
        f"<h2>Table 3: {escape(name)}</h2>",
        f"<p>{escape(cut)}.</p>",
        *html_table(head, lines),
        (
            '<p class="note">Mean and standard deviation over the cases in which both have the '
            f"organ; difference: {escape(name)} less reference. The size is without its sign. "
            "The published mean does not say whether it has one. "
            f"Published: {escape(CITATION)}.</p>"
        ),
        "<h3>Other metrics</h3>",
        *html_table(("organ at risk", "metric", "n", "difference, Gy", "p", "rho"), others),
    ]


def _partial(scores: Sequence[DoseScore]) -> list[str]:
    lines = [
        f"<td>{escape(one.case)}</td><td>{escape(one.name)}</td><td>{one.cut.value}</td>"
        f"<td>{escape(one.structure.title)}</td><td>{100 * one.dvh.covered_fraction:.1f} %</td>"
        for one in scores
        if one.dvh is not None and one.dvh.is_partial
    ]
    if not lines:
        return ["<p>The dose grids cover every organ wholly.</p>"]
    head = ("case", "contours", "cut", "structure", "covered")
    return ["<h2>Organs that the dose grid leaves out in part</h2>", *html_table(head, lines)]


def _plans(plans: Sequence[tuple[str, str]]) -> list[str]:
    lines = [f"<td>{escape(case)}</td><td>{escape(what)}</td>" for case, what in plans]
    return ["<h2>Plans</h2>", *html_table(("case", "plan"), lines)]


def _signed(mean: float | None, sd: float | None) -> str:
    return "-" if mean is None else f"{mean:+.2f}" + ("" if sd is None else f" ± {sd:.2f}")


def _plain(mean: float | None, sd: float | None) -> str:
    return "-" if mean is None else f"{mean:.2f}" + ("" if sd is None else f" ± {sd:.2f}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
