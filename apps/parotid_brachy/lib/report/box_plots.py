"""Box plots of a metric: structures side by side, a box for each method."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

_DPI = 110


def draw_box_plots(
    values: Mapping[str, Sequence[Sequence[float]]], groups: Sequence[str], *, label: str
) -> bytes:
    """Draws the values of several methods.

    Args:
        values: by method, a sequence of values for each group; one may be empty.
        groups: names of the groups, such as structures.
        label: of the vertical axis, with its unit.

    Returns:
        A PNG file. Boxes reach from the first to the third quartile, whiskers to the farthest
        value within 1.5 of their distance; a line marks the median, a diamond the mean.
    """
    figure = Figure(figsize=(max(1.6 * len(groups), 6.0), 4.6), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = [colormaps["tab10"](number) for number in range(10)]
    width = 0.8 / len(values)
    handles = []
    for number, (method, columns) in enumerate(values.items()):
        offset = (number - (len(values) - 1) / 2) * width
        drawn = [place for place, column in enumerate(columns) if len(column)]
        if drawn:
            axes.boxplot(
                [list(columns[place]) for place in drawn],
                positions=[place + offset for place in drawn],
                widths=0.85 * width,
                patch_artist=True,
                showmeans=True,
                manage_ticks=False,
                boxprops={"facecolor": colours[number % len(colours)], "alpha": 0.6},
                medianprops={"color": "black"},
                meanprops={
                    "marker": "D",
                    "markersize": 4,
                    "markerfacecolor": "white",
                    "markeredgecolor": "black",
                },
                flierprops={"markersize": 3},
            )
        handles.append(Patch(color=colours[number % len(colours)], alpha=0.6, label=method))
    axes.set_xticks(range(len(groups)), [name.replace(" ", "\n") for name in groups], fontsize=9)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_ylabel(label)
    axes.grid(axis="y", alpha=0.3)
    legend = figure.legend(
        handles=handles, loc="outside upper center", ncols=min(len(handles), 6), frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return buffer.getvalue()
