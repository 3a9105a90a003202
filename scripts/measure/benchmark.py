"""Seconds and memory of the pre-labelling, in one run on one volume.

Parts: ``one_step`` (one network over the whole volume against the two steps), ``backends`` (torch
against OpenVINO) and ``presets`` (compact and paper, side left open and stated). Where the
registry has no version of a step, one with random weights of the same preset stands in; it is
given the true gland, so that the second step has its usual work.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import torch
from scripts.measure.benchmark_head import OPERATED, SIZE_IJK, draw_head
from scripts.measure.benchmark_tables import report
from scripts.measure.networks import SHIPPED
from scripts.measure.untrained import add_untrained
from tqdm import tqdm

from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import Registry

PARTS: Final = ("one_step", "backends", "presets")
_FEATURES: Final = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")


class Jobs:
    """Runs jobs in child processes, each once.

    Args:
        models: registry whose champions are measured where it has them.
        folder: for volumes, random versions and results.
        repeat: runs per job after the first; the median counts.
        paper_repeat: the same for the paper preset.
        known_gland: give step 1's answer away even to trained models.
    """

    def __init__(
        self, models: Path, folder: Path, *, repeat: int, paper_repeat: int, known_gland: bool
    ) -> None:
        self._models = models
        self._folder = folder
        self._repeat = repeat
        self._paper_repeat = paper_repeat
        self._known_gland = known_gland
        self._done: dict[str, dict[str, Any]] = {}

    def run(self, kind: str, *, preset: str = "compact", side: str | None = None) -> dict[str, Any]:
        """What a job measures."""
        name = "-".join(filter(None, (kind, preset, side or "auto")))
        if name in self._done:
            return self._done[name]
        steps = (Step.GLAND, Step.ORGANS_AT_RISK)
        if kind.startswith("one_step"):
            steps = (Step.ONE_STEP,)
        registries = {step: self._registry(preset, step) for step in steps}
        is_random = any(root != self._models for root in registries.values())
        job = {
            "kind": kind,
            "head": str(self._folder),
            "registries": {step.value: str(root) for step, root in registries.items()},
            "side": side,
            "repeat": self._paper_repeat if preset == "paper" else self._repeat,
            "known_gland": kind != "one_step_whole_volume" and (self._known_gland or is_random),
        }
        question, answer = (self._folder / f"{name}.{end}" for end in ("job", "result"))
        question.write_text(json.dumps(job))
        command = [sys.executable, "-m", "scripts.measure.benchmark_job", question, answer]
        subprocess.run(command, check=True)
        self._done[name] = {
            **json.loads(answer.read_text()),
            "random_weights": is_random,
            "known_gland": job["known_gland"],
        }
        return self._done[name]

    def _registry(self, preset: str, step: Step) -> Path:
        """Where the step's version lies: the given registry, else a random one of the preset."""
        given = Registry(self._models)
        if given.has_champion(step) and given.champion(step).preset.name == preset:
            return self._models
        own = Registry(self._folder / "random" / preset)
        if not own.has_champion(step):
            add_untrained(own, preset, step)
        return own.root


def machine() -> dict[str, Any]:
    """Threads, processor, and whether anything else is running on it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = fields.get("flags", "").split()
    return {
        "processor": fields.get("model name", platform.processor() or platform.machine()),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "features": [name for name in _FEATURES if name in flags],
        "torch_kernels": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "cuda": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY"),
    }


def measure(jobs: Jobs, parts: list[str], *, paper: bool) -> dict[str, Any]:
    """All parts that are asked for."""
    stated = OPERATED.value
    plan: list[tuple[str, str, dict[str, Any]]] = []
    two_steps = [
        ("two_step_auto", "two_step", {"side": None}),
        ("two_step_stated", "two_step", {"side": stated}),
    ]
    if "one_step" in parts:
        plan += two_steps
        plan.append(("one_step_whole_volume", "one_step_whole_volume", {}))
        plan.append(("one_step_half_head", "one_step_half_head", {"side": stated}))
    if "backends" in parts:
        plan.append(("backends", "backends", {"side": stated}))
    if "presets" in parts:
        plan += two_steps
        if paper:
            plan += [
                (f"paper_{name}", kind, {**how, "preset": "paper"}) for name, kind, how in two_steps
            ]
    return {
        name: jobs.run(kind, **how) for name, kind, how in tqdm(plan, unit="job", file=sys.stderr)
    }


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark", description=__doc__)
    parser.add_argument("--models", type=Path, default=SHIPPED, metavar="DIR", help="registry")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--no-paper", action="store_true", help="leave out the paper preset")
    parser.add_argument("--repeat", type=_positive, default=3, metavar="N", help="median of N")
    parser.add_argument("--paper-repeat", type=_positive, default=1, metavar="N")
    parser.add_argument("--output", type=Path, default=Path("benchmark.json"), metavar="JSON")
    parser.add_argument(
        "--known-gland",
        action="store_true",
        help="give step 1 the true gland even with trained models",
    )
    parser.add_argument(
        "--matrix",
        type=_positive,
        default=SIZE_IJK[0],
        metavar="N",
        help=f"columns and rows (default {SIZE_IJK[0]}); smaller for trying things out",
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        head = draw_head(args.matrix)
        head.save(Path(folder))
        about = {
            "machine": machine(),
            "volume": head.volume.grid.describe(),
            "repeat": args.repeat,
            "paper_repeat": args.paper_repeat,
        }
        del head
        jobs = Jobs(
            args.models.resolve(),
            Path(folder),
            repeat=args.repeat,
            paper_repeat=args.paper_repeat,
            known_gland=args.known_gland,
        )
        results = measure(jobs, args.parts, paper=not args.no_paper)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps({**about, "results": results}, indent=1), encoding="utf-8")
    print(report(about, results))
    return 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        message = f"{text} is not a positive number"
        raise argparse.ArgumentTypeError(message)
    return value


if __name__ == "__main__":
    raise SystemExit(main())
