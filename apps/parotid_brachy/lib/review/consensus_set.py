"""The consensus set of a store: every reader's newest contours, compared pair by pair."""

from __future__ import annotations

import threading

from parotid_brachy.lib.review.agreement import Contours
from parotid_brachy.lib.review.consensus import PairAgreement, pairwise
from parotid_brachy.lib.review.intake import labels_of
from parotid_brachy.lib.review.records import CaseFilter, Kind, Version
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.study_images import StudyImages


class ConsensusSet:
    """Compares readers on the cases that all of them contour. Safe for threads.

    Args:
        store: the version store.
        images: the cases' images.
    """

    def __init__(self, store: VersionStore, images: StudyImages) -> None:
        self._store = store
        self._images = images
        self._guard = threading.Lock()
        self._known: dict[str, tuple[tuple[int, ...], list[PairAgreement]]] = {}

    def pairs(self) -> list[PairAgreement]:
        """The agreement of every pair of readers on every case; computed once for each contour.

        Raises:
            InputRefusedError, GeometryError, StoreError: an image or label map is damaged.
        """
        cases = self._store.cases(CaseFilter(is_consensus=True)).items
        return [pair for case in cases for pair in self._pairs_of(case.id)]

    def newest(self, case: str) -> dict[str, Version]:
        """Each reader's newest contours of a case, by the reader's name."""
        return {
            version.author: version
            for version in self._store.versions(case)
            if version.kind is Kind.INITIAL and not version.is_withdrawn
        }

    def _pairs_of(self, case: str) -> list[PairAgreement]:
        newest = list(self.newest(case).values())
        numbers = tuple(sorted(version.number for version in newest))
        with self._guard:  # one computes, the others wait for the same
            known = self._known.get(case)
            if known is None or known[0] != numbers:
                known = (numbers, self._compared(case, newest))
                self._known[case] = known
            return known[1]

    def _compared(self, case: str, newest: list[Version]) -> list[PairAgreement]:
        if len(newest) < 2:
            return []
        grid = self._images.grid_of(case)
        readings = [
            Contours(
                labels_of(self._store.path_of(version.file), grid),
                tuple(version.volumes_ml),
                version.author,
            )
            for version in newest
        ]
        return pairwise(case, readings, grid)
