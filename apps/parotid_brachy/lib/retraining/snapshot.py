"""Which approved versions make up a training set at this moment, by number and SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK, Side
from parotid_brachy.lib.errors import ParotidBrachyError, TrainingError
from parotid_brachy.lib.retraining.split import Newcomer, patient_of, split_with
from parotid_brachy.lib.review.canonical_json import canonical_json
from parotid_brachy.lib.review.intake import labels_of
from parotid_brachy.lib.review.records import (
    CORRECTION_PREFIX,
    INITIAL_TAG,
    Case,
    CaseFilter,
    Version,
)
from parotid_brachy.lib.review.roles import Reader
from parotid_brachy.lib.review.splits import Part
from parotid_brachy.lib.review.states import CaseState
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.study_images import StudyImages
from parotid_brachy.lib.segmentation.presets import Step

SIDE_NOTE: Final = "side"
"""What a case's image information calls the side of the cancer."""
_DETACHED: Final = (".nhdr", ".mhd")
_CONTOURED_STATES: Final = (
    CaseState.SUBMITTED,
    CaseState.IN_REVIEW,
    CaseState.RETURNED,
    CaseState.REOPENED,
)


@dataclass(frozen=True)
class SnapshotPolicy:
    """What a team has agreed on.

    Attributes:
        allows_initial: initial contours may be trained on where nothing is approved yet; what
            models are compared on is approved always.
        fewest_train: patients to train on, below which there is no training. Three is what it
            takes to train at all, not to train well.
        fewest_validation: patients to compare on, likewise.
    """

    allows_initial: bool = False
    fewest_train: int = 3
    fewest_validation: int = 1


@dataclass(frozen=True)
class SnapshotCase:
    """One version of one case.

    Attributes:
        case: its id.
        patient: whose it is.
        part: the patient's.
        image: the image's file name in the folder of studies.
        version: the version's number.
        sha256: of the version's file.
        is_approved: false for initial contours.
        contoured: names of the structures that the map is about, also those that are empty on
            purpose; about the others it says nothing.
        side: of the cancer, where it was noted.
    """

    case: str
    patient: str
    part: Part
    image: str
    version: int
    sha256: str
    is_approved: bool
    contoured: tuple[str, ...]
    side: Side | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values, of which :meth:`from_json` makes the same case."""
        side = None if self.side is None else self.side.value
        values = {**asdict(self), "part": self.part.value, "side": side}
        return values | {"contoured": list(self.contoured)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SnapshotCase:
        """The case of which :meth:`to_json` made these values.

        Raises:
            KeyError, TypeError, ValueError: they are no case's.
        """
        side = values["side"]
        changed = {
            "part": Part(values["part"]),
            "side": None if side is None else Side(side),
            "contoured": tuple(values["contoured"]),
        }
        return cls(**{**values, **changed})


@dataclass(frozen=True)
class LeftOut:
    """A case that has contours and takes no part.

    Attributes:
        case: its id.
        reason: why not, for a person.
    """

    case: str
    reason: str


@dataclass(frozen=True)
class Snapshot:
    """A training set.

    Attributes:
        step: which model it is for.
        cases: by id; of all three parts.
        left_out: by id.
    """

    step: Step
    cases: tuple[SnapshotCase, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def sha256(self) -> str:
        """Hash of what is trained and judged on: equal for equal sets, whatever was left out."""
        told = {"step": self.step.value, "cases": [case.to_json() for case in self.cases]}
        return hashlib.sha256(canonical_json(told).encode()).hexdigest()

    def of(self, part: Part) -> tuple[SnapshotCase, ...]:
        """The cases of one part."""
        return tuple(case for case in self.cases if case.part is part)

    def patients(self, part: Part) -> tuple[str, ...]:
        """The patients of one part, by name."""
        return tuple(sorted({case.patient for case in self.of(part)}))


def take_snapshot(
    store: VersionStore,
    images: StudyImages,
    step: Step,
    *,
    actor: Reader,
    policy: SnapshotPolicy = SnapshotPolicy(),
) -> Snapshot:
    """Takes the training set of this moment; new patients are placed in the split by it.

    Reads every label map and the header of every image.

    Args:
        store: of the cases.
        images: of the same folder.
        step: which model is to be trained; it decides what must be contoured.
        actor: who asks; the journal names him or her for the placing of new patients.
        policy: what the team has agreed on.

    Raises:
        TrainingError: there are too few patients; says how many, and what was left out.
    """
    candidates = _candidates(store, allows_initial=policy.allows_initial)
    split = split_with(store, [one.newcomer for one in candidates], actor)
    taken, left_out = [], []
    for one in candidates:
        case = one.case.id
        part = split.parts.get(case)
        if part is None:
            patient = patient_of(one.case)
            reason = f"its patient {patient!r} has cases in two parts of the split"
            left_out.append(LeftOut(case, reason))
        elif (why_not := _why_not(one, part, store, images, step)) is not None:
            left_out.append(LeftOut(case, why_not))
        else:
            taken.append(_snapshot_case(one, part, split.patients[case], images))
    snapshot = Snapshot(step, tuple(taken), tuple(left_out))
    _require_enough(snapshot, policy)
    return snapshot


@dataclass(frozen=True)
class _Candidate:
    case: Case
    version: Version
    is_approved: bool
    newcomer: Newcomer


def _candidates(store: VersionStore, *, allows_initial: bool) -> list[_Candidate]:
    approved = store.cases(CaseFilter((CaseState.APPROVED,), is_consensus=False, is_present=None))
    found = []
    for case in approved.items:
        if case.approved_version is not None and case.approved_at is not None:
            version = store.version(case.id, case.approved_version)
            newcomer = Newcomer(case.id, patient_of(case), case.approved_at)
            found.append(_Candidate(case, version, True, newcomer))
    if allows_initial:
        others = CaseFilter(_CONTOURED_STATES, is_consensus=False, is_present=None)
        for case in store.cases(others).items:
            newest = _newest_contours(store.versions(case.id))
            if newest is not None:
                newcomer = Newcomer(case.id, patient_of(case), newest.created)
                found.append(_Candidate(case, newest, False, newcomer))
    return sorted(found, key=lambda one: one.case.id)


def _newest_contours(versions: Sequence[Version]) -> Version | None:
    """The newest that a reader made and that clients still see."""
    own = (one for one in versions if not one.is_withdrawn and _is_contours(one.tag))
    return max(own, key=lambda one: one.number, default=None)


def _is_contours(tag: str) -> bool:
    return tag == INITIAL_TAG or tag.startswith(CORRECTION_PREFIX)


def _why_not(
    one: _Candidate, part: Part, store: VersionStore, images: StudyImages, step: Step
) -> str | None:
    """Why nothing can be learnt from a case; None if it can."""
    if part is not Part.TRAIN and not one.is_approved:
        return f"in {part.value}, where approved contours alone count"
    if one.case.id not in images.files():
        return "its image is away"
    if one.case.image_name.lower().endswith(_DETACHED):
        return f"{one.case.image_name} is in two files; trainings want it in one, such as .nii.gz"
    try:
        labels = labels_of(store.path_of(one.version.file), images.grid_of(one.case.id))
    except (ParotidBrachyError, OSError) as error:
        return str(error)
    present = set(np.flatnonzero(np.bincount(labels.ravel(), minlength=8)).tolist())
    if GLAND.value not in present:
        return "no gland is contoured in it"
    if step is not Step.GLAND and present.isdisjoint(organ.value for organ in ORGANS_AT_RISK):
        return "no organ at risk is contoured in it"
    return None


def _snapshot_case(one: _Candidate, part: Part, patient: str, images: StudyImages) -> SnapshotCase:
    side = one.case.image_info.get(SIDE_NOTE)
    return SnapshotCase(
        case=one.case.id,
        patient=patient,
        part=part,
        image=images.path_of(one.case.id).name,
        version=one.version.number,
        sha256=one.version.file.sha256,
        is_approved=one.is_approved,
        contoured=tuple(one.version.volumes_ml),
        side=next((known for known in Side if known.value == side), None),
    )


def _require_enough(snapshot: Snapshot, policy: SnapshotPolicy) -> None:
    for part, fewest in (
        (Part.TRAIN, policy.fewest_train),
        (Part.VALIDATION, policy.fewest_validation),
    ):
        found = len(snapshot.patients(part))
        if found < fewest:
            message = (
                f"{found} patients with {_what(policy)} contours in {part.value}, at least "
                f"{fewest} are needed. {_advice(snapshot)}"
            )
            raise TrainingError(message)


def _what(policy: SnapshotPolicy) -> str:
    return "approved or initial" if policy.allows_initial else "approved"


def _advice(snapshot: Snapshot) -> str:
    counts = ", ".join(f"{part.value} {len(snapshot.patients(part))}" for part in Part)
    left_out = _listed(f"{one.case}: {one.reason}" for one in snapshot.left_out)
    more = f" Left out: {left_out}." if left_out else ""
    return f"Approve more cases (patients so far: {counts}).{more}"


def _listed(texts: Iterable[str], *, at_most: int = 5) -> str:
    all_of_them = list(texts)
    rest = len(all_of_them) - at_most
    shown = "; ".join(all_of_them[:at_most])
    return f"{shown}; and {rest} more" if rest > 0 else shown
