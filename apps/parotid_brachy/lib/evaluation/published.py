"""The published figures that an evaluation is read beside.

Source: the two-step method for organs at risk in parotid carcinoma brachytherapy, J Contemp
Brachytherapy 2022;14:527-535, doi 10.5114/jcb.2022.123972: mean DSC over 30 test cases, and over
the validation cases for the gland (step 1).
"""

from __future__ import annotations

from typing import Final

from parotid_brachy.lib.anatomy import (
    AURICULA,
    CONDYLE_PROCESS,
    EXTERNAL_AUDITORY_CANAL,
    GLAND,
    MANDIBULAR_RAMUS,
    MASTOID_PROCESS,
    SKIN,
    Structure,
)

CITATION: Final = "J Contemp Brachytherapy 2022;14:527-535, doi 10.5114/jcb.2022.123972"

TWO_STEP_DSC: Final[dict[Structure, float]] = {
    AURICULA: 0.88,
    CONDYLE_PROCESS: 0.91,
    SKIN: 0.75,
    MASTOID_PROCESS: 0.89,
    EXTERNAL_AUDITORY_CANAL: 0.74,
    MANDIBULAR_RAMUS: 0.93,
    GLAND: 0.87,
}
"""Mean DSC of the two-step method; the gland's is that of step 1 on the validation cases."""
