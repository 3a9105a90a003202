"""What the children of a comparison do: train a network, label the test cases."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parotid_brachy.lib.comparison.child import Report
from parotid_brachy.lib.comparison.references import TestItem
from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.imaging.files import read_volume, write_label_map
from parotid_brachy.lib.report.writing import write_report
from parotid_brachy.lib.segmentation.backends import best_backend, best_device
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.registry import read_version
from parotid_brachy.lib.segmentation.training import TrainingPlan, is_begun, train
from parotid_brachy.lib.segmentation.two_step import OneStep, TwoStep, TwoStepOptions

logger = logging.getLogger(__name__)

_NETWORKS_OF_TWO_STEPS: Final = 2


@dataclass(frozen=True)
class Sampled:
    """How many cases of a training set are sampled."""

    done: int
    total: int


def train_network(plan: TrainingPlan, report: Report) -> Path:
    """Trains, or goes on from the last checkpoint; reports ``Sampled`` and ``Progress``.

    Returns:
        The version's folder.

    Raises:
        TrainingError: no usable data.
    """
    return train(
        plan,
        resume=is_begun(plan.output),
        on_progress=report,
        on_case=lambda done, total: report(Sampled(done, total)),
    )


@dataclass(frozen=True)
class Labelled:
    """What became of one test item.

    Attributes:
        name: of the item.
        seconds: from the volume in memory to the map.
        refused: why there is no map; empty where there is one.
    """

    name: str
    seconds: float
    refused: str = ""


def label_items(
    versions: Sequence[Path], items: Sequence[TestItem], folder: Path, report: Report
) -> list[Labelled]:
    """Labels test items, each on its side; writes ``<name>.nii.gz`` and ``<name>.json``.

    Args:
        versions: folders of the gland's and the organs' models, or of the one-step model.
        items: what to label.
        folder: where the maps go.
        report: gets each item's outcome.

    Raises:
        ModelRefusedError: a version must not be loaded.
    """
    device = best_device()
    models = [Model(read_version(one), device, best_backend(device)) for one in versions]
    labeller = TwoStep(*models) if len(models) == _NETWORKS_OF_TWO_STEPS else OneStep(*models)
    outcomes = []
    for item in items:
        outcome = _label(labeller, item, folder)
        report(outcome)
        outcomes.append(outcome)
    return outcomes


def _label(labeller: TwoStep | OneStep, item: TestItem, folder: Path) -> Labelled:
    try:
        volume = read_volume(item.image, case=item.name)
        start = time.perf_counter()
        result = labeller.run(volume, TwoStepOptions(side=item.side))
        seconds = time.perf_counter() - start
    except ParotidBrachyError as error:
        # No map is a miss; the reason is kept beside the others' reports.
        logger.warning("%s", error)
        write_report(folder / f"{item.name}.json", {"status": "refused", "reason": str(error)})
        return Labelled(item.name, 0.0, str(error))
    write_label_map(folder / item.file_name, result.labels, result.grid)
    write_report(
        folder / f"{item.name}.json",
        {"status": "labelled", "labelling_seconds": seconds, **result.report.to_json()},
    )
    return Labelled(item.name, seconds)
