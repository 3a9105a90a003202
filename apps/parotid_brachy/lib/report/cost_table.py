"""What the compared methods cost, as a section of the evaluation's page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from parotid_brachy.lib.comparison.costs import Cost
from parotid_brachy.lib.report.evaluation_page import html_table


def cost_section(costs: Sequence[Cost]) -> list[str]:
    """A table of seconds and memory, HTML.

    Args:
        costs: of each method.
    """
    head = (
        "method",
        "device",
        "weights, million",
        "epochs x iterations, each network",
        "training, min",
        "memory, MiB",
        "GPU memory, MiB",
        "labelling a case, s",
        "memory, MiB",
        "GPU memory, MiB",
    )
    lines = []
    for cost in costs:
        cells = (
            cost.device,
            f"{cost.parameters / 1e6:.2f}",
            f"{cost.epochs} x {cost.iterations_per_epoch}",
            f"{cost.training_seconds / 60:.1f}",
            f"{cost.training_resident_mib:.0f}",
            _shown(cost.training_gpu_mib, 0),
            _shown(cost.labelling_seconds, 2),
            f"{cost.labelling_resident_mib:.0f}",
            _shown(cost.labelling_gpu_mib, 0),
        )
        shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        lines.append(f"<td>{escape(cost.method)}</td>{shown}")
    return [
        "<h2>What the methods cost</h2>",
        *html_table(head, lines),
        (
            '<p class="note">Training: all networks of a method, interruptions left out. '
            "Labelling: median over the test cases, from the volume in memory to the label map. "
            "Memory: the most that the process held.</p>"
        ),
    ]


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
