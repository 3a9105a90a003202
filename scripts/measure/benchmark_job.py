"""One job of the benchmark, in a process of its own, so that its peak of memory is its own."""

from __future__ import annotations

import contextlib
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scripts.measure.benchmark_head import OPERATED, Head, KnownGland
from scripts.measure.networks import Networks, load_champion

from parotid_brachy.lib.anatomy import STRUCTURES, Side
from parotid_brachy.lib.evaluation.overlap import dsc
from parotid_brachy.lib.imaging.half_head import find_midplane, half_head_box
from parotid_brachy.lib.imaging.roi import Box, canonical_grid
from parotid_brachy.lib.imaging.sampling import sample_ct
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.segmentation.backends import Backend
from parotid_brachy.lib.segmentation.findings import PreLabel
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.organs import label_box
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.stopwatch import Stopwatch
from parotid_brachy.lib.segmentation.two_step import OneStep, TwoStepOptions


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Runs a job.

    Args:
        job: ``kind``, folder of the ``head``, ``registries`` by step, ``side``, ``repeat``,
            ``known_gland``.

    Returns:
        Seconds, stages and memory, JSON-ready.
    """
    head = Head.load(Path(job["head"]))
    stand_in = KnownGland(head) if job["known_gland"] else contextlib.nullcontext()
    with stand_in:
        return _KINDS[job["kind"]](job, head)


def _load(job: dict[str, Any], step: Step, backend: Backend | None = None) -> Model:
    return load_champion(Path(job["registries"][step.value]), step, backend)


def _networks(job: dict[str, Any], backend: Backend | None = None) -> Networks:
    return Networks(_load(job, Step.GLAND, backend), _load(job, Step.ORGANS_AT_RISK, backend))


def _options(job: dict[str, Any]) -> TwoStepOptions:
    return TwoStepOptions(side=Side(job["side"]) if job["side"] else None)


def _two_step(job: dict[str, Any], head: Head) -> dict[str, Any]:
    networks = _networks(job)

    def once() -> tuple[dict[str, float], dict[str, Any]]:
        run = networks.two_step(head.volume, _options(job))
        return run.report.seconds, _answer(run)

    return {**_measured(once, job["repeat"]), "models": networks.names}


def _one_step_half_head(job: dict[str, Any], head: Head) -> dict[str, Any]:
    model = _load(job, Step.ONE_STEP)

    def once() -> tuple[dict[str, float], dict[str, Any]]:
        run = OneStep(model).run(head.volume, _options(job))
        return run.report.seconds, _answer(run)

    return {**_measured(once, job["repeat"]), "models": f"{model.name}, {model.backend.value}"}


def _one_step_whole_volume(job: dict[str, Any], head: Head) -> dict[str, Any]:
    """Segmentation only, as nnU-Net does it by itself: one network over the whole volume."""
    model = _load(job, Step.ONE_STEP)

    def once() -> tuple[dict[str, float], dict[str, Any]]:
        watch = Stopwatch()
        box = Box.of_grid(head.volume.grid)
        labelled = label_box(head.volume, box, Side.LEFT, model, watch)
        return watch.seconds, {"voxels": int(np.count_nonzero(labelled.labels))}

    return {**_measured(once, job["repeat"]), "models": f"{model.name}, {model.backend.value}"}


def _answer(run: PreLabel) -> dict[str, Any]:
    voxels = {name: structure.voxels for name, structure in run.report.structures.items()}
    return {"side": run.report.side, "voxels": voxels}


def _measured(
    once: Callable[[], tuple[dict[str, float], dict[str, Any]]], repeat: int
) -> dict[str, Any]:
    """Warms up once, then runs so many times; the stages are those of the median run."""
    before = memory_mib("VmRSS")
    _forget_peak()
    began = time.perf_counter()
    once()
    first = time.perf_counter() - began
    runs = []
    for _ in range(repeat):
        began = time.perf_counter()
        stages, answer = once()
        runs.append((time.perf_counter() - began, stages, answer))
    seconds = [run[0] for run in runs]
    median = statistics.median_low(seconds)
    stages, answer = runs[seconds.index(median)][1:]
    network = sum(value for stage, value in stages.items() if stage.endswith("network"))
    return {
        "seconds": median,
        "seconds_each": seconds,
        "seconds_first": first,
        "stages": stages,
        "outside_networks": 1 - network / median,
        "peak_mib": memory_mib("VmHWM"),
        "before_mib": before,
        "answer": answer,
    }


def memory_mib(field: str) -> float:
    """This process's resident memory now (``VmRSS``) or at its highest (``VmHWM``)."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    # Elsewhere only the highest is known; macOS counts bytes. On Linux this would be the parent's
    # too, because it outlives exec, which is why /proc comes first.
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest / (1024**2 if sys.platform == "darwin" else 1024)


def _forget_peak() -> None:
    """Lets ``VmHWM`` count from now on, the inference alone, not the loading."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _backends(job: dict[str, Any], head: Head) -> dict[str, Any]:
    """Both backends over the same networks and volume."""
    found: dict[str, Any] = {}
    networks = {backend: _networks(job, backend) for backend in Backend}
    maps, probabilities = {}, {}
    for backend, own in networks.items():

        def once(own: Networks = own) -> tuple[dict[str, float], dict[str, Any]]:
            run = own.two_step(head.volume, _options(job))
            return run.report.seconds, _answer(run)

        found[backend.value] = _measured(once, job["repeat"])
        maps[backend] = own.two_step(head.volume, _options(job)).labels
        probabilities[backend] = _probabilities(head, own)
    torch, openvino = Backend.TORCH, Backend.OPENVINO
    pairs = zip(probabilities[torch], probabilities[openvino], strict=True)
    change = [float(np.abs(a - b).max()) for a, b in pairs]
    truth = head.truth[OPERATED]
    found["largest_change_of_probability"] = dict(zip(("gland", "organs"), change, strict=True))
    found["dsc"] = {}
    for structure in STRUCTURES:
        plain, fast = (maps[b] == structure.value for b in (torch, openvino))
        true = truth == structure.value
        found["dsc"][structure.name] = {
            "between": dsc(plain, fast).value,
            "torch": dsc(plain, true).value,
            "openvino": dsc(fast, true).value,
        }
    found["precision"] = "bf16 where the CPU computes in it, else f32"
    found["models"] = networks[torch].names
    return found


def _probabilities(head: Head, networks: Networks) -> list[np.ndarray]:
    """Both steps' class probabilities on the half head and the region of interest."""
    volume: Volume = head.volume
    half = half_head_box(volume, OPERATED, find_midplane(volume))
    gland = Box.of_mask(head.truth[OPERATED] > 0, volume.grid)
    result = []
    for model, box in ((networks.gland, half), (networks.organs, gland)):
        k, j, i = model.spacing_kji_mm
        grid = canonical_grid(box, side=OPERATED, spacing_mm=(i, j, k))
        result.append(model.probabilities(sample_ct(volume, grid)))
    return result


_KINDS: dict[str, Callable[[dict[str, Any], Head], dict[str, Any]]] = {
    "two_step": _two_step,
    "one_step_half_head": _one_step_half_head,
    "one_step_whole_volume": _one_step_whole_volume,
    "backends": _backends,
}


def main() -> int:
    """Reads the job from one file, writes what was measured to another."""
    job, result = (Path(argument) for argument in sys.argv[1:3])
    result.write_text(json.dumps(run_job(json.loads(job.read_text()))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
