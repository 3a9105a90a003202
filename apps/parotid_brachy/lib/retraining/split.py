"""Patient-wise split into train, validation and test, 70/15/15 as in the protocol.

The rule: new patients come in the order in which their first case was approved. Each goes to the
part that is farthest below its share of all patients, the newcomer counted; of parts that are
equally far, train comes before validation and validation before test. That is written down, and
nobody is ever moved: neither when a case is reopened, nor when its image is away.

A patient is the case, unless something noted ``patient`` about its image. Where that is noted
only later, the patient stays in the part that one of his or her cases is in already; where cases
that are one patient's turn out to be in two parts, they are left out of all trainings and
comparisons from then on, because no part may be judged on what another has seen.

(Split: J Contemp Brachytherapy 2022;14:527-535, "Patients".)
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from parotid_brachy.lib.review.records import Case, CaseFilter
from parotid_brachy.lib.review.roles import Reader
from parotid_brachy.lib.review.splits import Part, Placed, Placing
from parotid_brachy.lib.review.store import VersionStore

logger = logging.getLogger(__name__)

PATIENT_NOTE: Final = "patient"
"""What a case's image information calls the patient."""
SHARES_PERCENT: Final[Mapping[Part, int]] = MappingProxyType(
    {Part.TRAIN: 70, Part.VALIDATION: 15, Part.TEST: 15}
)
_LONGEST_PATIENT: Final = 200


@dataclass(frozen=True)
class Newcomer:
    """A case that may take part.

    Attributes:
        case: its id.
        patient: whose it is.
        since: when it was approved (or, where initial contours count, submitted), in UTC.
    """

    case: str
    patient: str
    since: datetime


@dataclass(frozen=True)
class Split:
    """The split as it stands.

    Attributes:
        parts: of each case that takes part.
        patients: of each case that takes part.
        torn: cases of a patient who has cases in two parts; in none of the above.
    """

    parts: Mapping[str, Part]
    patients: Mapping[str, str]
    torn: frozenset[str]


def patient_of(case: Case) -> str:
    """Whose a case is: what was noted about its image, else the case itself."""
    noted = case.image_info.get(PATIENT_NOTE)
    if not isinstance(noted, str) or not noted.strip():
        return case.id
    patient = noted.strip()
    if len(patient) > _LONGEST_PATIENT or not patient.isprintable():
        logger.warning("%s: what was noted as its patient is no name; taken for its own", case.id)
        return case.id
    return patient


def part_for_next(counts: Mapping[Part, int]) -> Part:
    """Where the next patient goes.

    Args:
        counts: patients in each part; a part that is missing has none.
    """
    total = 1 + sum(counts.values())
    return max(Part, key=lambda part: SHARES_PERCENT[part] * total - 100 * counts.get(part, 0))


def placings(
    newcomers: Iterable[Newcomer], placed: Mapping[str, Placed], patients: Mapping[str, str]
) -> list[Placing]:
    """What the rule says of cases that are not written down yet.

    Args:
        newcomers: cases that may take part; those that are written down are passed over.
        placed: what is written down, by case.
        patients: whose every case is, as far as known now.
    """
    first: dict[str, datetime] = {}
    new: dict[str, set[str]] = {}
    for one in newcomers:
        if one.case not in placed:
            first[one.patient] = min(one.since, first.get(one.patient, one.since))
            new.setdefault(one.patient, set()).add(one.case)
    known = _parts_of_patients(placed, patients)
    counts = _counted(placed, patients)
    result = []
    for patient in sorted(new, key=lambda patient: (first[patient], patient)):
        parts = known.get(patient, set())
        if len(parts) > 1:
            continue
        if parts:
            (part,) = parts
        else:
            part = part_for_next(counts)
            counts[part] = counts.get(part, 0) + 1
        result += [Placing(case, patient, part) for case in sorted(new[patient])]
    return result


def split_with(store: VersionStore, newcomers: Sequence[Newcomer], actor: Reader) -> Split:
    """The split, after newcomers were written down.

    Args:
        store: of the cases.
        newcomers: cases with contours that may be trained on; those of the consensus set are
            passed over.
        actor: whom the journal names.
    """
    everybody = store.cases(CaseFilter(is_consensus=False, is_present=None)).items
    patients = {one.id: patient_of(one) for one in everybody}
    new = [one for one in newcomers if one.case in patients]
    if placings(new, store.placed(), patients):
        store.place(lambda placed: placings(new, placed, patients), actor)
    return _split(store.placed(), patients)


def _split(placed: Mapping[str, Placed], patients: Mapping[str, str]) -> Split:
    known = _parts_of_patients(placed, patients)
    now = {case: patients.get(case, one.patient) for case, one in placed.items()}
    torn = {
        case
        for case, one in placed.items()
        if len(known[one.patient]) > 1 or len(known[now[case]]) > 1
    }
    torn |= {case for case, patient in patients.items() if len(known.get(patient, ())) > 1}
    whole = {case: one for case, one in placed.items() if case not in torn}
    return Split(
        {case: one.part for case, one in whole.items()},
        {case: now[case] for case in whole},
        frozenset(torn),
    )


def _parts_of_patients(
    placed: Mapping[str, Placed], patients: Mapping[str, str]
) -> dict[str, set[Part]]:
    """The parts of each patient's cases, by the name written down and by the name known now."""
    parts: dict[str, set[Part]] = {}
    for case, one in placed.items():
        for patient in (one.patient, patients.get(case, one.patient)):
            parts.setdefault(patient, set()).add(one.part)
    return parts


def _counted(placed: Mapping[str, Placed], patients: Mapping[str, str]) -> dict[Part, int]:
    counts: dict[Part, int] = {}
    now = {patients.get(case, one.patient): one.part for case, one in placed.items()}
    for part in now.values():
        counts[part] = counts.get(part, 0) + 1
    return counts
