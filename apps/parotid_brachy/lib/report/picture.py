"""The picture of a pre-label: three planes through the gland, outlined structures."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import STRUCTURES, Structure
from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.report.planes import Plane, PlaneImage, centre_lps_mm, cut_plane

FIELD_MM = 150.0
"""Edge of each plane: a gland with its surroundings within reach, and the midline for context."""
_WINDOW_HU = (-160.0, 240.0)
"""Soft tissue: level 40, width 400."""
_SCALE_BAR_MM = 20.0
_DPI = 100
BACKGROUND = "#101418"
_INK = "#e8e8e8"
_WARNING_INK = "#ffb454"
_SHADOW = (withStroke(linewidth=2.5, foreground=BACKGROUND),)


def draw_picture(
    volume: Volume,
    labels: NDArray[np.uint8],
    *,
    title: str,
    warnings: Sequence[str] = (),
    structures: Sequence[Structure] = STRUCTURES,
) -> bytes:
    """Draws a case for a quick look; it replaces no reading of the slices.

    Args:
        volume: the CT.
        labels: values of ``structures`` and 0, on the volume's grid.
        title: one line, such as case and side.
        warnings: what a reader must know, a line each.
        structures: what is outlined and named in the legend.

    Returns:
        A PNG file.

    Raises:
        GeometryError: the labels do not fit the volume.
    """
    if labels.shape != volume.voxels.shape:
        message = (
            f"{volume.case}: labels of shape {labels.shape} on a volume of shape "
            f"{volume.voxels.shape} cannot be drawn"
        )
        raise GeometryError(message)
    lines = [
        line
        for warning in warnings
        for line in textwrap.wrap(warning, 150, subsequent_indent="    ", max_lines=3)
    ]
    height = 5.9 + 0.2 * len(lines)
    figure = Figure(figsize=(13.5, height), dpi=_DPI, facecolor=BACKGROUND)
    canvas = FigureCanvasAgg(figure)
    top = 1.0 - (0.45 + 0.2 * len(lines)) / height
    axes = figure.subplots(
        1,
        3,
        gridspec_kw={
            "left": 0.01,
            "right": 0.99,
            "top": top - 0.25 / height,
            "bottom": 0.75 / height,
            "wspace": 0.02,
        },
    )
    centre = centre_lps_mm(volume, labels)
    for panel, plane in zip(axes, Plane, strict=True):
        image = cut_plane(volume, labels, plane, centre, field_mm=FIELD_MM)
        draw_plane(panel, image, structures)
    _text(figure, 0.01, 1.0 - 0.1 / height, title, size=13, weight="bold")
    for number, line in enumerate(lines):
        _text(figure, 0.01, 1.0 - (0.42 + 0.2 * number) / height, line, ink=_WARNING_INK)
    present = set(np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist())
    _draw_legend(figure, structures, present)
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return buffer.getvalue()


def draw_comparison(
    volume: Volume,
    maps: Mapping[str, NDArray[np.uint8]],
    *,
    title: str,
    structures: Sequence[Structure] = STRUCTURES,
) -> bytes:
    """Draws several label maps of a case in the same planes, a column each.

    Args:
        volume: the CT.
        maps: by name; the first, usually the reference, says where the planes lie.
        title: one line.
        structures: what is outlined and named in the legend.

    Returns:
        A PNG file.

    Raises:
        GeometryError: a map does not fit the volume.
    """
    for name, labels in maps.items():
        if labels.shape != volume.voxels.shape:
            message = (
                f"{volume.case}: {name} of shape {labels.shape} on a volume of shape "
                f"{volume.voxels.shape} cannot be drawn"
            )
            raise GeometryError(message)
    height = 9.4
    figure = Figure(figsize=(max(4.0 * len(maps), 11.0), height), dpi=_DPI, facecolor=BACKGROUND)
    canvas = FigureCanvasAgg(figure)
    planes = (Plane.AXIAL, Plane.CORONAL)
    axes = figure.subplots(
        len(planes),
        len(maps),
        squeeze=False,
        gridspec_kw={"left": 0.01, "right": 0.99, "top": 0.92, "bottom": 0.06, "wspace": 0.02},
    )
    centre = centre_lps_mm(volume, next(iter(maps.values())))
    present: set[int] = set()
    for column, (name, labels) in enumerate(maps.items()):
        present |= set(np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist())
        for row, plane in enumerate(planes):
            panel = axes[row][column]
            image = cut_plane(volume, labels, plane, centre, field_mm=FIELD_MM)
            draw_plane(panel, image, structures)
            panel.set_title(f"{name}, {plane.value}", color=_INK, size=10, pad=3, parse_math=False)
    _text(figure, 0.01, 1.0 - 0.1 / height, title, size=13, weight="bold")
    _draw_legend(figure, structures, present)
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return buffer.getvalue()


def _text(
    figure: Figure,
    x: float,
    y: float,
    text: str,
    *,
    size: float = 9,
    weight: str = "normal",
    ink: str = _INK,
) -> None:
    # A case's name may hold $ signs, which are no formula.
    figure.text(x, y, text, size=size, weight=weight, color=ink, va="top", parse_math=False)


def draw_plane(panel: Any, image: PlaneImage, structures: Sequence[Structure]) -> None:
    """Draws a plane with outlines, directions and a scale bar into Matplotlib's axes."""
    rows, columns = image.hu.shape
    panel.imshow(
        image.hu,
        cmap="gray",
        vmin=_WINDOW_HU[0],
        vmax=_WINDOW_HU[1],
        interpolation="bilinear",
        aspect="equal",
    )
    for structure in structures:
        mask = image.labels == structure.value
        if mask.any():
            # A rim of nothing closes outlines that touch the picture's edge.
            panel.contour(
                np.arange(-1, columns + 1),
                np.arange(-1, rows + 1),
                np.pad(mask.astype(np.float32), 1),
                levels=[0.5],
                colors=[_rgb(structure)],
                linewidths=1.4,
            )
    panel.set_xlim(-0.5, columns - 0.5)
    panel.set_ylim(rows - 0.5, -0.5)
    panel.set_axis_off()
    panel.set_title(image.plane.value, color=_INK, size=10, pad=3)
    left, right, top, bottom = image.plane.letters
    for x, y, letter in (
        (0.02, 0.5, left),
        (0.98, 0.5, right),
        (0.5, 0.97, top),
        (0.5, 0.03, bottom),
    ):
        panel.text(
            x,
            y,
            letter,
            transform=panel.transAxes,
            color="#ffe066",
            size=13,
            weight="bold",
            ha="center",
            va="center",
            path_effects=_SHADOW,
        )
    length = _SCALE_BAR_MM / image.pixel_mm
    end, level = 0.96 * columns, 0.95 * rows
    panel.plot([end - length, end], [level, level], color=_INK, linewidth=3, solid_capstyle="butt")
    panel.text(
        end - length / 2,
        level - 0.015 * rows,
        f"{_SCALE_BAR_MM:g} mm",
        color=_INK,
        size=9,
        ha="center",
        va="bottom",
        path_effects=_SHADOW,
    )


def _draw_legend(figure: Figure, structures: Sequence[Structure], present: set[int]) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=_rgb(structure),
            linewidth=3,
            alpha=1.0 if structure.value in present else 0.25,
            label=structure.title if structure.value in present else f"({structure.title}: none)",
        )
        for structure in structures
    ]
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=len(handles),
        frameon=False,
        labelcolor=_INK,
        fontsize=9,
        handlelength=1.2,
        columnspacing=1.4,
    )


def _rgb(structure: Structure) -> tuple[float, float, float]:
    red, green, blue = structure.colour
    return (red / 255, green / 255, blue / 255)
