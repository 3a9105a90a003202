"""Doses and seed plans as REST has them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from parotid_brachy.lib.case_dose.case_doses import DoseComparison
from parotid_brachy.lib.case_dose.plan_of_case import PlanOfCase, PlanOrigin
from parotid_brachy.lib.dosimetry.contour_change import StructureChange, StructureDose
from parotid_brachy.lib.dosimetry.planner import plan_summary
from parotid_brachy.lib.dosimetry.reach_cut import DoseCut
from parotid_brachy.lib.imaging.volume import Vector
from parotid_brachy.lib.review.seed_plans import KeptSeedPlan


class PlanSummary(BaseModel):
    """Under which plan doses were calculated."""

    origin: PlanOrigin
    summary: str = Field(description="number and activity of the seeds")
    seeds: int
    total_strength_u: float = Field(description="air-kerma strength of all seeds, U")
    seed_model: str
    half_life_days: float
    sha256: str = Field(description="of the table of seeds; of an imported plan, of the RTPLAN")
    number: int | None = Field(description="of an uploaded plan, within the case")
    author: str | None
    created: datetime | None
    made_in_version: int | None = Field(description="in whose gland it was made here")
    made_for_gy: float | None = Field(description="the D90 that it was made for")
    remarks: list[str] = Field(description="what was taken for granted")

    @classmethod
    def of(cls, found: PlanOfCase) -> PlanSummary:
        """A plan of the core."""
        return cls(**_summary(found))


class SeedRow(BaseModel):
    """A seed; LPS millimetres, U."""

    position_lps_mm: Vector
    air_kerma_strength_u: float
    direction_lps: Vector | None = Field(description="null: unknown, the 1D formalism")


class PlanDetail(PlanSummary):
    """A plan with its seeds."""

    positions: list[SeedRow]

    @classmethod
    def of(cls, found: PlanOfCase) -> PlanDetail:
        """A plan of the core."""
        rows = [
            SeedRow(
                position_lps_mm=one.position_lps_mm,
                air_kerma_strength_u=one.air_kerma_strength_u,
                direction_lps=one.direction_lps,
            )
            for one in found.plan.seeds
        ]
        return cls(**_summary(found), positions=rows)


class KeptPlanRow(BaseModel):
    """A plan that a reader gave."""

    case: str
    number: int
    author: str
    created: datetime
    seeds: int
    seed_model: str
    sha256: str = Field(description="of the table of seeds that is kept")
    received_as: str
    received_sha256: str = Field(description="of the file that was sent")

    @classmethod
    def of(cls, kept: KeptSeedPlan) -> KeptPlanRow:
        """A plan of the store."""
        return cls(
            case=kept.case,
            number=kept.number,
            author=kept.author,
            created=kept.created,
            seeds=kept.plan.seeds,
            seed_model=kept.plan.model,
            sha256=kept.plan.file.sha256,
            received_as=kept.plan.received_as,
            received_sha256=kept.plan.received_sha256,
        )


class StructureDoseRow(BaseModel):
    """A structure's dose in one version; every value null where the version lacks it."""

    model_config = ConfigDict(extra="forbid")

    dmean_gy: float | None
    dmin_gy: float | None
    dmax_gy: float | None
    d0_1cc_gy: float | None = Field(description="null where it is smaller; likewise below")
    d1cc_gy: float | None
    d2cc_gy: float | None
    d90_gy: float | None
    v100_percent: float | None = Field(description="null without a prescription")
    volume_ml: float | None
    covered_fraction: float | None = Field(description="of its voxels, those that have a dose")
    is_partial: bool = Field(description="the CT ends in it: its dose is of a part")

    @classmethod
    def of(cls, one: StructureDose) -> StructureDoseRow:
        """A structure's dose in the core."""
        return cls(**one.score.values(), is_partial=one.is_at_image_edge)


class StructureChangeRow(BaseModel):
    """A structure in both versions, and the newer less the older one."""

    structure: str
    before: StructureDoseRow
    after: StructureDoseRow
    change: dict[str, float | None]
    is_in_one_only: bool

    @classmethod
    def of(cls, one: StructureChange) -> StructureChangeRow:
        """A structure's change in the core."""
        return cls(
            structure=one.structure.name,
            before=StructureDoseRow.of(one.before),
            after=StructureDoseRow.of(one.after),
            change=one.change(),
            is_in_one_only=one.is_in_one_only,
        )


class DoseRow(BaseModel):
    """What the change from one version to another means in Gray. Research use only."""

    case: str
    before: int
    after: int
    cut: DoseCut
    prescription_gy: float | None
    plan: PlanSummary
    structures: list[StructureChangeRow]

    @classmethod
    def of(cls, found: DoseComparison) -> DoseRow:
        """A comparison of the core."""
        return cls(
            case=found.case,
            before=found.before,
            after=found.after,
            cut=found.cut,
            prescription_gy=found.prescription_gy,
            plan=PlanSummary.of(found.plan),
            structures=[StructureChangeRow.of(one) for one in found.structures],
        )


def _summary(found: PlanOfCase) -> dict[str, Any]:
    return {
        "origin": found.origin,
        "summary": plan_summary(found.plan, found.model),
        "seeds": len(found.plan.seeds),
        "total_strength_u": found.plan.total_strength_u,
        "seed_model": found.model.key,
        "half_life_days": found.model.half_life_days,
        "sha256": found.sha256,
        "number": found.number,
        "author": found.author,
        "created": found.created,
        "made_in_version": found.version,
        "made_for_gy": found.prescription_gy,
        "remarks": list(found.remarks),
    }
