"""Which part of an image step 2 is trained on: round the gland that step 1 finds, not the reader's.

At inference the region of interest is laid round what step 1 finds, which is now too large, now
too small. A network that only ever saw regions round readers' glands would not know such.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import REACH_MM
from parotid_brachy.lib.imaging.files import read_label_map
from parotid_brachy.lib.imaging.roi import Box
from parotid_brachy.lib.imaging.volume import Grid

logger = logging.getLogger(__name__)

FOUND: Final = "found"
CONTOURED: Final = "contoured"
FOUND_ENDING: Final = ".nrrd"
"""Of a found gland's file, after the case's id."""

_SHIFT_MARGIN_MM: Final = 18.0
"""Wide regions are so much larger than the region of interest, so that patches can be shifted."""
_JITTER_SD_MM: Final = 3.0
_MOST_JITTER_MM: Final = 8.0


@dataclass(frozen=True)
class Region:
    """A part of an image that becomes a sample.

    Attributes:
        suffix: of the sample's name.
        box: in LPS millimetres.
        origin: what it was laid round, ``found`` or ``contoured``; None of a half head.
    """

    suffix: str
    box: Box
    origin: str | None


def found_gland(
    folder: Path | None, case: str, gland: NDArray[np.bool_], grid: Grid
) -> NDArray[np.bool_] | None:
    """The gland that step 1 finds on the side of a reader's gland.

    Args:
        folder: of found glands; None: there are none.
        case: its id.
        gland: the reader's, shape ``grid.shape_kji``.
        grid: the image's.

    Returns:
        A mask of the same shape; None where step 1 finds none, or finds it elsewhere, so that an
        inference would have to be told where the gland is.

    Raises:
        InputRefusedError: the mask cannot be read, or is of another image.
    """
    path = None if folder is None else folder / f"{case}{FOUND_ENDING}"
    if path is None or not path.is_file():
        return None
    found = np.asarray(read_label_map(path, grid) > 0)
    if not (found & gland).any():
        logger.info("%s: step 1 finds no gland where the reader contoured one", case)
        return None
    return found


def regions_of_interest(
    gland: NDArray[np.bool_], found: NDArray[np.bool_] | None, grid: Grid, *, seed_text: str
) -> list[Region]:
    """The regions of one side.

    Args:
        gland: the reader's, shape ``grid.shape_kji``.
        found: step 1's, the same shape; None: a wide region round the reader's gland is all.
        grid: of both.
        seed_text: the same text moves the faces by the same millimetres.
    """
    image = Box.of_grid(grid)
    origin = CONTOURED if found is None else FOUND
    box = Box.of_mask(gland if found is None else found, grid)
    wide = Region("", box.grown(REACH_MM + _SHIFT_MARGIN_MM).clipped(image), origin)
    if found is None:
        return [wide]
    exact = jittered(box.grown(REACH_MM), seed_text).clipped(image)
    return [wide, Region("__roi", exact, origin)]


def jittered(box: Box, seed_text: str) -> Box:
    """A box whose faces were moved, each by a normally distributed few millimetres."""
    seed = int.from_bytes(hashlib.sha256(seed_text.encode()).digest()[:8], "big")
    drawn = np.random.default_rng(seed).normal(0.0, _JITTER_SD_MM, (2, 3))
    low, high = np.clip(drawn, -_MOST_JITTER_MM, _MOST_JITTER_MM)
    return Box.of(np.add(box.low_lps_mm, low), np.add(box.high_lps_mm, high))
