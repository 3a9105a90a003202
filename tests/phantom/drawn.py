"""Small phantoms that several test modules share; each is drawn once a session."""

from functools import cache

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.phantom.draw import Phantom, draw_phantom

SPACING = (1.4, 1.4, 3.0)


@cache
def whole(seed: int) -> Phantom:
    return draw_phantom(seed, after_surgery=None, compact=True, spacing_mm=SPACING)


@cache
def operated(seed: int, side: Side) -> Phantom:
    return draw_phantom(seed, after_surgery=side, compact=True, spacing_mm=SPACING)
