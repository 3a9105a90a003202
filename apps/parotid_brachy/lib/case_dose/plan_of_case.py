"""Which seed plan a case has, and where it comes from."""

from __future__ import annotations

import enum
import hashlib
import re
import threading
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from parotid_brachy.lib.anatomy import GLAND
from parotid_brachy.lib.case_dose.bounded_cache import BoundedCache
from parotid_brachy.lib.dicom.case_series import CaseSeries
from parotid_brachy.lib.dicom.dose.plan_reading import read_plan
from parotid_brachy.lib.dosimetry.plan import SeedPlan, require_near
from parotid_brachy.lib.dosimetry.planner import PlannerSettings, plan_implant
from parotid_brachy.lib.dosimetry.seed_model import PROTOCOL_MODEL, SeedModel, load_seed_model
from parotid_brachy.lib.dosimetry.seeds_file import read_seeds, seeds_csv
from parotid_brachy.lib.errors import ConflictError, InputRefusedError, ParotidBrachyError
from parotid_brachy.lib.imaging.file_hash import sha256_of
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.imaging.label_box import LabelBox
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.review.clinical_facts import facts_of
from parotid_brachy.lib.review.seed_plans import KeptSeedPlan
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.study_images import StudyImages

_PLANS: Final = "rtplan_*.dcm"
"""What the import calls RTPLANs that came with a case (``dicom.importing.conversion``)."""
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)+")
_ROUND_GLAND: Final = 16
"""Voxels of the CT round a gland that a plan is laid in; the planner looks at eight."""
_MADE_KEPT: Final = 100_000
"""Seeds of plans made lately, all together."""


class PlanOrigin(enum.Enum):
    """Where a plan comes from."""

    UPLOADED = "uploaded"
    IMPORTED = "imported with the case"
    MADE = "made for study purposes"


@dataclass(frozen=True)
class PlanOfCase:
    """A plan with what is known about it.

    Attributes:
        plan: its seeds.
        model: of the seeds.
        origin: where it comes from.
        sha256: of its table of seeds; of an imported one, of the RTPLAN.
        number: of an uploaded one.
        author: who uploaded it.
        created: when, in UTC.
        prescription_gy: for which one was made.
        version: in whose gland one was made.
        remarks: what was taken for granted, and why a plan that came with the case does not count.
    """

    plan: SeedPlan
    model: SeedModel
    origin: PlanOrigin
    sha256: str
    number: int | None = None
    author: str | None = None
    created: datetime | None = None
    prescription_gy: float | None = None
    version: int | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class GlandVersion:
    """A version in whose gland a plan can be made.

    Attributes:
        number: of the version.
        sha256: of its label map.
        labels: the map.
    """

    number: int
    sha256: str
    labels: LabelBox


class CasePlans:
    """The plans of one store's cases. Safe for threads.

    Args:
        store: with the plans that readers gave.
        images: the cases' CTs.
        series: with the plans that came along with them.
    """

    def __init__(self, store: VersionStore, images: StudyImages, series: CaseSeries) -> None:
        self._store = store
        self._images = images
        self._series = series
        self._planning = threading.Lock()
        self._made: BoundedCache[tuple[str, str, float], SeedPlan] = BoundedCache(
            lambda plan: len(plan.seeds), largest=_MADE_KEPT
        )

    def given(self, case: str) -> tuple[PlanOfCase | None, tuple[str, ...]]:
        """The plan that a reader gave last, or else the one that came with the case.

        Returns:
            The plan, None without one; and then why those that came with the case do not count.

        Raises:
            NotFoundError: no such case.
            ConflictError: several came with it, and nothing says which counts.
            StoreError: the plan that is kept is damaged.
        """
        kept = self._store.seed_plans(case)
        if kept:
            return self.kept(kept[-1]), ()
        return self._imported(case)

    def kept(self, one: KeptSeedPlan) -> PlanOfCase:
        """A plan that a reader gave.

        Raises:
            StoreError: it is damaged.
        """
        model = load_seed_model(one.plan.model)
        plan = read_seeds(self._store.path_of(one.plan.file), model)
        return PlanOfCase(
            replace(plan, name=one.case),
            model,
            PlanOrigin.UPLOADED,
            one.plan.file.sha256,
            number=one.number,
            author=one.author,
            created=one.created,
        )

    def made(
        self,
        case: str,
        glands: tuple[GlandVersion, ...],
        prescription: float,
        remarks: tuple[str, ...] = (),
    ) -> PlanOfCase:
        """A plan for study purposes in the first of these versions that has a gland.

        Args:
            case: its id.
            glands: versions in whose gland it may be.
            prescription: Gy, the D90 that it is made for.
            remarks: why plans that came with the case do not count.

        Raises:
            InputRefusedError: none has one, or no plan is possible in it.
            NotFoundError: there is no image.
        """
        chosen = next((one for one in glands if (one.labels.labels == GLAND.value).any()), None)
        if chosen is None:
            message = (
                f"{case}: it has no seed plan, and none can be made for study purposes, because "
                f"no {GLAND.title.lower()} is contoured. Contour it, or upload a plan "
                f"(PUT /review/cases/{case}/seed_plan)."
            )
            raise InputRefusedError(" ".join((message, *remarks)))
        key = (case, chosen.sha256, prescription)
        model = load_seed_model(PROTOCOL_MODEL)
        # It takes a processor for a second: one plans, the others wait for the same.
        with self._planning:
            plan = self._made.get(key, lambda: self._plan_in(case, chosen, model, prescription))
        return PlanOfCase(
            plan,
            model,
            PlanOrigin.MADE,
            hashlib.sha256(seeds_csv(plan)).hexdigest(),
            prescription_gy=prescription,
            version=chosen.number,
            remarks=remarks,
        )

    def _plan_in(
        self, case: str, gland: GlandVersion, model: SeedModel, prescription: float
    ) -> SeedPlan:
        volume = read_volume(self._images.path_of(case), case=case)
        box = gland.labels
        box.grid.require_same(volume.grid, what=f"{case}: version {gland.number}")
        start = tuple(max(0, a - _ROUND_GLAND) for a in box.start_kji)
        stop = tuple(
            min(n, b + _ROUND_GLAND)
            for n, b in zip(volume.grid.shape_kji, box.stop_kji, strict=True)
        )
        part = Volume(
            volume.grid.cropped(start[::-1], stop[::-1]),
            volume.voxels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))],
            case,
        )
        labels = box.within((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
        return plan_implant(part, labels, model, PlannerSettings(prescription_gy=prescription))

    def _imported(self, case: str) -> tuple[PlanOfCase | None, tuple[str, ...]]:
        """The one plan that came with the case, or the one that its side table names."""
        paths = [path for path in self._series.related_of(case) if path.match(_PLANS)]
        if not paths:
            return None, ()
        named = facts_of(self._store.case(case).image_info).seed_plan
        if _UID.fullmatch(named):
            paths = [path for path in paths if path.name == _file_named(named)]
            if not paths:
                return None, (f"the plan that is stated for it, {named}, did not come with it",)
        found, remarks = [], []
        for path in paths:
            try:
                plan = self._read_imported(case, path)
            except ParotidBrachyError as error:
                remarks.append(f"a plan that came with the case does not count: {error}")
                continue
            found.append(plan)
        if len(found) > 1:
            message = (
                f"{case}: {len(found)} seed plans came with it, and nothing says which counts. "
                f"Upload the one that does (PUT /review/cases/{case}/seed_plan)."
            )
            raise ConflictError(message)
        if not found:
            return None, tuple(remarks)
        return replace(found[0], remarks=(*found[0].remarks, *remarks)), ()

    def _read_imported(self, case: str, path: Path) -> PlanOfCase:
        remarks: tuple[str, ...] = ()
        try:
            plan = read_plan(path)
        except InputRefusedError:
            # De-identification takes the seeds' make out; the half-life must still fit.
            plan = read_plan(path, unnamed=load_seed_model(PROTOCOL_MODEL))
            remarks = (f"the plan does not name its seeds' model; calculated as {plan.model}",)
        plan = replace(plan, name=case)
        require_near(plan, self._images.grid_of(case), case)
        model = load_seed_model(plan.model)
        return PlanOfCase(plan, model, PlanOrigin.IMPORTED, sha256_of(path), remarks=remarks)


def _file_named(uid: str) -> str:
    """What the import calls the file of a plan with that UID."""
    return f"rtplan_{hashlib.sha256(uid.encode()).hexdigest()[:16]}.dcm"
