"""What scoring found out, under ``/review/scores``: case by case, and all cases together."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from parotid_brachy.lib.active_learning.case_scoring import ShownScore, lasting, shown_scores
from parotid_brachy.lib.active_learning.scorers import APPEARANCE
from parotid_brachy.lib.errors import NotFoundError
from parotid_brachy.lib.scoring.methods import SUMMARIES
from parotid_brachy.lib.server.label_routes import studies


class ScoreRow(BaseModel):
    """What is known of a case; a vector that only programs read is left out."""

    case: str
    made_by: str
    version: int | None
    at: datetime
    is_outdated: bool = Field(
        description="the case has other contours by now, or is in no state that the method is for; "
        "it is not in the summary"
    )
    values: dict[str, Any]

    @classmethod
    def of(cls, shown: ShownScore, method: str) -> ScoreRow:
        """What the folder of scores keeps."""
        score = shown.score
        values = {} if method == APPEARANCE else dict(score.values)
        return cls(
            case=score.case,
            made_by=score.made_by,
            version=score.version,
            at=score.at,
            is_outdated=shown.is_outdated,
            values=values,
        )


class Scores(BaseModel):
    """A method's scores by case, and their summary."""

    method: str
    summary: dict[str, Any]
    cases: list[ScoreRow]


def router() -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/review", tags=["Scoring"])
    routes.add_api_route("/scores/{method}", scores, methods=["GET"])
    return routes


def scores(method: str) -> Scores:
    """What ``POST /scoring/{method}`` found out so far; it starts nothing."""
    summary = SUMMARIES.get(method)
    if summary is None:
        message = f"no scores of {method[:60]!r}; there are: {', '.join(SUMMARIES)}"
        raise NotFoundError(message)
    store = studies()
    store.refresh()
    kept = shown_scores(store.store, store.scores, method)
    rows = [ScoreRow.of(one, method) for one in kept.values()]
    return Scores(method=method, summary=summary(lasting(kept)), cases=rows)
