"""Under which name a series is kept: the patient's own, or a pseudonym.

The one place where the import meets de-identification; runs in the import's child process only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from pydicom.dataset import Dataset, FileDataset

_UNFIT: Final = re.compile(r"[^A-Za-z0-9_+-]+")
_LONGEST: Final = 64


class Identity(Protocol):
    """What becomes of the objects of one import.

    Attributes:
        is_deidentified: whether anything is changed.
    """

    is_deidentified: bool

    def kept(self, dataset: FileDataset) -> FileDataset:
        """The object as it is to be kept; the given one is not changed.

        Raises:
            InputRefusedError: it must not be kept.
        """
        ...

    def date_shift_days(self) -> int:
        """By how many days the patient's dates are moved, of whom objects were kept."""
        ...

    def remember(self) -> None:
        """Keeps what the way back needs, where only the hospital has it.

        Raises:
            StoreFullError, StoreError: it cannot be kept.
        """
        ...

    def seed_plan(self, stated: str, dataset: Dataset) -> str:
        """The name or UID of a seed plan as it may be kept.

        Raises:
            InputRefusedError: it names the patient.
        """
        ...

    def findings(self) -> Mapping[str, Any] | None:
        """What was done to all objects so far, without any value; None: nothing."""
        ...


class AsItIs:
    """Everything is kept under the patient's own name."""

    is_deidentified = False

    def kept(self, dataset: FileDataset) -> FileDataset:
        """The object itself."""
        return dataset

    def date_shift_days(self) -> int:
        """No day."""
        return 0

    def remember(self) -> None:
        """Nothing was changed."""

    def seed_plan(self, stated: str, dataset: Dataset) -> str:
        """As stated."""
        del dataset
        return stated

    def findings(self) -> None:
        """Nothing was done."""
        return


def identity_of(key: Path | None) -> Identity:
    """The identity that an import works under.

    Args:
        key: file of the pseudonym key, made where it is missing; None: nothing is changed.

    Raises:
        InputRefusedError: the key cannot be used.
    """
    if key is None:
        return AsItIs()
    from parotid_brachy.lib.dicom.importing.pseudonymous import Pseudonymous  # noqa: PLC0415

    return Pseudonymous(key)


def case_id_of(dataset: Dataset) -> str:
    """What a case is called: its patient's id as kept, and a short hash of the series UID."""
    patient = _UNFIT.sub("-", str(dataset.get("PatientID") or "")).strip("-")[:_LONGEST]
    series = hashlib.sha256(str(dataset.get("SeriesInstanceUID")).encode()).hexdigest()
    return f"{patient or 'unknown'}_{series[:10]}"
