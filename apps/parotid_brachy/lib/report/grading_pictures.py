"""Pictures of an item for its graders: planes through everything that is contoured."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import Structure
from parotid_brachy.lib.evaluation.grading.making import Picture
from parotid_brachy.lib.imaging.roi import Box
from parotid_brachy.lib.imaging.volume import Vector, Volume
from parotid_brachy.lib.report.picture import BACKGROUND, draw_plane
from parotid_brachy.lib.report.planes import Plane, cut_plane

_THROUGH: Final = {Plane.AXIAL: 2, Plane.CORONAL: 1, Plane.SAGITTAL: 0}
_MOST: Final = {Plane.AXIAL: 16, Plane.CORONAL: 4, Plane.SAGITTAL: 4}
_LEAST_STEP_MM: Final = 2.0
_CONTEXT_MM: Final = 30.0
_INCHES: Final = 5.6
_DPI: Final = 125
_COLUMNS: Final = 4
"""Of structures' names below a picture."""


def draw_item(
    volume: Volume, labels: NDArray[np.uint8], structures: Sequence[Structure], filled: Box
) -> list[Picture]:
    """Draws an item: axial planes from the feet up, then coronal and sagittal ones.

    Args:
        volume: the CT.
        labels: the item's map, on the volume's grid.
        structures: what is outlined.
        filled: where any method of the case has contours. It alone says where the planes lie, so
            that they are the same for all items of a case.

    Returns:
        Pictures without any text but what is seen: no program's name, no time.
    """
    pictures = []
    low, high = np.asarray(filled.low_lps_mm), np.asarray(filled.high_lps_mm)
    for plane in Plane:
        in_plane = [axis for axis in range(3) if axis != _THROUGH[plane]]
        field_mm = float((high - low)[in_plane].max()) + _CONTEXT_MM
        for centre in _centres(filled, plane):
            image = cut_plane(volume, labels, plane, centre, field_mm=field_mm)
            figure = Figure(figsize=(_INCHES, _INCHES), dpi=_DPI, facecolor=BACKGROUND)
            canvas = FigureCanvasAgg(figure)
            draw_plane(figure.add_axes((0.0, 0.07, 1.0, 0.885)), image, structures)
            _name_colours(figure, structures)
            buffer = io.BytesIO()
            canvas.print_png(buffer, metadata={"Software": None})
            pictures.append(Picture(plane.value, buffer.getvalue()))
    return pictures


def _name_colours(figure: Figure, structures: Sequence[Structure]) -> None:
    # All of them, whether the map has them or not: planes of a case differ in outlines only.
    for place, structure in enumerate(structures):
        row, column = divmod(place, _COLUMNS)
        red, green, blue = structure.colour
        figure.text(
            (column + 0.5) / _COLUMNS,
            0.045 - 0.03 * row,
            structure.title,
            color=(red / 255, green / 255, blue / 255),
            size=8,
            ha="center",
            va="center",
        )


def _centres(filled: Box, plane: Plane) -> Iterator[Vector]:
    low, high = np.asarray(filled.low_lps_mm), np.asarray(filled.high_lps_mm)
    through = _THROUGH[plane]
    length = float(high[through] - low[through])
    count = min(_MOST[plane], max(int(length / _LEAST_STEP_MM), 1))
    for number in range(count):
        centre = (low + high) / 2
        centre[through] = low[through] + length * (number + 0.5) / count
        yield (float(centre[0]), float(centre[1]), float(centre[2]))
