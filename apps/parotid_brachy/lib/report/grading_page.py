"""The report of a closed grading study: one HTML file that needs nothing from outside, and CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Final

from parotid_brachy.lib.anatomy import Structure
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.evaluation.grading.grades import NOT_GRADABLE, SCALE
from parotid_brachy.lib.evaluation.grading.published_grades import PUBLISHED_GRADES
from parotid_brachy.lib.evaluation.grading.results import (
    Agreement,
    GradeCell,
    Results,
    grades_csv,
    kappa_csv,
    table_csv,
)
from parotid_brachy.lib.evaluation.grading.study import CONTROL
from parotid_brachy.lib.evaluation.published import CITATION
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.report.evaluation_page import STYLE, html_table

REPORT: Final = "report.html"


def write_grading_report(results: Results, output: Path) -> None:
    """Writes grades.csv, table.csv, kappa.csv and report.html; earlier ones are replaced.

    Args:
        results: of a closed study.
        output: the folder.

    Raises:
        UsageError: it cannot be written to.
    """
    agreements = results.agreements()
    files = {
        "grades.csv": grades_csv(results),
        "table.csv": table_csv(results),
        "kappa.csv": kappa_csv(agreements),
        REPORT: grading_page(results, agreements).encode(),
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomically(output / name, content)
    except OSError as error:
        message = f"{output}: cannot be written to ({error}). Choose another output folder"
        raise UsageError(message) from error


def grading_page(results: Results, agreements: Sequence[Agreement]) -> str:
    """Puts a closed study on one page.

    Args:
        results: its grades.
        agreements: of its graders.

    Returns:
        HTML; every text from outside is escaped, and nothing is loaded.
    """
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        (
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        ),
        f"<title>Blind grading</title><style>{STYLE}</style></head><body>",
        "<h1>Blind grading of contours</h1>",
        *_head(results),
        *_published_layout(results),
        *_means(results),
        *_acceptable(results),
        *_agreement(agreements),
        *_remarks(results),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _head(results: Results) -> list[str]:
    closing, study = results.closing, results.study
    wanted = len(study.items) * len(study.structures) * len(study.graders)
    scale = "; ".join(f"{grade} {text}" for grade, text in enumerate(SCALE))
    parts = [
        (
            f"<p>{results.cases} cases, {len(study.items)} items, graded by "
            f"{escape(', '.join(study.graders))}, each in an order of his or her own, without "
            f"knowing the method. Methods: {escape(', '.join(results.methods))}; {CONTROL} is the "
            f"manual contours, mixed in as a control. Closed by {escape(closing.by)} at "
            f"{escape(closing.at)}.</p>"
        ),
        (
            f'<p class="note">{scale}. 2 and more is clinically acceptable. What is {NOT_GRADABLE} '
            f"counts in no mean. {results.changed} grades were changed by their grader; the newest "
            "counts.</p>"
        ),
    ]
    if closing.is_incomplete:
        parts.append(
            f'<p class="problem">Closed incomplete: {wanted - len(results.grades)} of {wanted} '
            "grades are missing.</p>"
        )
    return parts


def _published_layout(results: Results) -> list[str]:
    structures = results.study.structures
    lines = []
    for name, means in PUBLISHED_GRADES.items():
        cells = "".join(
            f'<td class="published">{f"{means[s]:.2f}" if s in means else "-"}</td>'
            for s in structures
        )
        lines.append(f'<td class="published">published, two-step, {name}</td>{cells}')
    for method in results.methods:
        for grader in results.study.graders:
            cells = "".join(
                f"<td>{_number(results.cell(method, s, grader).mean)}</td>" for s in structures
            )
            lines.append(f"<td>{escape(method)}, {escape(grader)}</td>{cells}")
    return [
        "<h2>Table 2: mean grades beside the published ones</h2>",
        *html_table(["mean grade", *_titles(structures)], lines),
        (
            f'<p class="note">Published: {CITATION}, 30 test cases of another hospital, graded by '
            "other oncologists; a comparison of numbers, not of patients.</p>"
        ),
    ]


def _means(results: Results) -> list[str]:
    return [
        "<h2>Mean ± SD (n)</h2>",
        *_table(results, "all graders together", _mean_sd),
    ]


def _acceptable(results: Results) -> list[str]:
    return [
        "<h2>Share at grade 2 or more</h2>",
        *_table(results, f"share / number {NOT_GRADABLE}", _share),
    ]


def _table(results: Results, title: str, shown: Callable[[GradeCell], str]) -> list[str]:
    wanted = (*results.study.structures, None)
    lines = []
    for method in results.methods:
        cells = "".join(f"<td>{shown(results.cell(method, s))}</td>" for s in wanted)
        lines.append(f"<td>{escape(method)}</td>{cells}")
    return html_table([title, *_titles(results.study.structures), "all"], lines)


def _agreement(agreements: Sequence[Agreement]) -> list[str]:
    if not agreements:
        return ["<h2>Agreement</h2>", "<p>There is one grader: nobody to agree with.</p>"]
    lines = []
    for one in agreements:
        kappa = one.kappa
        interval = "-" if kappa.interval is None else " to ".join(map(_number, kappa.interval))
        title = one.structure.title if one.structure else "all"
        lines.append(
            f"<td>{escape(' and '.join(one.graders))}</td>"
            f'<td class="text">{escape(title)}</td><td class="text">{one.weights.value}</td>'
            f"<td>{kappa.n}</td><td>{_percent(kappa.agreement)}</td>"
            f"<td>{_number(kappa.kappa)}</td><td>{interval}</td>"
            f'<td class="text">{escape(kappa.remark)}</td>'
        )
    head = (
        "graders", "structure", "weights", "pairs", "equal", "kappa", "95 % interval", "remark",
    )  # fmt: skip
    return [
        "<h2>Agreement of the graders</h2>",
        *html_table(head, lines),
        (
            '<p class="note">Cohen\'s weighted kappa over all methods; intervals by resampling '
            "cases.</p>"
        ),
    ]


def _remarks(results: Results) -> list[str]:
    lines = []
    for one in results.grades:
        grade = one.kept.grade
        if grade.comment or grade.reason:
            number = NOT_GRADABLE if grade.grade is None else str(grade.grade)
            text = "; ".join(text for text in (grade.reason, grade.comment) if text)
            lines.append(
                f'<td>{escape(one.method)}</td><td class="text">{escape(one.case)}</td>'
                f'<td class="text">{escape(one.structure.title)}</td>'
                f'<td class="text">{escape(one.kept.grader)}</td><td>{number}</td>'
                f'<td class="text">{escape(text)}</td>'
            )
    if not lines:
        return []
    head = ("method", "case", "structure", "grader", "grade", "comment")
    return ["<h2>Comments</h2>", *html_table(head, lines)]


def _titles(structures: Sequence[Structure]) -> list[str]:
    return [structure.title for structure in structures]


def _mean_sd(cell: GradeCell) -> str:
    spread = "" if cell.sd is None else f" ± {cell.sd:.2f}"
    return f"{_number(cell.mean)}{spread} ({cell.n})"


def _share(cell: GradeCell) -> str:
    return f"{_percent(cell.acceptable)} / {cell.not_gradable}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"
