"""The published grades (Table 2), beside which ours are read.

Source: J Contemp Brachytherapy 2022;14:527-535, doi 10.5114/jcb.2022.123972: mean grade of the
two-step method's contours over 30 test cases, of each of two oncologists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from parotid_brachy.lib.anatomy import ORGANS_AT_RISK, Structure

PUBLISHED_GRADES: Final[Mapping[str, Mapping[Structure, float]]] = {
    "oncologist 1": dict(zip(ORGANS_AT_RISK, (2.63, 2.74, 2.55, 2.84, 2.47, 2.93), strict=True)),
    "oncologist 2": dict(zip(ORGANS_AT_RISK, (2.69, 2.78, 2.41, 2.86, 2.41, 2.88), strict=True)),
}
