"""The glands that step 1 finds in patients whom it has not been trained on.

Step 2 is to learn from what step 1 really gives at an inference, and that is a gland found in a
patient who is new to it. So each patient's gland is found by a version that has never seen him or
her: the newest that has served. Where every one has seen the patient, networks are trained for
the purpose, each without a share of these patients (cross-validation).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import GLAND
from parotid_brachy.lib.errors import InputRefusedError, ModelRefusedError
from parotid_brachy.lib.evaluation.overlap import dsc
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.imaging.files import read_label_map, read_volume, write_label_map
from parotid_brachy.lib.retraining.reference import ReferenceCase
from parotid_brachy.lib.retraining.snapshot import SnapshotCase
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import (
    ModelVersion,
    Registry,
    read_version,
    seen_cases,
)
from parotid_brachy.lib.segmentation.training_cases import TrainingCase, find_cases
from parotid_brachy.lib.segmentation.training_regions import FOUND_ENDING
from parotid_brachy.lib.segmentation.two_step import GlandOnly, TwoStepOptions

logger = logging.getLogger(__name__)

SOURCES: Final = "sources.json"


@dataclass(frozen=True)
class Fold:
    """A network that is trained to find the glands of some patients.

    Attributes:
        number: of the fold, from 0.
        shares: of all cases, whose glands are found before it is trained and after its search.
        without: the cases that it is not trained on.
        start_from: the version that it is trained from, which has not seen them either.
    """

    number: int
    shares: tuple[float, float]
    without: tuple[str, ...]
    start_from: ModelVersion | None


@dataclass(frozen=True)
class Finder:
    """What finds glands.

    Attributes:
        registry: of the versions.
        load: makes a version ready to predict.
        train_fold: trains a step-1 network without some cases and returns its folder.
        folds: into how many the patients are divided whom every version has seen.
    """

    registry: Registry
    load: Callable[[ModelVersion], Model]
    train_fold: Callable[[Fold], Path]
    folds: int


def find_glands(
    cases: Sequence[SnapshotCase],
    images: Path,
    labels: Path,
    output: Path,
    finder: Finder,
    *,
    on_case: Callable[[int, int], None],
) -> dict[str, dict[str, Any]]:
    """Finds each case's gland by a version that has not seen its patient.

    What was found before is not searched again, so that this can be continued.

    Args:
        cases: of the training set that step 2 is trained on.
        images: folder of the CTs.
        labels: folder of the readers' maps.
        output: folder of the masks, ``<case>.nrrd``, and of ``sources.json``.
        finder: what finds them.
        on_case: told (cases done, cases).

    Returns:
        By case: ``version`` (or ``fold N``), and ``dsc`` with the reader's gland, 0 where none
        was found.

    Raises:
        TrainingError: a fold cannot be trained.
    """
    output.mkdir(parents=True, exist_ok=True)
    sources: dict[str, dict[str, Any]] = _read_sources(output / SOURCES)
    files = {one.case: one for one in find_cases(images, labels)}
    todo = [one for one in cases if one.case not in sources]
    done = len(cases) - len(todo)

    def search(who: str, version: ModelVersion, own: Iterable[SnapshotCase]) -> None:
        nonlocal done
        model = finder.load(version)
        for one in own:
            on_case(done, len(cases))
            overlap = _find(files[one.case], one, model, output)
            sources[one.case] = {"version": who, "dsc": overlap}
            write_atomically(output / SOURCES, json.dumps(sources, indent=1).encode())
            done += 1

    versions = _served(finder.registry)
    by_version: dict[str, list[SnapshotCase]] = {}
    of_patient = _cases_of_patients(cases)

    def _is_seen_by_all(one: SnapshotCase) -> bool:
        return _newest_unaware(versions, of_patient[one.patient]) is None

    for one in todo:
        version = _newest_unaware(versions, of_patient[one.patient])
        if version is not None:
            by_version.setdefault(version.name, []).append(one)
    for version in versions:
        if version.name in by_version:
            search(version.name, version, by_version[version.name])
    # By all cases, so that a fold that was trained before the end came is a fold of the same ones.
    folds = folds_of([one for one in cases if _is_seen_by_all(one)], finder.folds)
    for number, members in enumerate(folds):
        own = [one for one in members if one.case not in sources]
        if not own:
            continue
        names = {name for one in members for name in of_patient[one.patient]}
        start_from = _newest_unaware(versions, names)
        shares = done / len(cases), (done + len(own)) / len(cases)
        fold = Fold(number, shares, tuple(sorted(names)), start_from)
        folder = finder.train_fold(fold)
        search(f"fold {number}", read_version(folder), own)
    on_case(len(cases), len(cases))
    return sources


def folds_of(cases: Sequence[SnapshotCase], folds: int) -> list[list[SnapshotCase]]:
    """Divides cases by patient, as evenly as can be; fewer folds where there are fewer patients.

    A single patient is a fold as well: his or her network learns from those whom versions know.
    """
    patients = sorted({one.patient for one in cases})
    count = min(folds, len(patients))
    return [
        [one for one in cases if patients.index(one.patient) % count == number]
        for number in range(count)
    ]


def _served(registry: Registry) -> list[ModelVersion]:
    """Whole step-1 versions that serve or have served, the champion first, then the newest."""
    served = registry.ever_served(Step.GLAND)
    champion = registry.champion_name(Step.GLAND)
    found = []
    for version in reversed(registry.versions(Step.GLAND)):
        if version.name in served:
            try:
                registry.verify(version)
            except ModelRefusedError as error:
                logger.warning("%s", error)
            else:
                found.append(version)
    return sorted(found, key=lambda version: version.name != champion)


def _newest_unaware(versions: Sequence[ModelVersion], cases: set[str]) -> ModelVersion | None:
    return next((one for one in versions if not seen_cases(one) & cases), None)


def _cases_of_patients(cases: Sequence[SnapshotCase]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in cases:
        found.setdefault(one.patient, set()).add(one.case)
    return found


def _find(files: TrainingCase, one: SnapshotCase, model: Model, output: Path) -> float:
    """Writes the mask of what is found; returns its DSC with the reader's gland."""
    volume = read_volume(files.image, case=one.case)
    labels = read_label_map(files.labels, volume.grid)
    try:
        case = ReferenceCase.of(volume, labels, contoured=one.contoured, side=one.side)
        found = GlandOnly(model).run(volume, TwoStepOptions(side=case.side)).labels
    except InputRefusedError as error:
        logger.warning("%s: no gland was searched: %s", one.case, error)
        return 0.0
    mask: NDArray[np.bool_] = np.asarray(found == GLAND.value)
    path = output / f"{one.case}{FOUND_ENDING}"
    write_label_map(path, np.where(mask, np.uint8(GLAND.value), np.uint8(0)), volume.grid)
    return round(dsc(case.gland, mask).value or 0.0, 4)


def _read_sources(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
