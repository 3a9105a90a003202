"""MONAI Label's scoring methods, thin over ``lib/active_learning`` and ``lib/review``.

The framework runs one in a process of its own (``POST /scoring/METHOD``), or in the server's with
``run_sync=true``. What is scored is kept at once: a run that is stopped goes on where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from monailabel.interfaces.tasks.scoring import ScoringMethod

from parotid_brachy.lib.active_learning.case_scoring import lasting, score_cases, shown_scores
from parotid_brachy.lib.active_learning.score_folder import CaseScore
from parotid_brachy.lib.active_learning.scorers import (
    APPEARANCE,
    EXPECTED_EDIT,
    MODEL_QUALITY,
    Scorer,
)
from parotid_brachy.lib.active_learning.summaries import (
    appearance_summary,
    edit_summary,
    quality_summary,
)
from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.review.consensus import agreement_table
from parotid_brachy.lib.review.hand_over_agreement import (
    compute_open_agreements,
    kept_effort,
)
from parotid_brachy.lib.review.records import HandOver
from parotid_brachy.lib.scoring.serving import ServingModels

logger = logging.getLogger(__name__)

AGREEMENT: Final = "agreement"

Summary = Callable[[Mapping[str, CaseScore]], dict[str, Any]]
SUMMARIES: Final[Mapping[str, Summary]] = {
    EXPECTED_EDIT: edit_summary,
    APPEARANCE: appearance_summary,
    MODEL_QUALITY: quality_summary,
}
"""What the kept scores of each method say together."""


class CaseScoring(ScoringMethod):
    """Scores the cases that have no current score.

    Args:
        method: its name.
        description: what clients are told of it.
        make: makes its scorer of the models that serve now.
        device: held while a case is scored.
    """

    def __init__(
        self,
        method: str,
        description: str,
        make: Callable[[], Scorer],
        device: AbstractContextManager[object],
    ) -> None:
        super().__init__(description)
        self._method = method
        self._make = make
        self._device = device

    def __call__(self, request: Mapping[str, Any], datastore: Studies) -> dict[str, Any]:
        """Scores; ``again: true`` in the request scores what has a current score too.

        Raises:
            NotFoundError: no model version serves.
            StoreFullError: a score could not be kept.
        """
        datastore.refresh()
        again = _is_again(request)
        scorer = self._make()
        done = score_cases(
            datastore.store,
            datastore.images,
            datastore.scores,
            scorer,
            device=self._device,
            again=again,
            on_case=self._tell,
        )
        kept = lasting(shown_scores(datastore.store, datastore.scores, self._method))
        return {
            "method": self._method,
            "models": scorer.made_by,
            "scored": done.scored,
            "current": done.current,
            "refused": done.refused,
            "trained_on": sorted(scorer.passed_over.intersection(datastore.list_images())),
            **SUMMARIES[self._method](kept),
        }

    def _tell(self, done: int, total: int) -> None:
        logger.info("%s: %d of %d cases", self._method, done, total)


class AgreementScoring(ScoringMethod):
    """Compares what readers handed over and nobody has compared yet."""

    def __init__(self) -> None:
        super().__init__("How drafts, initial and approved contours differ, and how readers do")

    def __call__(self, request: Mapping[str, Any], datastore: Studies) -> dict[str, Any]:
        """Computes open agreements; answers how many, and the readers' table."""
        del request
        datastore.refresh()
        failed: set[HandOver] = set()
        done, seen = 0, -1
        while done + len(failed) > seen:  # those that fail may be all of the first ones
            seen = done + len(failed)
            done += compute_open_agreements(datastore.store, datastore.images, failed=failed)
            logger.info("%s: %d hand-overs compared", AGREEMENT, done)
        pairs = datastore.consensus.pairs()
        return {
            "method": AGREEMENT,
            "scored": done,
            "refused": sorted({one.case for one in failed}),
            "hand_overs": kept_effort(datastore.store).to_json(),
            "consensus": [row.to_json() for row in agreement_table(pairs)],
        }


def scoring_methods(
    serving: ServingModels, device: AbstractContextManager[object]
) -> dict[str, ScoringMethod]:
    """The methods by name."""
    told: dict[str, tuple[str, Callable[[], Scorer]]] = {
        EXPECTED_EDIT: (
            "How much of each waiting case will have to be changed, by an ensemble",
            serving.expected_edit,
        ),
        APPEARANCE: ("What each case looks like to the second step", serving.appearance),
        MODEL_QUALITY: (
            "How near the serving models come to approved contours that they never saw",
            serving.model_quality,
        ),
    }
    return {
        AGREEMENT: AgreementScoring(),
        **{name: CaseScoring(name, text, make, device) for name, (text, make) in told.items()},
    }


def _is_again(request: Mapping[str, Any]) -> bool:
    again = request.get("again", False)
    if not isinstance(again, bool):
        message = f"again: {str(again)[:40]!r} is neither true nor false"
        raise UsageError(message)
    return again
