"""Seed plans as readers send them: checked, and made a table of seeds that is kept.

What is kept is the table: positions, strengths and axes to the last digit. An RTPLAN itself is not
kept, since it names the patient; its SHA-256 is.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from parotid_brachy.lib.dicom.dose.plan_reading import read_plan
from parotid_brachy.lib.dosimetry.plan import SeedPlan, require_near
from parotid_brachy.lib.dosimetry.seed_model import PROTOCOL_MODEL, known_models, load_seed_model
from parotid_brachy.lib.dosimetry.seeds_file import read_seeds, seeds_csv
from parotid_brachy.lib.errors import (
    InputRefusedError,
    StoreFullError,
    TooLargeError,
    UsageError,
)
from parotid_brachy.lib.imaging.stored_image import quoted
from parotid_brachy.lib.imaging.volume import Grid

ENDINGS: Final = (".csv", ".dcm")
"""A table of seeds, or an RTPLAN."""
KEPT_ENDING: Final = ".csv"
LARGEST_BYTES: Final = 2 * 1024**2
"""Of what is sent: a thousand seeds have less, and it is parsed while others are served."""


@dataclass(frozen=True)
class PlanIntake:
    """A plan that passed the checks.

    Attributes:
        plan: its seeds; all of them lie in the CT.
        content: the table that is kept.
        received_as: one of :data:`ENDINGS`.
        received_sha256: of what came.
    """

    plan: SeedPlan
    content: bytes
    received_as: str
    received_sha256: str


def take_in_plan(
    content: bytes, ending: str, *, case: str, grid: Grid, model_name: str | None = None
) -> PlanIntake:
    """Reads and checks a plan that was sent.

    Args:
        content: the file.
        ending: one of :data:`ENDINGS`.
        case: the case's id.
        grid: of its CT.
        model_name: of the seeds, one of those that come along; None: what the RTPLAN says, and of
            a table the protocol's.

    Raises:
        UsageError: no such seed model, or no such kind of file.
        TooLargeError: more than any plan has.
        InputRefusedError: no plan, or one that is not calculated.
        GeometryError: a seed outside the CT.
        StoreFullError: no room to unpack it.
    """
    require_plan_size(len(content), case)
    if not content:
        raise InputRefusedError(f"{case}: the plan that was sent is an empty file.")
    if ending not in ENDINGS:
        message = f"{case}: {quoted(ending)} is no kind of plan: send one of {', '.join(ENDINGS)}"
        raise UsageError(message)
    if model_name is not None and model_name not in known_models():
        message = f"seed model {quoted(model_name)}: there are {', '.join(known_models())}"
        raise UsageError(message)
    stated = None if model_name is None else load_seed_model(model_name)
    try:
        with tempfile.TemporaryDirectory(prefix="plan-") as folder:
            path = Path(folder) / f"seed plan{ending}"
            path.write_bytes(content)
            if ending == KEPT_ENDING:
                plan = read_seeds(path, stated or load_seed_model(PROTOCOL_MODEL))
            else:
                plan = read_plan(path, stated)
    except OSError as error:
        message = f"{case}: no room to read the plan ({error.strerror}). Nothing was kept."
        raise StoreFullError(message) from error
    plan = replace(plan, name=case)
    require_near(plan, grid, case)
    return PlanIntake(plan, seeds_csv(plan), ending, hashlib.sha256(content).hexdigest())


def require_plan_size(size_bytes: int, case: str) -> None:
    """Refuses what is larger than any plan, before it is read into memory.

    Raises:
        TooLargeError: says how large it may be.
    """
    if size_bytes > LARGEST_BYTES:
        message = (
            f"{case}: a plan of {size_bytes} bytes; at most {LARGEST_BYTES} are taken. Send the "
            "seeds as a table."
        )
        raise TooLargeError(message)
