"""What a training costs those who draft meanwhile: so many inferences without one, and during one.

A real server with the given model versions, a phantom to draft, and the stock client's own code;
the training is one of painted heads, asked for by REST, with the preset that serves. What it makes
of the models does not matter: it is stopped at the end.

    scripts/measure/run inference_while_training --output DIR
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import SimpleITK as sitk
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException
from scripts.measure.benchmark import machine
from scripts.measure.networks import SHIPPED, load_networks
from scripts.measure.tables import markdown
from scripts.measure.training_studies import TrainingStudies, wait_until
from tqdm import tqdm

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.imaging.volume import to_image
from parotid_brachy.lib.phantom.draw import draw_phantom
from parotid_brachy.lib.retraining.job_folder import JobFolder
from parotid_brachy.lib.retraining.job_status import JobState, Phase

_CASE: Final = "phantom"
_SEED: Final = 910_000
_SPACING_MM: Final = (1.0, 1.0, 2.0)
_HOUR_S: Final = 3600.0
_HEADS: Final = 7
_AT_REST, _TRAINING = "no training", "during a training"


@dataclass(frozen=True)
class InferencePlan:
    """What is measured.

    Attributes:
        count: inferences, each time.
        task: of the training.
        spacing_mm: of the phantom that is drafted.
        iterations: of each epoch of the training.
    """

    count: int = 100
    task: str = "two_step"
    spacing_mm: tuple[float, float, float] = _SPACING_MM
    iterations: int = 5


@dataclass(frozen=True)
class Asked:
    """Inferences one after the other.

    Attributes:
        seconds: of each that was answered.
        failures: what was answered instead, in words.
        without_gland: answers in which no gland was found, so that the second step had no work.
    """

    seconds: tuple[float, ...]
    failures: tuple[str, ...]
    without_gland: int

    def summary(self) -> dict[str, Any]:
        """Median, 95th percentile and slowest, in seconds."""
        told = {"n": len(self.seconds) + len(self.failures), "failed": len(self.failures)}
        if len(self.seconds) > 1:
            told |= {
                "median_s": statistics.median(self.seconds),
                "p95_s": statistics.quantiles(self.seconds, n=20, method="inclusive")[-1],
                "slowest_s": max(self.seconds),
            }
        return {**told, "without_gland": self.without_gland}


def measure(plan: InferencePlan, models: Path, folder: Path) -> dict[str, Any]:
    """Runs both series.

    Args:
        plan: what is measured.
        models: registry; what is measured is a copy.
        folder: new; for studies, models and logs.

    Returns:
        Figures, as JSON values.

    Raises:
        RuntimeError: the server did not start, or the training did not begin or ended early.
    """
    folder.mkdir(parents=True)
    own = folder / "models"
    shutil.copytree(models, own)
    place = TrainingStudies.of(folder, own, heads=_HEADS)
    drawn = draw_phantom(_SEED, after_surgery=Side.LEFT, spacing_mm=plan.spacing_mm, compact=True)
    image = to_image(drawn.volume.voxels, drawn.volume.grid)
    sitk.WriteImage(image, str(place.studies / f"{_CASE}.nii.gz"))
    with place.cleared_up():
        place.server.start()
        place.server.wait_until_ready()
        client = MONAILabelClient(place.server.url, tmpdir=str(folder))
        ask(client, 2, "warming up")
        at_rest = ask(client, plan.count, _AT_REST)
        options = {"max_epochs": 100_000, "iterations": plan.iterations, "pretrained": False}
        job = place.train(plan.task, options)
        wait_until(lambda: _trains(job), within_s=_HOUR_S, what=f"training ({job.status.message})")
        before, began = job.status.epoch, time.monotonic()
        training = ask(client, plan.count, _TRAINING)
        status = job.status
        seconds = time.monotonic() - began
        if not _trains(job):
            message = f"the training ended meanwhile: {status.state.value} {status.message}"
            raise RuntimeError(message)
    rest, busy = at_rest.summary(), training.summary()
    return {
        "plan": asdict(plan),
        "machine": machine(),
        "models": load_networks(own).names,
        "volume": drawn.volume.grid.describe(),
        _AT_REST: rest,
        _TRAINING: busy,
        "ratio_of_medians": _ratio(busy, rest, "median_s"),
        "ratio_of_p95": _ratio(busy, rest, "p95_s"),
        "epochs_meanwhile": status.epoch - before,
        "iterations_a_second_meanwhile": (status.epoch - before) * plan.iterations / seconds,
        "failures_in_words": [*at_rest.failures, *training.failures],
        "seconds": {_AT_REST: at_rest.seconds, _TRAINING: training.seconds},
    }


def ask(client: MONAILabelClient, count: int, what: str) -> Asked:
    """Drafts the case so many times, and keeps no answer's file."""
    seconds, failures, without_gland = [], [], 0
    for _ in tqdm(range(count), desc=what, file=sys.stderr):
        began = time.perf_counter()
        try:
            file, told = client.infer("two_step", _CASE, {"result_extension": ".nrrd"})
        except (MONAILabelClientException, OSError) as error:
            failures.append(str(error)[:500])
            continue
        seconds.append(time.perf_counter() - began)
        without_gland += "parotid_gland" not in told["label_names"]
        Path(file).unlink()
    return Asked(tuple(seconds), tuple(failures), without_gland)


def table(found: Mapping[str, Any]) -> str:
    """Both series side by side."""
    rows = [{"inferences": name, **found[name]} for name in (_AT_REST, _TRAINING)]
    ratio = {"inferences": "ratio", "median_s": found["ratio_of_medians"]}
    rows.append({**ratio, "p95_s": found["ratio_of_p95"]})
    about = (
        f"{found['models']}; {found['volume']}; {found['machine']['cores']} cores, "
        f"{found['machine']['cuda'] or 'no GPU'}; the training took "
        f"{found['iterations_a_second_meanwhile']:.2f} iterations a second meanwhile.\n"
    )
    return f"{markdown(rows)}\n{about}"


def _trains(job: JobFolder) -> bool:
    """Whether it is past its first epoch.

    Raises:
        RuntimeError: it has ended.
    """
    status = job.status
    if not status.state.is_open:
        message = f"the training is {status.state.value}: {status.message}"
        raise RuntimeError(message)
    is_training = status.state is JobState.RUNNING and status.phase is Phase.TRAINING
    return is_training and status.epoch > 0


def _ratio(busy: Mapping[str, Any], rest: Mapping[str, Any], name: str) -> float | None:
    return busy[name] / rest[name] if name in busy and name in rest else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and writes ``inference_while_training.json`` and ``.md``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the report")
    parser.add_argument("--models", type=Path, default=SHIPPED, metavar="DIR", help="registry")
    parser.add_argument("--count", type=int, default=100, metavar="N", help="of each series")
    parser.add_argument("--task", default="two_step", help="that is trained")
    args = parser.parse_args(arguments)
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="inference-", dir=args.output.resolve()) as folder:
        plan = InferencePlan(count=args.count, task=args.task)
        found = measure(plan, args.models.resolve(), Path(folder) / "run")
    path = args.output / "inference_while_training.json"
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")
    path.with_suffix(".md").write_text(table(found), encoding="utf-8")
    print(table(found))
    if found["failures_in_words"]:
        sys.exit("Inferences have failed: see failures_in_words in the report.")


if __name__ == "__main__":
    main()
