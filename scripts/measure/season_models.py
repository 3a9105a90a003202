"""The model versions of a season, by the command line: the first, the bad ones, who is better."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts.measure.season_heads import Heads, exchanged

from parotid_brachy.lib.anatomy import GLAND, MANDIBULAR_RAMUS, ORGANS_AT_RISK, Structure
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import (
    DATASET,
    PLANS,
    Registry,
    load_weights,
    write_version,
)

FIRST: Final = "first"
SHUFFLED: Final = "shuffled"
BLIND: Final = "blind"
_OUTPUT_BIAS: Final = ".bias"
_OUTPUT_LAYERS: Final = "seg_layers"
_NEVER: Final = -200.0
_PROVENANCE: Final = "synthetic heads of a scripted season"


@dataclass(frozen=True)
class Effort:
    """How long a training takes."""

    epochs: int
    iterations: int


@dataclass(frozen=True)
class CommandLine:
    """``parotid``, in processes of its own.

    Attributes:
        models: root of the registry.
        studies: whose journal tells of promotions.
        folder: for trainings.
    """

    models: Path
    studies: Path
    folder: Path

    def run(self, *arguments: str | Path) -> str:
        """What a command says.

        Raises:
            RuntimeError: it fails; with its words.
        """
        command = [sys.executable, "-m", "parotid_brachy.lib.cli.main", *map(str, arguments)]
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            words = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
            message = f"parotid {' '.join(command[3:6])}: exit code {done.returncode}\n{words}"
            raise RuntimeError(message)
        return done.stdout

    def models_run(self, *arguments: str | Path) -> str:
        """``parotid models``, on the season's registry."""
        return self.run("models", "--models", self.models, *arguments)

    def trains(
        self, step: Step, name: str, heads: Heads, effort: Effort, *, start_from: Path | None = None
    ) -> None:
        """Trains a version on plain folders and takes it into the registry."""
        output = self.folder / f"{step.value}-{name}"
        begins = () if start_from is None else ("--start-from", start_from)
        self.run(
            *("train", "--step", step.value, "--images", heads.images, "--labels", heads.labels),
            *("--output", output, "--epochs", str(effort.epochs)),
            *("--iterations", str(effort.iterations), "--validation-share", "0"),
            *("--provenance", _PROVENANCE, *begins),
        )
        Registry(self.models).add(output / "version", name=name)

    def promotes(self, step: Step, name: str, reason: str) -> None:
        """A person makes a version serve."""
        told = ("--studies", self.studies, "--reason", reason)
        self.models_run("promote", step.value, name, *told)

    def rolls_back(self, step: Step, reason: str) -> None:
        """A person makes the version before serve again."""
        self.models_run("rollback", step.value, "--studies", self.studies, "--reason", reason)

    def compares(self, step: Step, champion: str, candidate: str, heads: Heads) -> dict[str, Any]:
        """Table, scores and the gate's verdict on some patients."""
        folders = ("--images", heads.images, "--labels", heads.labels)
        told = self.models_run("compare", step.value, champion, candidate, *folders, "--json")
        return dict(json.loads(told))

    def trains_shuffled(self, step: Step, heads: Heads, effort: Effort) -> None:
        """A version like the champion, trained on label maps with values exchanged."""
        champion = Registry(self.models).champion(step)
        if step is Step.GLAND:
            values = {GLAND.value: MANDIBULAR_RAMUS.value, MANDIBULAR_RAMUS.value: GLAND.value}
        else:
            organs = [organ.value for organ in ORGANS_AT_RISK]
            values = dict(zip(organs, [*organs[1:], organs[0]], strict=True))
        wrong = exchanged(heads, self.folder / f"{step.value}-shuffled-heads", values)
        self.trains(step, SHUFFLED, wrong, effort, start_from=champion.folder)

    def makes_blind(self, step: Step) -> Structure:
        """The champion, with one structure that its network never answers; returns which."""
        champion = Registry(self.models).champion(step)
        preset = champion.preset
        structure = GLAND if step is Step.GLAND else MANDIBULAR_RAMUS
        weights = load_weights(champion.folder)
        for name, tensor in weights.items():
            if _OUTPUT_LAYERS in name and name.endswith(_OUTPUT_BIAS):
                tensor[1 + preset.structures.index(structure)] = _NEVER
        folder = write_version(
            self.folder / f"{step.value}-{BLIND}",
            preset=preset,
            weights=weights,
            plans=champion.read_json(PLANS),
            description=champion.read_json(DATASET),
            manifest={"training": {"provenance": f"{champion.name}, made blind to a structure"}},
        )
        Registry(self.models).add(folder, name=BLIND)
        return structure
