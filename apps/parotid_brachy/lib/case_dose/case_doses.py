"""Doses of two versions of a case under its seed plan: whether a correction matters, in Gray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from parotid_brachy.lib.case_dose.bounded_cache import BoundedCache
from parotid_brachy.lib.case_dose.plan_intake import KEPT_ENDING, take_in_plan
from parotid_brachy.lib.case_dose.plan_of_case import CasePlans, GlandVersion, PlanOfCase
from parotid_brachy.lib.dicom.case_series import CaseSeries
from parotid_brachy.lib.dosimetry.contour_change import StructureChange, contour_changes
from parotid_brachy.lib.dosimetry.dvh import require_prescription
from parotid_brachy.lib.dosimetry.planner import PlannerSettings
from parotid_brachy.lib.dosimetry.reach_cut import DoseCut
from parotid_brachy.lib.errors import NotAllowedError, NotFoundError, UsageError
from parotid_brachy.lib.imaging.label_box import LabelBox
from parotid_brachy.lib.review.intake import labels_of
from parotid_brachy.lib.review.records import Kind, Version
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.seed_plans import KeptSeedPlan, NewSeedPlan
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.study_images import StudyImages

_KEPT_BYTES: Final = 256 * 1024**2
"""Of label maps read lately; one within the seeds' reach has some two megabytes."""


@dataclass(frozen=True)
class DoseComparison:
    """Two versions of a case under one plan.

    Attributes:
        case: its id.
        before: number of the older version.
        after: number of the newer version.
        plan: the seed plan.
        prescription_gy: for V100; None where nobody stated one.
        cut: where organs at risk end.
        structures: a line for each structure that either version has.
    """

    case: str
    before: int
    after: int
    plan: PlanOfCase
    prescription_gy: float | None
    cut: DoseCut
    structures: tuple[StructureChange, ...]


class CaseDoses:
    """Seed plans and doses of one store's cases. Safe for threads.

    Args:
        store: the version store.
        images: the cases' CTs.
        series: DICOM objects that came with them.
    """

    def __init__(self, store: VersionStore, images: StudyImages, series: CaseSeries) -> None:
        self._store = store
        self._images = images
        self.plans = CasePlans(store, images, series)
        self._maps: BoundedCache[tuple[str, str], LabelBox] = BoundedCache(
            lambda box: box.labels.nbytes, largest=_KEPT_BYTES
        )

    def keep_plan(
        self,
        case: str,
        content: bytes,
        ending: str,
        reader: Reader,
        *,
        model_name: str | None = None,
    ) -> KeptSeedPlan:
        """Checks a plan and keeps it as the one that counts for a case; those before stay.

        Args:
            case: its id.
            content: a table of seeds or an RTPLAN.
            ending: ``.csv`` or ``.dcm``.
            reader: who gives it; a senior.
            model_name: of the seeds, where the plan does not say.

        Raises:
            NotAllowedError: plans are seniors' to give.
            NotFoundError: no such case.
            UsageError, TooLargeError, InputRefusedError, GeometryError: see
                :func:`.plan_intake.take_in_plan`; nothing is kept.
            StoreFullError: nothing could be kept.
        """
        if not reader.may(Role.REVIEWER):
            message = f"{case}: seed plans are given by seniors; {reader.name} is none"
            raise NotAllowedError(message)
        self._store.case(case)  # says so if there is none
        grid = self._images.grid_of(case)
        intake = take_in_plan(content, ending, case=case, grid=grid, model_name=model_name)
        with self._store.writing() as writing:
            file = writing.put(intake.content, KEPT_ENDING)
            plan = NewSeedPlan(
                file,
                intake.received_as,
                intake.received_sha256,
                intake.plan.model,
                len(intake.plan.seeds),
            )
            with writing.change(reader) as change:
                return change.add_seed_plan(case, plan)

    def plan_for(
        self, case: str, versions: Sequence[Version], prescription_gy: float | None = None
    ) -> PlanOfCase:
        """The plan that counts for a case; without one, one for study purposes.

        Args:
            case: its id.
            versions: in whose glands one may be made, the first with a gland counts.
            prescription_gy: for which; None: the planner's choice.

        Raises:
            NotFoundError, ConflictError, StoreError: see :meth:`.CasePlans.given`.
            InputRefusedError: see :meth:`.CasePlans.made`.
        """
        require_prescription(prescription_gy)
        given, remarks = self.plans.given(case)
        if given is not None:
            return given
        glands = tuple(
            GlandVersion(one.number, one.file.sha256, self._labels(one)) for one in versions
        )
        prescription = prescription_gy or PlannerSettings().prescription_gy
        return self.plans.made(case, glands, prescription, remarks)

    def compare(
        self,
        before: Version,
        after: Version,
        *,
        prescription_gy: float | None = None,
        cut: DoseCut = DoseCut.NONE,
    ) -> DoseComparison:
        """Compares two versions of a case, structure by structure.

        Args:
            before: the older one; a plan for study purposes is made in its gland.
            after: the newer one.
            prescription_gy: for V100, and for a plan that is made; None: a made plan's own.
            cut: where organs at risk end.

        Raises:
            UsageError: they are of two cases, or one and the same.
            NotFoundError, ConflictError, StoreError, InputRefusedError: no plan, see
                :meth:`plan_for`; or image or label map are damaged.
        """
        case = before.case
        if case != after.case or before.number == after.number:
            message = f"{case}: name two versions of it; before and after are {before.number}"
            raise UsageError(message)
        plan = self.plan_for(case, (before, after), prescription_gy)
        prescription = prescription_gy or plan.prescription_gy
        changes = contour_changes(
            plan.plan,
            plan.model,
            self._labels(before),
            self._labels(after),
            case=case,
            prescription_gy=prescription,
            cut=cut,
        )
        return DoseComparison(case, before.number, after.number, plan, prescription, cut, changes)

    def _labels(self, version: Version) -> LabelBox:
        def read() -> LabelBox:
            grid = self._images.grid_of(version.case)
            return LabelBox.of(labels_of(self._store.path_of(version.file), grid), grid)

        return self._maps.get((version.case, version.file.sha256), read)


def versions_to_compare(
    versions: Sequence[Version], before: int | None, after: int | None, *, case: str
) -> tuple[Version, Version]:
    """The two versions that are meant.

    Args:
        versions: of a case that may be seen, by number.
        before: the older one's number; None: what the newer one was made from, or else the
            version before it.
        after: the newer one's number; None: the newest contours of a reader, or else the newest
            draft.
        case: for messages.

    Raises:
        NotFoundError: no such version, or nothing to compare with.
    """
    by_number = {one.number: one for one in versions}
    for number in (before, after):
        if number is not None and number not in by_number:
            message = f"{case}: there is no version {number}"
            raise NotFoundError(message)
    newest = sorted(
        (one for one in versions if not one.is_withdrawn and one.number != before),
        key=lambda one: (one.kind is not Kind.DRAFT, one.number),
    )
    newer = by_number[after] if after is not None else (newest[-1] if newest else None)
    if newer is not None and before is not None:
        return by_number[before], newer
    if newer is not None:
        parent = by_number.get(newer.parent or 0)
        older = [one for one in versions if one.number < newer.number and not one.is_withdrawn]
        chosen = parent or (older[-1] if older else None)
        if chosen is not None:
            return chosen, newer
    message = f"{case}: there are no two versions to compare. Save contours, or name both."
    raise NotFoundError(message)
