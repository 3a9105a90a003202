"""Seed plans of cases, and what a correction of contours changes in Gray, under ``/review/``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Query, Request, UploadFile
from fastapi.responses import FileResponse

from parotid_brachy.lib.case_dose.case_doses import versions_to_compare
from parotid_brachy.lib.case_dose.plan_intake import ENDINGS, require_plan_size
from parotid_brachy.lib.dosimetry.reach_cut import DoseCut
from parotid_brachy.lib.errors import NotFoundError
from parotid_brachy.lib.review.records import Page, Version
from parotid_brachy.lib.server.authentication import identity_of
from parotid_brachy.lib.server.dose_records import DoseRow, KeptPlanRow, PlanDetail
from parotid_brachy.lib.server.label_routes import studies
from parotid_brachy.lib.server.review_records import PageOf
from parotid_brachy.lib.server.review_routes import Limit, Offset, visible_versions
from parotid_brachy.lib.server.uploads import upload_ending
from parotid_brachy.lib.server.wire import checked_id

VersionNumber = Annotated[int | None, Query(ge=1, le=1_000_000_000)]
Prescription = Annotated[float | None, Query(ge=1.0, le=1000.0)]


def router() -> APIRouter:
    """The routes; each runs in a worker thread."""
    routes = APIRouter(prefix="/review/cases/{case}", tags=["Review"])
    routes.add_api_route("/dose", dose, methods=["GET"])
    routes.add_api_route("/seed_plan", seed_plan, methods=["GET"])
    routes.add_api_route("/seed_plan", give_seed_plan, methods=["PUT"])
    routes.add_api_route("/seed_plans", seed_plans, methods=["GET"])
    routes.add_api_route(
        "/seed_plans/{number}/file",
        seed_plan_file,
        methods=["GET"],
        response_class=FileResponse,
    )
    return routes


def dose(
    http: Request,
    case: str,
    before: VersionNumber = None,
    after: VersionNumber = None,
    prescription_gy: Prescription = None,
    cut: DoseCut = DoseCut.NONE,
) -> DoseRow:
    """Change of Dmean, D2cc and others per structure, from one version to another.

    Without ``after`` the newest contours of a reader count, or else the newest draft; without
    ``before`` what these were made from.
    """
    versions = _visible(http, case)
    older, newer = versions_to_compare(versions, before, after, case=case)
    found = studies().doses.compare(older, newer, prescription_gy=prescription_gy, cut=cut)
    return DoseRow.of(found)


def seed_plan(
    http: Request,
    case: str,
    version: VersionNumber = None,
    prescription_gy: Prescription = None,
) -> PlanDetail:
    """The plan that counts; without one, what is made for study purposes in a version's gland."""
    versions = _visible(http, case)
    chosen = [one for one in versions if version in (None, one.number)]
    if version is not None and not chosen:
        message = f"{case}: there is no version {version}"
        raise NotFoundError(message)
    return PlanDetail.of(studies().doses.plan_for(case, chosen, prescription_gy))


def give_seed_plan(
    http: Request,
    case: str,
    plan: Annotated[UploadFile, File()],
    seed_model: Annotated[str | None, Query(max_length=32)] = None,
) -> KeptPlanRow:
    """Keeps a table of seeds (.csv) or an RTPLAN (.dcm) as the plan that counts."""
    case = checked_id(case, what="case")
    ending = upload_ending(plan.filename, ENDINGS)
    require_plan_size(plan.size or 0, case)  # before it is read into memory
    store = studies()
    store.refresh()
    reader = identity_of(http).reader
    kept = store.doses.keep_plan(case, plan.file.read(), ending, reader, model_name=seed_model)
    return KeptPlanRow.of(kept)


def seed_plans(case: str, offset: Offset = 0, limit: Limit = 100) -> PageOf[KeptPlanRow]:
    """All plans that readers gave a case, the oldest first; the last one counts."""
    rows = studies().store.seed_plans(checked_id(case, what="case"))
    page = Page(rows[offset : offset + limit], len(rows), offset)
    return PageOf[KeptPlanRow].of(page, KeptPlanRow.of)


def seed_plan_file(case: str, number: int) -> FileResponse:
    """A plan's table of seeds, as it is kept."""
    case = checked_id(case, what="case")
    store = studies().store
    file = store.seed_plan(case, number).plan.file
    return FileResponse(
        store.path_of(file), media_type="text/csv", filename=f"{case}-seeds-{number}{file.ending}"
    )


def _visible(http: Request, case: str) -> list[Version]:
    case = checked_id(case, what="case")
    studies().refresh()
    return visible_versions(http, case)
