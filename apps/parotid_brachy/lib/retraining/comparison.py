"""Candidate and champion on the same validation patients: paired, structure by structure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from parotid_brachy.lib.anatomy import GLAND, Structure
from parotid_brachy.lib.errors import GeometryError, ParotidBrachyError, UsageError
from parotid_brachy.lib.evaluation.overlap import Mask, Score, dsc, hd95_mm
from parotid_brachy.lib.evaluation.resampling import bootstrap_interval
from parotid_brachy.lib.imaging.roi import cut_at_reach, within_reach
from parotid_brachy.lib.retraining.reference import Labels, ReferenceCase

Predict = Callable[[ReferenceCase], tuple[Labels, float]]
"""Labels a case: values 0-7 on the case's grid, and how many seconds it took."""


@dataclass(frozen=True)
class StructureScore:
    """How a model did on one structure of one case.

    Attributes:
        dsc: Dice similarity coefficient; 0 where one contour only is empty.
        hd95_mm: 95th percentile Hausdorff distance; faces that the cut at the seeds' reach made
            are not scored.
        is_missed: the reference has it and the model has nothing.
    """

    dsc: Score
    hd95_mm: Score
    is_missed: bool


@dataclass(frozen=True)
class PairedScore:
    """Both models on one structure of one case."""

    case: str
    patient: str
    structure: str
    champion: StructureScore
    candidate: StructureScore

    @property
    def is_newly_missed(self) -> bool:
        """Whether the candidate misses what the champion finds."""
        return self.candidate.is_missed and not self.champion.is_missed


@dataclass(frozen=True)
class PairedSeconds:
    """Seconds of both models for one case; None where a model failed on it."""

    case: str
    champion: float | None
    candidate: float | None


@dataclass(frozen=True)
class ComparisonRow:
    """One structure over the patients.

    Attributes:
        structure: its name.
        patients: that have it in their reference, or of whom either model says so; each counts
            once, with the mean of his or her cases.
        champion_dsc: mean; None where nobody has it.
        candidate_dsc: likewise.
        difference: mean of the patients' differences, candidate less champion.
        low: lower end of the difference's 95 % interval, by bootstrap over patients.
        high: upper end.
        champion_hd95_mm: mean over cases in which both models have a distance.
        candidate_hd95_mm: likewise.
        newly_missed: cases in which the candidate misses what the champion finds.
    """

    structure: str
    patients: int
    champion_dsc: float | None
    candidate_dsc: float | None
    difference: float | None
    low: float | None
    high: float | None
    champion_hd95_mm: float | None
    candidate_hd95_mm: float | None
    newly_missed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two versions on the same cases.

    Attributes:
        champion: name of the version that serves.
        candidate: name of the other.
        patients: how many were compared on.
        rows: by structure, in the project's order; one for each structure that was asked for.
        scores: what the rows are made of.
        seconds: by case.
        failures: of the candidate: why it could not label a case, by case.
        seed: of the bootstrap.
    """

    champion: str
    candidate: str
    patients: int
    rows: tuple[ComparisonRow, ...]
    scores: tuple[PairedScore, ...]
    seconds: tuple[PairedSeconds, ...]
    failures: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0

    @property
    def median_seconds(self) -> tuple[float, float] | None:
        """Champion's and candidate's, over the cases that both labelled; None: there are none.

        The median, because a first case takes longer than all others.
        """
        both = [
            (one.champion, one.candidate)
            for one in self.seconds
            if one.champion is not None and one.candidate is not None
        ]
        if not both:
            return None
        first, second = zip(*both, strict=True)
        return statistics.median(first), statistics.median(second)


@dataclass(frozen=True)
class Contender:
    """A model version that is compared.

    Attributes:
        name: of the version.
        predict: labels a case.
    """

    name: str
    predict: Predict


def compare(
    cases: Iterable[ReferenceCase],
    champion: Contender,
    candidate: Contender,
    *,
    structures: Sequence[Structure],
    seed: int = 0,
) -> Comparison:
    """Runs both models on every case and compares them.

    Both maps and the reference are cut at the seeds' reach from the reference's gland, so that a
    model is judged on the contours and not on where its own gland let it cut. Only what a
    reference is about is scored. A model that fails on a case has missed everything there.

    Args:
        cases: read one after the other; no case comes twice.
        champion: the model that serves.
        candidate: the other.
        structures: that the models label.
        seed: of the bootstrap.

    Raises:
        GeometryError: a model's map does not fit its case.
        UsageError: a case comes twice, or there is none.
    """
    scores: list[PairedScore] = []
    seconds: dict[str, PairedSeconds] = {}
    patients: set[str] = set()
    failures: dict[str, str] = {}
    for case in cases:
        if case.case in seconds:
            message = f"{case.case}: comes twice among the cases to compare on"
            raise UsageError(message)
        first, first_s, _ = _labelled(champion, case)
        second, second_s, failure = _labelled(candidate, case)
        seconds[case.case] = PairedSeconds(case.case, first_s, second_s)
        patients.add(case.patient)
        if failure:
            failures[case.case] = failure
        scores += _paired(case, first, second, structures)
    if not seconds:
        message = "no case to compare on; give at least one that is approved and has a gland"
        raise UsageError(message)
    rows = tuple(_row(structure.name, scores, seed) for structure in structures)
    return Comparison(
        champion.name,
        candidate.name,
        len(patients),
        rows,
        tuple(scores),
        tuple(seconds.values()),
        failures,
        seed,
    )


def _labelled(contender: Contender, case: ReferenceCase) -> tuple[Labels, float | None, str]:
    """A model's map, its seconds, and why it failed; empty where it did not."""
    try:
        labels, seconds = contender.predict(case)
    except ParotidBrachyError as error:
        return np.zeros(case.grid.shape_kji, np.uint8), None, str(error)
    if labels.shape != case.grid.shape_kji:
        message = (
            f"{case.case}: {contender.name} answered a map of shape {labels.shape} for an image "
            f"of shape {case.grid.shape_kji} (k, j, i)"
        )
        raise GeometryError(message)
    return labels, seconds, ""


def _paired(
    case: ReferenceCase, first: Labels, second: Labels, structures: Sequence[Structure]
) -> list[PairedScore]:
    gland = np.asarray(case.labels == GLAND.value)
    reach = within_reach(gland, case.grid)
    reference, *own = (
        cut_at_reach(labels, gland, case.grid) for labels in (case.labels, first, second)
    )
    found = []
    for structure in structures:
        if structure.name in case.contoured:
            known = None if structure is GLAND else reach
            wanted = np.asarray(reference == structure.value)
            both = [
                _score(np.asarray(labels == structure.value), wanted, case, known) for labels in own
            ]
            found.append(PairedScore(case.case, case.patient, structure.name, both[0], both[1]))
    return found


def _score(found: Mask, wanted: Mask, case: ReferenceCase, known: Mask | None) -> StructureScore:
    distance = hd95_mm(wanted, found, case.grid, known_a=known, known_b=known)
    return StructureScore(dsc(wanted, found), distance, bool(wanted.any() and not found.any()))


def _row(name: str, scores: Sequence[PairedScore], seed: int) -> ComparisonRow:
    own = [score for score in scores if score.structure == name]
    overlaps: dict[str, list[tuple[float, float]]] = {}
    distances: list[tuple[float, float]] = []
    for one in own:
        pair = (one.champion.dsc.value, one.candidate.dsc.value)
        if pair != (None, None):
            # Where a reference is empty on purpose, a model that says so has nothing wrong.
            values = tuple(1.0 if value is None else value for value in pair)
            overlaps.setdefault(one.patient, []).append((values[0], values[1]))
        near, far = one.champion.hd95_mm.value, one.candidate.hd95_mm.value
        if near is not None and far is not None:
            distances.append((near, far))
    champion_hd95, candidate_hd95 = _means(distances)
    if not overlaps:
        return ComparisonRow(name, 0, None, None, None, None, None, None, None)
    by_patient = np.array([np.mean(pairs, axis=0) for pairs in overlaps.values()])
    differences = by_patient[:, 1] - by_patient[:, 0]
    low, high = bootstrap_interval(differences, seed=seed)
    return ComparisonRow(
        structure=name,
        patients=len(overlaps),
        champion_dsc=float(by_patient[:, 0].mean()),
        candidate_dsc=float(by_patient[:, 1].mean()),
        difference=float(differences.mean()),
        low=low,
        high=high,
        champion_hd95_mm=champion_hd95,
        candidate_hd95_mm=candidate_hd95,
        newly_missed=tuple(one.case for one in own if one.is_newly_missed),
    )


def _means(pairs: Sequence[tuple[float, float]]) -> tuple[float | None, float | None]:
    if not pairs:
        return None, None
    first, second = zip(*pairs, strict=True)
    return statistics.fmean(first), statistics.fmean(second)
