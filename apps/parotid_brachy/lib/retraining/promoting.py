"""Promotion, refusal and rollback: the registry's pointer, and the journal's entry with the table.

The order is: intent, pointer, entry. First ``promotion.json`` beside the pointer says who does
what and why, with the table; then the pointer moves, in one atomic write; then the entry is
committed; then the intent goes. A process that is killed leaves one of two truths: the pointer has
not moved, and nothing says that it has; or it has moved, and the intent says what the journal does
not say yet. :func:`reconcile` clears up both, at the next start.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.errors import ConflictError, NotAllowedError, StoreError, StoreFullError
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.retraining.gate import Decision
from parotid_brachy.lib.review.canonical_json import json_object
from parotid_brachy.lib.review.folder_lock import exclusive_lock
from parotid_brachy.lib.review.records import JournalEntry
from parotid_brachy.lib.review.registering import SERVER
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import ModelVersion, Registry

logger = logging.getLogger(__name__)

PROMOTE: Final = "promote_model"
REFUSE: Final = "refuse_model"
ROLL_BACK: Final = "roll_back_model"
FOUND: Final = "found_champion"
"""The pointer had moved, and nobody had told the journal."""

THE_GATE: Final = Reader(SERVER, Role.ADMIN)
"""Who promotes and refuses where no person does."""

_MOVES: Final = (PROMOTE, ROLL_BACK, FOUND)
_LOOKED_AT: Final = 1000
_INTENT: Final = "promotion.json"
_LOCK: Final = ".promotion.lock"


@dataclass(frozen=True)
class Registers:
    """Where the pointer and the entries are.

    Attributes:
        registry: of the model versions.
        store: whose journal tells of them.
    """

    registry: Registry
    store: VersionStore


def promote(
    registers: Registers,
    step: Step,
    name: str,
    actor: Reader,
    *,
    decision: Decision | None = None,
    reason: str = "",
) -> ModelVersion:
    """Makes a version serve, with an entry in the journal.

    Args:
        registers: registry and journal.
        step: of which model.
        name: of the version.
        actor: who promotes; ``server`` where the gate did.
        decision: the gate's, with its table, if there is one.
        reason: a person's words.

    Raises:
        NotAllowedError: the actor is no admin.
        NotFoundError, ModelRefusedError: no such version, or a damaged one.
        ConflictError: it serves already.
        StoreFullError, StoreError: the version may serve, and the entry is not written yet;
            :func:`reconcile` does it.
    """
    _require_admin(actor)
    why = {"reason": reason, "decision": None if decision is None else decision.to_json()}
    with promotion_lock(registers.registry, step):
        _reconcile_step(registers, step)
        if registers.registry.champion_name(step) == name:
            message = f"{step.value}: {name} serves already"
            raise ConflictError(message)
        version = registers.registry.version(step, name)
        registers.registry.verify(version)
        intent = _intent(registers, step, PROMOTE, name, actor, why)
        return _move(registers, step, intent, lambda: registers.registry.promote(step, name))


def roll_back(registers: Registers, step: Step, actor: Reader, *, reason: str = "") -> ModelVersion:
    """Makes the champion before this one serve again, with an entry in the journal.

    Raises:
        NotAllowedError: the actor is no admin.
        UsageError: there was none before.
        NotFoundError, ModelRefusedError: it is away or damaged.
        StoreFullError, StoreError: as :func:`promote`.
    """
    _require_admin(actor)
    with promotion_lock(registers.registry, step):
        _reconcile_step(registers, step)
        target = registers.registry.earlier_champion(step)
        registers.registry.verify(target)
        intent = _intent(registers, step, ROLL_BACK, target.name, actor, {"reason": reason})
        return _move(registers, step, intent, lambda: registers.registry.rollback(step))


def refuse(
    store: VersionStore, version: ModelVersion, decision: Decision, actor: Reader
) -> JournalEntry:
    """Notes that a candidate does not serve by itself, with the gate's reasons and table."""
    details = {"step": version.step.value, "version": version.name, "decision": decision.to_json()}
    with store.writing() as writing, writing.change(actor) as change:
        return change.record(REFUSE, None, details)


def reconcile(registers: Registers) -> list[JournalEntry]:
    """Brings the journal to where the pointers are; called at every start.

    Returns:
        The entries that were missing.
    """
    written = []
    for step in Step:
        if (registers.registry.root / step.value).is_dir():
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(promotion_lock(registers.registry, step))
                except (StoreError, StoreFullError) as error:
                    # Where no file can be made, no pointer moves either.
                    logger.info("%s: the registry cannot be locked (%s)", step.value, error)
                written += _reconcile_step(registers, step)
    return written


@contextlib.contextmanager
def promotion_lock(registry: Registry, step: Step) -> Iterator[None]:
    """Keeps others from moving a step's pointer or removing its versions."""
    folder = registry.root / step.value
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(folder / _LOCK):
        yield


def intended(registry: Registry, step: Step) -> str | None:
    """The version that a promotion under way, or one that was killed, is about."""
    intent = _read(_path(registry, step))
    return None if intent is None else str(intent["details"]["version"])


def _intent(
    registers: Registers, step: Step, action: str, name: str, actor: Reader, why: dict[str, Any]
) -> dict[str, Any]:
    details = {
        "step": step.value,
        "version": name,
        "before": registers.registry.champion_name(step),
        "promotion": secrets.token_hex(8),
        **why,
    }
    intent = {"action": action, "actor": actor.name, "role": actor.role.value, "details": details}
    return json_object(intent, what=f"{action} {step.value}/{name}")


def _move(
    registers: Registers, step: Step, intent: dict[str, Any], move: Callable[[], ModelVersion]
) -> ModelVersion:
    path = _path(registers.registry, step)
    write_atomically(path, json.dumps(intent, indent=1).encode())
    try:
        version = move()
    except BaseException:
        if registers.registry.champion_name(step) == intent["details"]["before"]:
            path.unlink(missing_ok=True)
        raise
    _record(registers, intent)
    path.unlink(missing_ok=True)
    return version


def _reconcile_step(registers: Registers, step: Step) -> list[JournalEntry]:
    champion = registers.registry.champion_name(step)
    path = _path(registers.registry, step)
    intent = _read(path)
    moves = [
        entry
        for entry in registers.store.newest_entries(_MOVES, limit=_LOOKED_AT)
        if entry.details.get("step") == step.value
    ]
    written = []
    if intent is not None:
        known = {entry.details.get("promotion") for entry in moves}
        told = intent["details"]
        if champion == told["version"] != told["before"] and told["promotion"] not in known:
            written.append(_record(registers, intent))
            logger.warning("%s: the journal lacked the promotion of %s", step.value, champion)
        with contextlib.suppress(OSError):  # it is known by then, and looked at again
            path.unlink()
    last = moves[0].details.get("version") if moves else None
    if not written and champion is not None and champion != last:
        details = {"step": step.value, "version": champion, "before": last}
        found = {"action": FOUND, "actor": SERVER, "role": Role.ADMIN.value, "details": details}
        written.append(_record(registers, found))
    return written


def _record(registers: Registers, intent: dict[str, Any]) -> JournalEntry:
    actor = Reader(intent["actor"], Role(intent["role"]))
    with registers.store.writing() as writing, writing.change(actor) as change:
        return change.record(intent["action"], None, intent["details"])


def _read(path: Path) -> dict[str, Any] | None:
    """The intent; None where there is none, or none that says what is needed."""
    try:
        intent: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        told = intent["details"]
        Role(intent["role"])
        is_whole = (
            intent["action"] in (PROMOTE, ROLL_BACK)
            and {"version", "before", "promotion"} <= told.keys()
            and isinstance(intent["actor"], str)
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        logger.warning("%s: cannot be read and is passed over (%s)", path.name, error)
        return None
    return intent if is_whole else None


def _path(registry: Registry, step: Step) -> Path:
    return registry.root / step.value / _INTENT


def _require_admin(actor: Reader) -> None:
    if not actor.may(Role.ADMIN):
        message = (
            f"{actor.name} is {actor.role.value}; to change which model serves, "
            f"{Role.ADMIN.value} is needed"
        )
        raise NotAllowedError(message)
