"""Agreement and effort under ``/review/``: hand-overs, readers, the consensus set."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from parotid_brachy.lib.review.consensus import agreement_table
from parotid_brachy.lib.review.hand_over_agreement import kept_effort
from parotid_brachy.lib.review.records import KeptAgreement
from parotid_brachy.lib.server.label_routes import studies
from parotid_brachy.lib.server.review_records import PageOf
from parotid_brachy.lib.server.review_routes import Limit, Offset
from parotid_brachy.lib.server.wire import checked_id


class HandOverRow(BaseModel):
    """Two versions of a case that were compared, structure by structure."""

    case: str
    kind: str
    before: int
    after: int
    structures: list[dict[str, Any]]

    @classmethod
    def of(cls, kept: KeptAgreement) -> HandOverRow:
        """What the store keeps."""
        hand_over = kept.hand_over
        return cls(
            case=hand_over.case,
            kind=hand_over.kind,
            before=hand_over.before,
            after=hand_over.after,
            structures=[dict(row) for row in kept.rows],
        )


class ConsensusAgreement(BaseModel):
    """What the readers discuss: each pair on each case, and the table over cases."""

    pairs: list[dict[str, Any]]
    table: list[dict[str, Any]]


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/review", tags=["Review"])
    routes.add_api_route("/cases/{case}/agreement", of_case, methods=["GET"])
    routes.add_api_route("/agreement", of_all, methods=["GET"])
    routes.add_api_route("/effort", readers_effort, methods=["GET"])
    routes.add_api_route("/consensus", consensus, methods=["GET"])
    return routes


def of_case(case: str, offset: Offset = 0, limit: Limit = 100) -> PageOf[HandOverRow]:
    """A case's hand-overs: DSC, HD95, added and removed ml, slices, seconds, per structure."""
    case = checked_id(case, what="case")
    store = studies()
    store.refresh()
    store.store.case(case)  # says so if there is none
    page = store.store.agreements(case, offset, limit)
    return PageOf[HandOverRow].of(page, HandOverRow.of)


def of_all(offset: Offset = 0, limit: Limit = 100) -> PageOf[HandOverRow]:
    """All hand-overs, by case."""
    page = studies().store.agreements(None, offset, limit)
    return PageOf[HandOverRow].of(page, HandOverRow.of)


def readers_effort(
    reader: Annotated[str | None, Query(max_length=64)] = None,
) -> dict[str, Any]:
    """What hand-overs changed and how long they took: per kind, structure and reader."""
    return kept_effort(studies().store, reader).to_json()


def consensus() -> ConsensusAgreement:
    """Pairwise agreement of all readers on the consensus set."""
    pairs = studies().consensus.pairs()
    return ConsensusAgreement(
        pairs=[pair.to_json() for pair in pairs],
        table=[row.to_json() for row in agreement_table(pairs)],
    )
