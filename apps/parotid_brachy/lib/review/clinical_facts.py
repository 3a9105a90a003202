"""What is known of a case beside its image: side, day of surgery, seed plan."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from parotid_brachy.lib.anatomy import Side

logger = logging.getLogger(__name__)

FACTS: Final = "facts"
"""Under which key a case's image info holds them."""


@dataclass(frozen=True)
class ClinicalFacts:
    """What is stated of a case; None and nothing: not stated.

    Attributes:
        side: the patient's side of the cancer.
        surgery_date: day of the resection; of a de-identified case, moved as its dates are.
        seed_plan: name or SOP instance UID of the seed plan.
    """

    side: Side | None = None
    surgery_date: date | None = None
    seed_plan: str = ""

    def __bool__(self) -> bool:
        """Whether anything is stated."""
        return self != ClinicalFacts()

    def to_json(self) -> dict[str, str]:
        """What is stated, in words."""
        stated = {
            "side": self.side.value if self.side else "",
            "surgery_date": self.surgery_date.isoformat() if self.surgery_date else "",
            "seed_plan": self.seed_plan,
        }
        return {name: value for name, value in stated.items() if value}


def facts_of(image_info: Mapping[str, Any]) -> ClinicalFacts:
    """The facts in a case's image info; what is none that can be stated is left out."""
    noted = image_info.get(FACTS)
    if not isinstance(noted, Mapping):
        return ClinicalFacts()
    side, day, plan = (noted.get(name) for name in ("side", "surgery_date", "seed_plan"))
    try:
        known_side = Side(side) if side else None
        known_day = date.fromisoformat(day) if day else None
    except (TypeError, ValueError):
        logger.warning("facts of a case that are none: %.80r", dict(noted))
        return ClinicalFacts()
    return ClinicalFacts(known_side, known_day, plan if isinstance(plan, str) else "")
