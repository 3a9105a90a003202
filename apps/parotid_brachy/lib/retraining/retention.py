"""Which model versions are kept: all that have ever served, and the newest candidates."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Final

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.retraining.promoting import intended, promotion_lock
from parotid_brachy.lib.review.roles import Reader
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import Registry

PRUNE: Final = "prune_models"


@dataclass(frozen=True)
class Kept:
    """A version that stays, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Pruned:
    """What became of one step's versions.

    Attributes:
        step: of which model.
        kept: that stay.
        removed: that went, or that would go.
        is_dry: nothing was removed.
    """

    step: Step
    kept: tuple[Kept, ...]
    removed: tuple[str, ...]
    is_dry: bool


def prune(registry: Registry, keep: int, *, dry_run: bool = False) -> list[Pruned]:
    """Removes old candidates.

    What has ever been champion stays for ever, so that every draft can be made again and every
    rollback works. Of the others the newest stay, by the date in their manifests.

    Args:
        registry: of the versions.
        keep: how many candidates of each step stay.
        dry_run: only say what would be done.

    Raises:
        UsageError: a negative number.
        ModelRefusedError: a manifest or a pointer cannot be read; nothing of its step is removed.
    """
    if keep < 0:
        message = f"{keep} candidates cannot be kept; give 0 or more"
        raise UsageError(message)
    steps = [step for step in Step if (registry.root / step.value).is_dir()]
    return [_prune_step(registry, step, keep, dry_run=dry_run) for step in steps]


def prune_with_entry(
    registry: Registry, store: VersionStore, keep: int, actor: Reader
) -> list[Pruned]:
    """Removes old candidates as :func:`prune`, with an entry in the journal if any went."""
    done = prune(registry, keep)
    removed = {one.step.value: list(one.removed) for one in done if one.removed}
    if removed:
        with store.writing() as writing, writing.change(actor) as change:
            change.record(PRUNE, None, {"removed": removed, "keep": keep})
    return done


def _prune_step(registry: Registry, step: Step, keep: int, *, dry_run: bool) -> Pruned:
    with promotion_lock(registry, step):
        served = registry.ever_served(step)
        wanted = intended(registry, step)
        versions = registry.versions(step)
        newest = [v.name for v in versions if v.name not in served][::-1][:keep]
        kept, removed = [], []
        for version in versions:
            why = None
            if version.name in served:
                why = "serves or has served"
            elif version.name == wanted:
                why = "is being promoted"
            elif version.name in newest:
                why = f"one of the newest {keep} candidates"
            if why is None:
                removed.append(version.name)
            else:
                kept.append(Kept(version.name, why))
        if not dry_run:
            for left in (registry.root / step.value).glob(".*.removed"):  # by a killed process
                shutil.rmtree(left, ignore_errors=True)
            for name in removed:
                folder = registry.root / step.value / name
                # Out of everybody's sight at once, whatever becomes of the files.
                gone = folder.rename(folder.with_name(f".{name}.removed"))
                shutil.rmtree(gone, ignore_errors=True)
        return Pruned(step, tuple(kept), tuple(removed), dry_run)
