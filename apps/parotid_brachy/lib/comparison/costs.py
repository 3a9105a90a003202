"""What a method cost: seconds and memory, read from what its networks left."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from parotid_brachy.lib.comparison.child import Peak
from parotid_brachy.lib.comparison.work import Labelled
from parotid_brachy.lib.segmentation.registry import ModelVersion, load_weights


@dataclass(frozen=True)
class Cost:
    """Of one method, all its networks together.

    Attributes:
        method: its name.
        device: what it ran on.
        parameters: weights of its networks.
        epochs: of each network.
        iterations_per_epoch: of each network.
        training_seconds: sum over its networks; interruptions are left out.
        training_resident_mib: the most main memory that a training took.
        training_gpu_mib: the most memory of the GPU; None without one.
        labelling_seconds: median over the test cases, from the volume in memory to the map; None
            where every case was refused.
        labelling_resident_mib: the most main memory while labelling.
        labelling_gpu_mib: the most memory of the GPU; None without one.
    """

    method: str
    device: str
    parameters: int
    epochs: int
    iterations_per_epoch: int
    training_seconds: float
    training_resident_mib: float
    training_gpu_mib: float | None
    labelling_seconds: float | None
    labelling_resident_mib: float
    labelling_gpu_mib: float | None


def cost_of(
    method: str,
    versions: Sequence[ModelVersion],
    training_peaks: Sequence[Peak],
    outcomes: Sequence[Labelled],
    labelling_peak: Peak,
) -> Cost:
    """Adds up a method's networks.

    Args:
        method: its name.
        versions: its networks.
        training_peaks: of each network's training.
        outcomes: of the test items; refused ones have no time.
        labelling_peak: of the process that labelled them.
    """
    trainings: list[dict[str, Any]] = [one.manifest["training"] for one in versions]
    gpu = [peak.gpu_mib for peak in training_peaks if peak.gpu_mib is not None]
    seconds = [one.seconds for one in outcomes if not one.refused]
    return Cost(
        method=method,
        device=labelling_peak.device,
        parameters=sum(
            tensor.numel() for one in versions for tensor in load_weights(one.folder).values()
        ),
        epochs=trainings[0]["epochs"],
        iterations_per_epoch=trainings[0]["iterations_per_epoch"],
        training_seconds=sum(one["seconds"] for one in trainings),
        training_resident_mib=max(peak.resident_mib for peak in training_peaks),
        training_gpu_mib=max(gpu) if gpu else None,
        labelling_seconds=statistics.median(seconds) if seconds else None,
        labelling_resident_mib=labelling_peak.resident_mib,
        labelling_gpu_mib=labelling_peak.gpu_mib,
    )


def costs_csv(costs: Sequence[Cost]) -> bytes:
    """A table with a line for each method; what is not known is empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Cost))
    for cost in costs:
        writer.writerow("" if value is None else value for value in asdict(cost).values())
    return text.getvalue().encode()
