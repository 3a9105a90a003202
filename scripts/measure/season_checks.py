"""Whether a season has left its store, its model versions and its journal in order.

Each check yields what is wrong, in words; nothing, where all is well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts.measure.season_models import FIRST, CommandLine
from scripts.measure.season_people import READER, SENIOR

from parotid_brachy.lib.cli.actor import person_at_the_keyboard
from parotid_brachy.lib.retraining.job_queue import JOBS
from parotid_brachy.lib.retraining.promoting import FOUND, PROMOTE, REFUSE, ROLL_BACK, THE_GATE
from parotid_brachy.lib.retraining.training_folder import read_training_folder
from parotid_brachy.lib.review.records import STORE_FOLDER
from parotid_brachy.lib.review.splits import Part
from parotid_brachy.lib.review.states import Action, CaseState
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import WEIGHTS, Registry

_ALL: Final = 10_000
_MOVES: Final = (PROMOTE, REFUSE, ROLL_BACK, FOUND)


@dataclass(frozen=True)
class Left:
    """What a season has left behind.

    Attributes:
        command_line: of its registry and its studies.
        tags: that each case must have, in order.
        jobs: as ``/review/jobs`` told of them when they were done, in order.
        rolled_back: the steps whose first version a person promoted again, and took back.
    """

    command_line: CommandLine
    tags: Mapping[str, Sequence[str]]
    jobs: Sequence[Mapping[str, Any]]
    rolled_back: Sequence[Step]

    @property
    def registry(self) -> Registry:
        """Of the model versions."""
        return Registry(self.command_line.models)

    @property
    def store_folder(self) -> Path:
        """Of the version store."""
        return self.command_line.studies / STORE_FOLDER


def faults(left: Left) -> dict[str, list[str]]:
    """What is wrong, by check."""
    store = VersionStore.open_as_it_is(left.store_folder)
    try:
        return {
            "versions": list(_versions(left, store)),
            "hashes": list(_hashes(left, store)),
            "split": list(_split(left, store)),
            "parents": list(_parents(left)),
            "journal": list(_journal(left, store)),
            "verify": list(_verified(left)),
        }
    finally:
        store.close()


def _versions(left: Left, store: VersionStore) -> Iterator[str]:
    for name, tags in left.tags.items():
        case, versions = store.case(name), store.versions(name)
        if [one.tag for one in versions] != list(tags):
            yield f"{name}: has {[one.tag for one in versions]}, not {list(tags)}"
            continue
        if [one.number for one in versions] != list(range(1, len(tags) + 1)):
            yield f"{name}: its versions' numbers have gaps"
        authors = [READER, READER, SENIOR][: len(versions)]
        if [one.author for one in versions] != authors:
            yield f"{name}: made by {[one.author for one in versions]}, not by {authors}"
        approval = (case.state, case.approved_version, case.approved_by)
        if approval != (CaseState.APPROVED, len(tags), SENIOR):
            yield f"{name}: {approval} is not its last version approved by {SENIOR}"


def _hashes(left: Left, store: VersionStore) -> Iterator[str]:
    """Of the label maps in the manifests, of the store's files, and of the snapshots."""
    for job, result in _results(left):
        step, name = Step(result["step"]), str(result["version"])
        training = left.registry.version(step, name).manifest["training"]
        folder = left.store_folder / JOBS / str(job["id"]) / step.value / "snapshot"
        snapshot = read_training_folder(folder)
        if training["snapshot_sha256"] != snapshot.sha256:
            yield f"{step.value}/{name}: its manifest tells of another snapshot"
        parts = (("cases", Part.TRAIN), ("validation_cases", Part.VALIDATION))
        for key, part in parts:
            if training[key] != sorted(one.case for one in snapshot.of(part)):
                yield f"{step.value}/{name}: {key} are not the snapshot's"
        told = {key.rpartition("/")[0]: value for key, value in training["label_sha256"].items()}
        approved = {}
        for case in (*training["cases"], *training["validation_cases"]):
            number = store.case(case).approved_version
            approved[case] = None if number is None else store.version(case, number).file.sha256
        if told != approved:
            yield f"{step.value}/{name}: label hashes {told} are not the approved ones {approved}"


def _split(left: Left, store: VersionStore) -> Iterator[str]:
    """Nobody has moved, and nobody is trained on who is not to be."""
    placed = {case: one.part for case, one in store.placed().items()}
    if set(placed) != set(left.tags):
        yield f"{sorted(placed)} are in the split, approved are {sorted(left.tags)}"
    for job, result in _results(left):
        folder = left.store_folder / JOBS / str(job["id"]) / result["step"] / "snapshot"
        for one in read_training_folder(folder).cases:
            if placed.get(one.case) is not one.part:
                yield f"{job['id']}: {one.case} was {one.part.value}, is {placed.get(one.case)}"


def _parents(left: Left) -> Iterator[str]:
    """Each version was started from the champion of its time, unless asked not to."""
    for job, result in _results(left):
        step = Step(result["step"])
        manifest = left.registry.version(step, str(result["version"])).manifest
        parent = manifest["training"]["started_from"]
        before = left.registry.version(step, str(result["champion"]))
        wanted = before.manifest["sha256"][WEIGHTS]
        if job["from_scratch"]:
            if parent is not None:
                yield f"{step.value}/{result['version']}: started from a version, not from scratch"
        elif parent is None or parent["weights_sha256"] != wanted:
            yield f"{step.value}/{result['version']}: not started from {before.name}"


def _journal(left: Left, store: VersionStore) -> Iterator[str]:
    person = person_at_the_keyboard().name
    moves = store.newest_entries(_MOVES, limit=_ALL)[::-1]
    for step in {Step(result["step"]): None for _, result in _results(left)}:
        wanted = [(PROMOTE, FIRST, person)]
        champion = FIRST
        for _, result in _results(left):
            if result["step"] == step.value:
                is_promoted = bool(result["promoted"])
                action = PROMOTE if is_promoted else REFUSE
                wanted.append((action, str(result["version"]), THE_GATE.name))
                champion = str(result["version"]) if is_promoted else champion
        if step in left.rolled_back:
            wanted += [(PROMOTE, FIRST, person), (ROLL_BACK, champion, person)]
        found = [
            (entry.action, str(entry.details["version"]), entry.actor)
            for entry in moves
            if entry.details["step"] == step.value
        ]
        if found != wanted:
            yield f"{step.value}: the journal tells {found}, not {wanted}"
        if left.registry.champion_name(step) != champion:
            yield f"{step.value}: served by {left.registry.champion_name(step)}, not by {champion}"
    for case in left.tags:
        own = [(entry.action, entry.actor) for entry in store.journal(case=case)]
        for action, actor in ((Action.SUBMIT, READER), (Action.APPROVE, SENIOR)):
            if own.count((action.value, actor)) != 1:
                yield f"{case}: {action.value} by {actor} is not in the journal once: {own}"


def _verified(left: Left) -> Iterator[str]:
    """The commands' own verdicts."""
    line = left.command_line
    for arguments in (
        ("journal", "verify", "--studies", line.studies),
        ("store", "verify", "--studies", line.studies),
        ("models", "--models", line.models, "verify"),
    ):
        yield from _words_of(line, arguments)


def _words_of(line: CommandLine, arguments: Sequence[str | Path]) -> Iterator[str]:
    try:
        line.run(*arguments)
    except RuntimeError as error:
        yield str(error)


def _results(left: Left) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for job in left.jobs:
        for result in job["results"]:
            yield job, result
