"""Who is trained on and who is tested on, settled once for a comparison."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from parotid_brachy.lib.errors import ConflictError, UsageError
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.imaging.file_hash import sha256_of
from parotid_brachy.lib.segmentation.training_cases import TrainingCase

SETTLED: Final = "comparison.json"


@dataclass(frozen=True)
class Terms:
    """What all methods of a comparison have in common, and what must not change on the way.

    Attributes:
        train: cases that every method is trained on.
        test: cases that no method sees before the end.
        nnunet_preset: of the methods that are nnU-Net's.
        epochs: of each network; None takes its preset's.
        iterations: per epoch; None takes the preset's.
        seed: of the split and of the trainings.
        label_sha256: of every label map, by case and side.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    nnunet_preset: str
    epochs: int | None
    iterations: int | None
    seed: int
    label_sha256: dict[str, str]


def split_patients(
    cases: Sequence[TrainingCase], *, test: Sequence[str], test_share: float, seed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Parts patients into those trained on and those tested on; both sides of one stay together.

    Args:
        cases: with their label maps.
        test: the test cases, where they are settled already; empty draws a share.
        test_share: of the patients, at least one.
        seed: of the draw.

    Returns:
        The training cases and the test cases, sorted.

    Raises:
        UsageError: a test case is not among the cases, or none is left for one of the two.
    """
    patients = sorted({one.case for one in cases})
    unknown = sorted(set(test) - set(patients))
    if unknown:
        message = f"test case {unknown[0]}: no image with a label map of that name"
        raise UsageError(message)
    chosen = set(test)
    if not chosen:
        order = np.random.default_rng(seed).permutation(len(patients))
        chosen = {patients[n] for n in order[: max(1, round(len(patients) * test_share))]}
    train = tuple(case for case in patients if case not in chosen)
    if not train:
        message = f"{len(patients)} cases, {len(chosen)} of them to test on: none is left to train"
        raise UsageError(message)
    return train, tuple(sorted(chosen))


def hash_labels(cases: Sequence[TrainingCase]) -> dict[str, str]:
    """SHA-256 of each label map, by case and side."""
    return {
        f"{one.case}/{one.side.value if one.side else 'any'}": sha256_of(one.labels)
        for one in cases
    }


def settle(terms: Terms, output: Path) -> None:
    """Writes the terms into the output folder, or makes sure that they are those written there.

    Raises:
        ConflictError: the folder holds a comparison on other terms, or something else.
    """
    path = output / SETTLED
    wanted = json.loads(json.dumps(asdict(terms)))
    if not path.exists():
        output.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(wanted, indent=2) + "\n").encode())
        return
    settled = _read(path)
    differing = [name for name in wanted if settled.get(name) != wanted[name]]
    if differing:
        message = (
            f"{output}: holds a comparison on other terms ({', '.join(differing)} differ). "
            "Go on with the same call and the same files, or take another output folder"
        )
        raise ConflictError(message)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path}: not readable ({error}). Take another output folder"
        raise ConflictError(message) from error
    if not isinstance(content, dict):
        message = f"{path}: holds no terms of a comparison. Take another output folder"
        raise ConflictError(message)
    return content
