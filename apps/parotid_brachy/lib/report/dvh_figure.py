"""Cumulative dose-volume histograms of one patient, as published: a colour for each structure."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from parotid_brachy.lib.anatomy import GLAND, STRUCTURES, Structure
from parotid_brachy.lib.dosimetry.dvh import Dvh

_DPI = 110
_LINES: Final[tuple[Literal["-", "--", ":", "-."], ...]] = ("-", "--", ":", "-.")
_STEPS = 400
_HOTTEST_OF_ORGAN: Final = 1.0
_HOTTEST_OF_GLAND: Final = 25.0
"""Per cent of a structure beyond the axis: beside a seed doses go on for a long empty one."""


def draw_dvh(sets: Mapping[str, Mapping[Structure, Dvh]], *, title: str) -> bytes:
    """Draws the histograms of several sets of contours.

    Args:
        sets: by name, such as manual (solid) and two_step (dashed), a histogram a structure.
        title: above it, such as the case.

    Returns:
        A PNG file; volume in per cent over dose in Gy.
    """
    figure = Figure(figsize=(8.6, 5.2), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    ends = [
        one.d_percent_gy(_HOTTEST_OF_GLAND if structure is GLAND else _HOTTEST_OF_ORGAN) or 0.0
        for found in sets.values()
        for structure, one in found.items()
    ]
    doses = np.linspace(0.0, max([*ends, 1.0]) * 1.05, _STEPS)
    for line, found in zip(_LINES * len(sets), sets.values(), strict=False):
        for structure, one in found.items():
            axes.plot(
                doses,
                one.cumulative_percent(doses),
                linestyle=line,
                color=to_hex(_rgb(structure)),
                linewidth=1.6,
            )
    shown = [one for one in STRUCTURES if any(one in found for found in sets.values())]
    handles = [Line2D([], [], color=to_hex(_rgb(one)), label=one.title) for one in shown]
    handles += [
        Line2D([], [], color="black", linestyle=line, label=name)
        for line, name in zip(_LINES * len(sets), sets, strict=False)
    ]
    axes.set_xlabel("dose, Gy")
    axes.set_ylabel("volume, %")
    axes.set_xlim(0.0, float(doses[-1]))
    axes.set_ylim(0.0, 101.0)
    axes.grid(alpha=0.3)
    axes.set_title(title, fontsize=11, parse_math=False)
    legend = axes.legend(handles=handles, fontsize=9, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return buffer.getvalue()


def _rgb(structure: Structure) -> tuple[float, float, float]:
    red, green, blue = structure.colour
    return red / 255, green / 255, blue / 255
