"""The report of an evaluation: one HTML file that needs nothing from outside."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from parotid_brachy.lib.anatomy import GLAND, SKIN
from parotid_brachy.lib.evaluation.cohort import Problem
from parotid_brachy.lib.evaluation.published import CITATION, TWO_STEP_DSC
from parotid_brachy.lib.evaluation.tables import (
    METRICS,
    SURFACE_METRICS,
    Cell,
    ScoreTable,
    TestRow,
)

TITLES: Final = {
    "dsc": "Dice similarity coefficient (DSC)",
    "jaccard": "Jaccard index",
    "hd95_mm": "95th percentile Hausdorff distance (95HD, larger of both directions), mm",
    "hd95_pooled_mm": "95th percentile of both directions' distances together, mm",
    "assd_mm": "Average symmetric surface distance, mm",
    "surface_dsc_1mm": "Surface DSC at 1 mm",
    "surface_dsc_2mm": "Surface DSC at 2 mm",
    "precision": "Precision",
    "recall": "Recall",
}
"""What a person reads for each metric."""
SIGNIFICANT: Final = 0.05
"""Two-tailed, as published."""
_OPEN_RANKING = 40

STYLE: Final = """
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1200px;
padding:0 1em;color:#1b1f24}
h1{font-size:1.6em}h2{font-size:1.25em;margin-top:2em;border-bottom:1px solid #ccd}
h3{font-size:1.05em}table{border-collapse:collapse;margin:.6em 0}
td,th{border:1px solid #ccd;padding:.25em .6em;text-align:right}
th{background:#eef1f5}td:first-child,th:first-child{text-align:left}
td.text{text-align:left}.best{font-weight:600}.significant{background:#fff2cc}
.published{background:#eaf4ea}.problem{color:#9c1c00}.note{color:#555}img{max-width:100%}
"""
"""Of the pages that open offline."""


@dataclass(frozen=True)
class Picture:
    """A picture in the report.

    Attributes:
        name: of its file, such as ``box_dsc.png``.
        caption: what it shows.
        png: the file.
    """

    name: str
    caption: str
    png: bytes


def evaluation_page(
    table: ScoreTable,
    tests: Sequence[TestRow],
    *,
    problems: Sequence[Problem] = (),
    readers: Sequence[str] = (),
    box_plots: Sequence[Picture] = (),
    panels: Sequence[Picture] = (),
    sections: Sequence[str] = (),
    reach_cut: str,
) -> str:
    """Puts an evaluation on one page.

    Args:
        table: all scores.
        tests: the first method against the others.
        problems: what was not evaluated as it should have been.
        readers: methods that are human readers.
        box_plots: one for each metric shown so.
        panels: best and challenging cases.
        sections: further parts, HTML that is escaped already; they follow the tests.
        reach_cut: how organs at risk were cut before they were scored.

    Returns:
        HTML; every text from outside is escaped, pictures are embedded, and nothing is loaded.
    """
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        (
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        ),
        f"<title>Evaluation</title><style>{STYLE}</style></head><body>",
        "<h1>Evaluation of label maps</h1>",
        (
            f"<p>{len(table.cases)} cases; compared with the references: "
            f"{escape(', '.join(table.methods))}. "
            f"{_reach_note(reach_cut)}</p>"
        ),
        *_problem_list(problems),
        *_published(table, tests),
        *_all_metrics(table, tests),
        *_coverage(table),
        *_readers(table, readers),
        *_test_table(tests),
        *sections,
        "<h2>Box plots</h2>" if box_plots else "",
        *map(figure_html, box_plots),
        *_ranking(table),
        "<h2>Best and challenging cases</h2>" if panels else "",
        *map(figure_html, panels),
        "</body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _reach_note(reach_cut: str) -> str:
    if reach_cut == "none":
        return "Organs at risk were compared whole, beyond the seeds' reach too."
    whose = "the reference's gland" if reach_cut == "at_reference_gland" else "each map's own gland"
    return f"Organs at risk were cut at 17 mm from {whose}, and the cut is no surface."


def _problem_list(problems: Sequence[Problem]) -> list[str]:
    if not problems:
        return []
    return [
        f'<h2 class="problem">To be looked at ({len(problems)})</h2><ul>',
        *(f'<li class="problem">{escape(problem.message)}</li>' for problem in problems),
        "</ul>",
    ]


def html_table(head: Iterable[str], lines: Iterable[str]) -> list[str]:
    """A table; the head is escaped here, the lines are rows of cells already escaped."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    return ["<table>", f"<tr>{cells}</tr>", *(f"<tr>{line}</tr>" for line in lines), "</table>"]


def _published(table: ScoreTable, tests: Sequence[TestRow]) -> list[str]:
    titles = [structure.title for structure in table.structures]
    published = "".join(
        f'<td class="published">{TWO_STEP_DSC[structure]:.2f}</td>'
        for structure in table.structures
    )
    lines = [f'<td class="published">published, two-step</td>{published}']
    lines += [
        f"<td>{escape(method)}</td>{_metric_cells(table, tests, method, 'dsc')}"
        for method in table.methods
    ]
    notes = (
        f"Published: {CITATION}, 30 test cases of another hospital; a comparison of numbers, not "
        "of patients. "
    )
    if GLAND in table.structures:
        notes += "The gland's published value is that of step 1 on the validation cases. "
    if SKIN in table.structures:
        notes += (
            "For the skin, the published two-step method was 2 points of DSC above "
            "segmentation-only nnU-Net and 7 above 3D U-Net. "
        )
    return [
        "<h2>Table 1: DSC beside the published values</h2>",
        *html_table(["mean ± SD", *titles], lines),
        f'<p class="note">{escape(notes)}{escape(_legend(table))}</p>',
    ]


def _legend(table: ScoreTable) -> str:
    text = (
        "A structure that a method missed, and one that only the method has, counts as 0 in "
        "overlaps and has no distance."
    )
    if len(table.methods) > 1:
        text += (
            f" Marked: different from {table.methods[0]} (two-tailed, p < {SIGNIFICANT:g} after "
            "Holm's correction over the structures)."
        )
    return text


def _all_metrics(table: ScoreTable, tests: Sequence[TestRow]) -> list[str]:
    parts = ["<h2>All metrics</h2>"]
    titles = [structure.title for structure in table.structures]
    for metric in dict.fromkeys((*METRICS[1:], *SURFACE_METRICS)):
        lines = [
            f"<td>{escape(method)}</td>{_metric_cells(table, tests, method, metric)}"
            for method in table.methods
        ]
        parts += [
            f"<h3>{escape(TITLES[metric])}</h3>",
            *html_table(["mean ± SD (n)", *titles], lines),
        ]
    return parts


def _metric_cells(table: ScoreTable, tests: Sequence[TestRow], method: str, metric: str) -> str:
    marked = {
        test.structure
        for test in tests
        if test.method == method
        and test.metric == metric
        and test.p_holm is not None
        and test.p_holm < SIGNIFICANT
    }
    return "".join(
        f"<td{' class=significant' if structure in marked else ''}>"
        f"{_shown(table.cell(method, structure, metric))}</td>"
        for structure in table.structures
    )


def _shown(cell: Cell) -> str:
    if cell.mean is None:
        return "-"
    spread = "" if cell.sd is None else f" ± {cell.sd:.3f}"
    return f"{cell.mean:.3f}{spread} ({cell.n})"


def _coverage(table: ScoreTable) -> list[str]:
    titles = [structure.title for structure in table.structures]
    lines = []
    for method in table.methods:
        cells = (table.cell(method, structure, "dsc") for structure in table.structures)
        shown = "".join(f"<td>{cell.missed} / {cell.false_positive}</td>" for cell in cells)
        lines.append(f"<td>{escape(method)}</td>{shown}")
    return [
        "<h2>Missed / false positive</h2>",
        *html_table(["cases", *titles], lines),
        '<p class="note">A missing map is a miss of every structure that the reference has.</p>',
    ]


def _readers(table: ScoreTable, readers: Sequence[str]) -> list[str]:
    if not readers:
        return []
    models = [method for method in table.methods if method not in readers]
    lines = []
    for structure in table.structures:
        cells = [_shown(table.cell(method, structure, "dsc")) for method in (*readers, *models)]
        lines.append(
            f"<td>{escape(structure.title)}</td>" + "".join(f"<td>{c}</td>" for c in cells)
        )
    head = [f"reader {name}" for name in readers] + [f"model {name}" for name in models]
    return [
        "<h2>Agreement of readers beside models</h2>",
        *html_table(["DSC with the reference", *head], lines),
        (
            '<p class="note">A model cannot be asked for more agreement with the reference than '
            "another reader reaches.</p>"
        ),
    ]


def _test_table(tests: Sequence[TestRow]) -> list[str]:
    if not tests:
        return []
    lines = []
    for test in tests:
        result, normality = test.result, test.result.normality
        interval = ""
        if result.ci_low is not None and result.ci_high is not None:
            interval = f"{result.ci_low:.3f} to {result.ci_high:.3f}"
        mark = test.p_holm is not None and test.p_holm < SIGNIFICANT
        lines.append(
            f'<td>{escape(test.method)}</td><td class="text">{escape(test.structure.title)}</td>'
            f'<td class="text">{escape(TITLES[test.metric])}</td><td>{result.n}</td>'
            f"<td>{_decimal(result.mean_difference)}</td><td>{interval}</td>"
            f"<td>{_decimal(normality.ks_p)}</td><td>{_decimal(normality.lilliefors_p)}</td>"
            f"<td>{_decimal(normality.shapiro_p)}</td>"
            f"<td>{escape(result.test.value.replace('_', ' '))}</td><td>{p_html(result.p)}</td>"
            f"<td{' class=significant' if mark else ''}>{p_html(test.p_holm)}</td>"
            f"<td>{_decimal(result.effect_size)}</td>"
            f'<td class="text">{escape(result.remark)}</td>'
        )
    head = (
        "against",
        "structure",
        "metric",
        "pairs",
        "mean difference",
        "95 % interval",
        "normality: KS p",
        "Lilliefors p",
        "Shapiro p",
        "test",
        "p",
        "p (Holm)",
        "effect size",
        "remark",
    )
    return [
        f"<h2>{escape(tests[0].baseline)} against the others, paired by case</h2>",
        "<details open><summary>Differences are the first method's less the other's</summary>",
        *html_table(head, lines),
        "</details>",
    ]


def _ranking(table: ScoreTable) -> list[str]:
    ranking = table.ranking()
    lines = []
    for place, case in enumerate(ranking, 1):
        means = "".join(f"<td>{_decimal(table.case_mean(m, case))}</td>" for m in table.methods)
        lines.append(f"<td>{place}</td><td>{escape(case)}</td>{means}")
    state = " open" if len(ranking) <= _OPEN_RANKING else ""
    return [
        "<h2>Cases, the most challenging first</h2>",
        (
            f"<details{state}><summary>Mean DSC over the structures of a case, by "
            f"{escape(table.methods[0])}</summary>"
        ),
        *html_table(["rank", "case", *table.methods], lines),
        "</details>",
    ]


def figure_html(picture: Picture) -> str:
    """A picture with its caption, embedded."""
    data = base64.b64encode(picture.png).decode("ascii")
    caption = escape(picture.caption)
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def p_html(value: float | None) -> str:
    """A p value as a person reads it, HTML."""
    if value is None:
        return "-"
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"
