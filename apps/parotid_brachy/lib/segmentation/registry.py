"""Model versions on disk: list, verify, load the champion, promote, roll back.

A version is a folder ``<root>/<step>/<version>/`` of ``weights.safetensors``, ``plans.json``,
``dataset.json`` (both nnU-Net's) and ``manifest.json``, which holds the SHA-256 of the others.
``<root>/<step>/champion.json`` points at the version that serves.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from parotid_brachy.lib.errors import ModelRefusedError, NotFoundError, UsageError
from parotid_brachy.lib.imaging.atomic import synchronise_folder, write_atomically
from parotid_brachy.lib.imaging.file_hash import sha256_of
from parotid_brachy.lib.segmentation.presets import Preset, Step, preset_for

WEIGHTS: Final = "weights.safetensors"
PLANS: Final = "plans.json"
DATASET: Final = "dataset.json"
MANIFEST: Final = "manifest.json"
_HASHED: Final = (WEIGHTS, PLANS, DATASET)
_LARGEST_JSON: Final = 64 * 1024**2
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PACKAGES: Final = ("torch", "nnunetv2", "monai", "numpy", "SimpleITK", "batchgeneratorsv2")


@dataclass(frozen=True)
class ModelVersion:
    """One version of one step's model, as its manifest describes it."""

    step: Step
    name: str
    folder: Path
    manifest: dict[str, Any]

    @property
    def preset(self) -> Preset:
        """The preset that it was trained with.

        Raises:
            ModelRefusedError: the manifest names none of ours.
        """
        try:
            return preset_for(str(self.manifest.get("preset")), self.step)
        except UsageError as error:
            message = f"{self.step.value}/{self.name}: its manifest names {error}"
            raise ModelRefusedError(message) from error

    def read_json(self, name: str) -> dict[str, Any]:
        """The plans or the data set's description.

        Raises:
            ModelRefusedError: the file is missing or no JSON object.
        """
        return _read_object(self.folder / name)


class Registry:
    """The versions under one root.

    Args:
        root: folder of steps; may be empty or missing, then there are no versions.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def versions(self, step: Step | None = None) -> list[ModelVersion]:
        """All versions, or one step's, the oldest first.

        Raises:
            ModelRefusedError: a version's manifest cannot be read.
        """
        found = []
        for each in Step if step is None else (step,):
            for manifest in sorted((self.root / each.value).glob(f"*/{MANIFEST}")):
                if manifest.parent.name.startswith("."):  # being written
                    continue
                found.append(_read_version(each, manifest))
        return sorted(found, key=lambda v: (v.step.value, str(v.manifest.get("created")), v.name))

    def version(self, step: Step, name: str) -> ModelVersion:
        """One version by name.

        Raises:
            NotFoundError: there is none of that name.
        """
        if _NAME.fullmatch(name):
            manifest = self.root / step.value / name / MANIFEST
            if manifest.is_file():
                return _read_version(step, manifest)
        known = ", ".join(v.name for v in self.versions(step)) or "none"
        message = f"no version {name!r} of {step.value}; there are: {known}"
        raise NotFoundError(message)

    def champion(self, step: Step) -> ModelVersion:
        """The version that serves.

        Raises:
            NotFoundError: no version of the step has been promoted.
        """
        name = self.champion_name(step)
        if name is None:
            message = (
                f"no version of {step.value} has been promoted in {self.root}. "
                "Train one (parotid train), then promote it (parotid models promote)."
            )
            raise NotFoundError(message)
        return self.version(step, name)

    def champion_name(self, step: Step) -> str | None:
        """What the step's pointer points at, whether that is there or not; None if at nothing."""
        return next(iter(self._history(step)[-1:]), None)

    def ever_served(self, step: Step) -> set[str]:
        """The names of all versions that have ever been champion, rolled back or not."""
        return {*self._names(step, "served"), *self._history(step)}

    def has_champion(self, step: Step) -> bool:
        """Whether a version of the step serves."""
        return self.champion_name(step) is not None

    def verify(self, version: ModelVersion) -> None:
        """Compares a version's files with its manifest.

        Raises:
            ModelRefusedError: a file is missing or its SHA-256 is not the manifest's.
        """
        _verify(version)

    def add(
        self, folder: Path, *, name: str, metrics: dict[str, Any] | None = None
    ) -> ModelVersion:
        """Copies a trained version into the registry; it does not serve before it is promoted.

        Args:
            folder: what a training wrote.
            name: the version's name in the registry.
            metrics: how well it did, and on what; goes into the manifest.

        Raises:
            UsageError: the name is taken or not allowed.
            ModelRefusedError: the folder is not a whole version.
        """
        if not _NAME.fullmatch(name):
            message = f"version name {name!r}: letters, digits, '.', '_' and '-' only, at most 64"
            raise UsageError(message)
        if not (folder / MANIFEST).is_file():
            message = f"{folder}: holds no {MANIFEST}; give the folder that a training wrote"
            raise ModelRefusedError(message)
        step = _step_of(folder / MANIFEST)
        target = self.root / step.value / name
        if target.exists():
            message = (
                f"{step.value}/{name} exists already; versions never change, take another name"
            )
            raise UsageError(message)
        partial = target.with_name(f".{name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            for file in (*_HASHED, MANIFEST):
                shutil.copyfile(folder / file, partial / file)
            if metrics is not None:
                manifest = json.loads((partial / MANIFEST).read_text())
                content = json.dumps({**manifest, "metrics": metrics}, indent=1)
                (partial / MANIFEST).write_text(content)
            # The copy is what will serve, so the copy is what is verified.
            _verify(_read_version(step, partial / MANIFEST))
            for file in (*_HASHED, MANIFEST):
                _synchronise(partial / file)
            synchronise_folder(partial)
            partial.rename(target)
            synchronise_folder(target.parent)
        except OSError as error:
            message = f"{folder}: not a whole version ({error})"
            raise ModelRefusedError(message) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return _read_version(step, target / MANIFEST)

    def promote(self, step: Step, name: str) -> ModelVersion:
        """Makes a version the champion, after verifying it. One atomic write.

        Raises:
            NotFoundError: there is no such version.
            ModelRefusedError: its files are not the manifest's.
        """
        version = self.version(step, name)
        self.verify(version)
        history = self._history(step)
        if history[-1:] != [name]:
            self._write_history(step, [*history, name])
        return version

    def rollback(self, step: Step) -> ModelVersion:
        """Makes the previous champion serve again.

        Raises:
            UsageError: there was none before.
        """
        version = self.earlier_champion(step)
        self.verify(version)
        self._write_history(step, self._history(step)[:-1])
        return version

    def earlier_champion(self, step: Step) -> ModelVersion:
        """The version that a rollback makes serve again.

        Raises:
            UsageError: there was none before.
            NotFoundError: it is not there any more.
        """
        history = self._history(step)
        if len(history) < 2:
            message = f"{step.value}: no earlier champion to go back to"
            raise UsageError(message)
        return self.version(step, history[-2])

    def _history(self, step: Step) -> list[str]:
        return self._names(step, "history")

    def _names(self, step: Step, key: str) -> list[str]:
        path = self.root / step.value / "champion.json"
        if not path.is_file():
            return []
        # Files written before there was a list of all that served have their history only.
        content = _read_object(path)
        names = content.get(key, [] if key == "served" else None)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            message = f"{path}: holds no list of versions. Remove it and promote a version again."
            raise ModelRefusedError(message)
        return names

    def _write_history(self, step: Step, history: list[str]) -> None:
        path = self.root / step.value / "champion.json"
        served = sorted({*self.ever_served(step), *history})
        content = {"champion": history[-1], "history": history, "served": served}
        write_atomically(path, json.dumps(content, indent=2).encode())


def write_version(
    folder: Path,
    *,
    preset: Preset,
    weights: dict[str, torch.Tensor],
    plans: dict[str, Any],
    description: dict[str, Any],
    manifest: dict[str, Any],
) -> Path:
    """Writes a version's folder, with the manifest last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    save_file(weights, folder / WEIGHTS)
    (folder / PLANS).write_text(json.dumps(plans, indent=1))
    (folder / DATASET).write_text(json.dumps(description, indent=1))
    content = {
        "step": preset.step.value,
        "preset": preset.name,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "sha256": {name: sha256_of(folder / name) for name in _HASHED},
        "software": {name: metadata.version(name) for name in _PACKAGES},
        **manifest,
    }
    (folder / MANIFEST).write_text(json.dumps(content, indent=1))
    return folder


def read_version(folder: Path) -> ModelVersion:
    """A version's folder outside of any registry, verified.

    Raises:
        ModelRefusedError: it is not a whole version.
    """
    manifest = folder / MANIFEST
    version = _read_version(_step_of(manifest), manifest)
    _verify(version)
    return version


def seen_cases(version: ModelVersion) -> frozenset[str]:
    """The cases that a version, or one that it was started from, was trained on or watched on."""
    seen: set[str] = set()
    training = version.manifest.get("training")
    while isinstance(training, dict):
        for key in ("cases", "validation_cases"):
            seen.update(map(str, training.get(key) or ()))
        parent = training.get("started_from")
        if not isinstance(parent, dict):
            break
        seen.update(map(str, parent.get("seen_cases") or ()))
        training = parent.get("training")  # so in manifests of the first format
    return frozenset(seen)


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """A version's tensors.

    Raises:
        ModelRefusedError: there is no readable file of weights.
    """
    try:
        return load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        message = f"{folder}: no readable {WEIGHTS} ({error})"
        raise ModelRefusedError(message) from error


def _synchronise(path: Path) -> None:
    """Makes a file durable, as the pointer is that may lead to it."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _verify(version: ModelVersion) -> None:
    hashes = version.manifest.get("sha256")
    for name in _HASHED:
        expected = hashes.get(name) if isinstance(hashes, dict) else None
        path = version.folder / name
        actual = sha256_of(path) if path.is_file() else "missing"
        if actual != expected:
            message = (
                f"{version.step.value}/{version.name}: {name} is {actual}, the manifest says "
                f"{expected}. Restore the version from a copy, or promote another one."
            )
            raise ModelRefusedError(message)


def _read_version(step: Step, path: Path) -> ModelVersion:
    named = _step_of(path)
    if named is not step:
        message = f"{path}: is a model of {named.value}, but lies under {step.value}"
        raise ModelRefusedError(message)
    return ModelVersion(step, path.parent.name, path.parent, _read_object(path))


def _step_of(manifest: Path) -> Step:
    try:
        return Step(_read_object(manifest).get("step"))
    except ValueError as error:
        message = (
            f"{manifest}: not a version's manifest ({error}). Restore it or remove the folder."
        )
        raise ModelRefusedError(message) from error


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        message = f"{path}: no such file. Restore the version from a copy."
        raise ModelRefusedError(message)
    try:
        if path.stat().st_size > _LARGEST_JSON:
            message = (
                f"{path}: larger than {_LARGEST_JSON:,} bytes. Restore the version from a copy."
            )
            raise ModelRefusedError(message)
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path}: not readable as JSON ({error}). Restore the version from a copy."
        raise ModelRefusedError(message) from error
    if not isinstance(content, dict):
        message = f"{path}: holds no JSON object. Restore the version from a copy."
        raise ModelRefusedError(message)
    return content
