"""Series kept under a pseudonym; the import's side of de-identification."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset, FileDataset

from parotid_brachy.lib.dicom.deidentification.deidentifier import Deidentifier
from parotid_brachy.lib.dicom.deidentification.findings import Findings
from parotid_brachy.lib.dicom.deidentification.identity import Originals, identifiers_in
from parotid_brachy.lib.dicom.deidentification.key import PseudonymKey
from parotid_brachy.lib.dicom.deidentification.mapping import PseudonymMapping
from parotid_brachy.lib.dicom.deidentification.policy import DeidentificationPolicy
from parotid_brachy.lib.dicom.deidentification.pseudonyms import Pseudonyms
from parotid_brachy.lib.dicom.deidentification.report import CaseReport
from parotid_brachy.lib.errors import InputRefusedError

_MAPPING_ENDING: Final = ".mapping.sqlite"
_UID: Final = re.compile(r"2\.25\.[0-9]+|[0-9]+(\.[0-9]+){3,}")
"""Also those made of a UUID (PS3.5, section B.2), which have two dots only."""


def mapping_beside(key: Path) -> Path:
    """The file that holds whom a key's pseudonyms stand for, for the way back."""
    return key.with_name(key.stem + _MAPPING_ENDING)


class Pseudonymous:
    """Objects are de-identified by the Basic Profile (PS3.15, Annex E), as the policy says.

    Args:
        key: file of the pseudonym key; made where it is missing.

    Raises:
        InputRefusedError: the key is damaged, or others may read it.
        OSError: the key's folder cannot be written.
    """

    is_deidentified = True

    def __init__(self, key: Path) -> None:
        secret = PseudonymKey.load_or_create(key)
        self._mapping = PseudonymMapping(mapping_beside(key), secret)
        self._policy = DeidentificationPolicy()
        self._pseudonyms = Pseudonyms(secret)
        self._deidentifier = Deidentifier(secret, self._policy)
        self._findings = Findings()
        self._originals: list[Originals] = []

    def kept(self, dataset: FileDataset) -> FileDataset:
        """See :class:`~parotid_brachy.lib.dicom.importing.identity.Identity`."""
        done = self._deidentifier.apply(dataset)
        self._findings.add(done.findings)
        if self._originals and self._originals[0].pseudonym != done.originals.pseudonym:
            raise InputRefusedError("it is of another patient than the slices before it.")
        self._originals.append(done.originals)
        return done.dataset

    def date_shift_days(self) -> int:
        """See the protocol."""
        return self._originals[0].shift_days if self._originals else 0

    def remember(self) -> None:
        """Keeps, beside the key, whom the pseudonyms stand for."""
        self._mapping.keep(self._originals)

    def seed_plan(self, stated: str, dataset: Dataset) -> str:
        """A UID becomes its pseudonym; words stay, unless the patient is named in them."""
        if _UID.fullmatch(stated):
            return self._pseudonyms.uid(stated)
        if stated and identifiers_in(dataset, self._policy.limits).is_within(stated):
            message = "the seed plan's name holds a name, number or date of the patient; rename it"
            raise InputRefusedError(message)
        return stated

    def findings(self) -> Mapping[str, Any]:
        """See the protocol."""
        pseudonyms = tuple(sorted({one.pseudonym for one in self._originals}))
        report = CaseReport(pseudonyms, len(self._originals), self._policy, self._findings)
        content: dict[str, Any] = json.loads(report.to_json())
        return content
