"""Pseudonyms that follow from a secret key: UIDs, patients, shifts of dates.

HMAC-SHA256 (RFC 2104): without the key nobody can tell the original, nor check a guess; with it,
the same original always gives the same pseudonym, so that references stay intact.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b32encode
from dataclasses import dataclass
from typing import Final

from parotid_brachy.lib.dicom.deidentification.key import PseudonymKey

_LEAST_SHIFT_DAYS: Final = 31
_SHIFTS: Final = 3620
"""Dates go back by 31 to 3650 days: never into the future, and out of the month."""
_SEPARATOR: Final = b"\x00"


@dataclass(frozen=True)
class PatientIdentity:
    """What a patient is told apart by.

    Attributes:
        patient_id: as the hospital issued it; spaces round it do not count.
        issuer: who issued it, if stated.
        fallback: what stands for the patient where there is no id: name and birth date, or the
            study.
    """

    patient_id: str
    issuer: str = ""
    fallback: str = ""

    @property
    def content(self) -> bytes:
        """What is hashed."""
        kind, words = (
            ("id", (self.patient_id.strip(), self.issuer.strip()))
            if self.patient_id.strip()
            else ("other", (self.fallback.strip(), ""))
        )
        # Lengths, so that no two different pairs look the same.
        return "".join(f"{len(word)}:{word}" for word in (kind, *words)).encode()


class Pseudonyms:
    """Everything that is derived from one key."""

    def __init__(self, key: PseudonymKey) -> None:
        self._secret = key.secret

    def uid(self, original: str) -> str:
        """A UID under 2.25 (PS3.5, section B.2) for any other."""
        number = int.from_bytes(self._digest("uid", original.strip(" \0").encode())[:16], "big")
        return f"2.25.{number}"

    def patient(self, identity: PatientIdentity) -> str:
        """A name and id for a patient: 80 bits, 19 characters."""
        digest = self._digest("patient", identity.content)
        return f"PB-{b32encode(digest[:10]).decode('ascii')}"

    def shift_days(self, identity: PatientIdentity) -> int:
        """By how many days the patient's dates move; negative: into the past."""
        number = int.from_bytes(self._digest("date shift", identity.content)[:8], "big")
        return -(_LEAST_SHIFT_DAYS + number % _SHIFTS)

    def _digest(self, purpose: str, content: bytes) -> bytes:
        message = purpose.encode("ascii") + _SEPARATOR + content
        return hmac.new(self._secret, message, hashlib.sha256).digest()
