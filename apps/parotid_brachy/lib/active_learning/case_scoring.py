"""Scores the cases of a store one by one, and keeps each score as soon as it is there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timezone

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.active_learning.score_folder import CaseScore, ScoreFolder
from parotid_brachy.lib.active_learning.scorers import SCORERS, CaseAtHand, Scorer
from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.errors import InputRefusedError, ParotidBrachyError, StoreFullError
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.imaging.gland_side import side_of_gland
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.review.clinical_facts import facts_of
from parotid_brachy.lib.review.intake import labels_of
from parotid_brachy.lib.review.records import CaseOverview, Kind, Version
from parotid_brachy.lib.review.states import CaseState
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.study_images import StudyImages

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scored:
    """What a run of scoring came to.

    Attributes:
        scored: cases that were scored now.
        current: cases whose score is still the right one.
        refused: why other cases have no score, by case.
    """

    scored: int
    current: int
    refused: dict[str, str]


def score_cases(
    store: VersionStore,
    images: StudyImages,
    scores: ScoreFolder,
    scorer: Scorer,
    *,
    device: AbstractContextManager[object],
    again: bool = False,
    on_case: Callable[[int, int], object] | None = None,
) -> Scored:
    """Scores every case that a scorer is for and that has no current score.

    Ended in the middle, it goes on where it was: what is scored is kept. A score is current while
    models, contours, image and recorded side are those that it was found out with. Each case is
    looked at when its turn comes, since a run takes hours: what readers have saved meanwhile
    counts, and what another run has scored is not scored again.

    Args:
        store: of the cases; consensus cases are left alone.
        images: of the same folder.
        scores: where scores are kept.
        scorer: what is to be found out.
        device: held while a case is scored, one case at a time.
        again: cases with a current score too.
        on_case: called with (cases done, cases).

    Raises:
        StoreFullError: a score could not be kept.
    """
    cases = [one.case.id for one in store.overview() if _is_for(scorer, one)]
    scored, current, refused = 0, 0, {}
    for number, case in enumerate(cases):
        one = next((now for now in store.overview(case) if _is_for(scorer, now)), None)
        version = None if one is None else contours_of(store, one)
        if one is not None and (version is not None or not scorer.needs_contours):
            try:
                score = _score_to_be(images, scorer, one, version)
                kept = None if again else scores.find(scorer.method, case)
                if kept is not None and _is_current(kept, score):
                    current += 1
                else:
                    at_hand = _at_hand(store, images, one, version)
                    with device:
                        values = scorer.score(at_hand)
                    at = datetime.now(timezone.utc)
                    scores.keep(scorer.method, replace(score, at=at, values=values))
                    scored += 1
            except StoreFullError:
                raise
            except (ParotidBrachyError, OSError) as error:
                logger.warning("%s: no %s score: %s", case, scorer.method, error)
                refused[case] = str(error)
            except Exception as error:
                # A fault of ours in one case must not cost the others.
                logger.exception("%s: no %s score", case, scorer.method)
                refused[case] = f"{type(error).__name__}: {error}"
        if on_case is not None:
            on_case(number + 1, len(cases))
    return Scored(scored, current, refused)


@dataclass(frozen=True)
class ShownScore:
    """A score, and whether it still says something of its case.

    Attributes:
        score: as it is kept.
        is_outdated: the case has other contours by now, or is in no state that the method is for.
    """

    score: CaseScore
    is_outdated: bool


def shown_scores(store: VersionStore, scores: ScoreFolder, method: str) -> dict[str, ShownScore]:
    """What a method found out about the cases that are there, by case.

    Of consensus cases nothing is shown: readers are not to learn of each other's contours.
    """
    scorer = SCORERS[method]
    present = {one.case.id: one for one in store.overview() if not one.case.is_consensus}
    shown = {}
    for case, score in scores.all_of(method).items():
        one = present.get(case)
        if one is not None:
            has_changed = scorer.is_about_contours and score.version != _number_of_contours(one)
            is_outdated = has_changed or one.case.state not in scorer.states
            shown[case] = ShownScore(score, is_outdated)
    return shown


def lasting(shown: Mapping[str, ShownScore]) -> dict[str, CaseScore]:
    """The scores that still say something of their cases."""
    return {case: one.score for case, one in shown.items() if not one.is_outdated}


def contours_of(store: VersionStore, one: CaseOverview) -> Version | None:
    """The version that a case's next reader begins with: the approved one, else the newest."""
    if one.case.state is CaseState.APPROVED and one.case.approved_version is not None:
        return store.version(one.case.id, one.case.approved_version)
    return newest_contours(one)


def _number_of_contours(one: CaseOverview) -> int | None:
    """The number of :func:`contours_of`."""
    if one.case.state is CaseState.APPROVED and one.case.approved_version is not None:
        return one.case.approved_version
    newest = newest_contours(one)
    return None if newest is None else newest.number


def newest_contours(one: CaseOverview) -> Version | None:
    """The newest version that clients see, a reader's before any draft; None: there is none.

    A draft that somebody infers of a case that is submitted takes nothing's place.
    """
    return max(
        one.versions.values(),
        key=lambda version: (version.kind is not Kind.DRAFT, version.number),
        default=None,
    )


def _is_for(scorer: Scorer, one: CaseOverview) -> bool:
    return (
        one.case.is_present
        and one.case.state in scorer.states
        and not one.case.is_consensus
        and one.case.id not in scorer.passed_over
    )


def _score_to_be(
    images: StudyImages, scorer: Scorer, one: CaseOverview, version: Version | None
) -> CaseScore:
    """A score without values yet: what it will be known to have been found out from."""
    about = version.number if version is not None and scorer.is_about_contours else None
    side = facts_of(one.case.image_info).side
    return CaseScore(
        one.case.id,
        scorer.made_by,
        about,
        datetime.now(timezone.utc),
        {},
        _stamp(images, one.case.id),
        None if side is None else side.value,
    )


def _is_current(kept: CaseScore, wanted: CaseScore) -> bool:
    if (kept.made_by, kept.version, kept.side) != (wanted.made_by, wanted.version, wanted.side):
        return False
    # An archive's image that has not been fetched again is the one that it was.
    return wanted.image in (None, kept.image)


def _stamp(images: StudyImages, case: str) -> str | None:
    """What an image's file is known by without reading it; None: it is not there (yet)."""
    try:
        status = images.place_of(case).stat()
    except FileNotFoundError:
        return None
    return f"{status.st_size} {status.st_mtime_ns}"


def _at_hand(
    store: VersionStore, images: StudyImages, one: CaseOverview, version: Version | None
) -> CaseAtHand:
    volume = read_volume(images.path_of(one.case.id), case=one.case.id)
    side = facts_of(one.case.image_info).side
    if version is None:
        return CaseAtHand(volume, None, (), side)
    labels = labels_of(store.path_of(version.file), volume.grid)
    if side is None:
        side = _side_or_none(labels, volume)
    return CaseAtHand(volume, labels, tuple(version.volumes_ml), side)


def _side_or_none(labels: NDArray[np.uint8], volume: Volume) -> Side | None:
    try:
        return side_of_gland(labels, volume)
    except InputRefusedError:  # no gland yet, or none that tells: the models propose a side
        return None
