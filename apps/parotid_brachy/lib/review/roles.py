"""Who works with the server, and what the roles include."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

from parotid_brachy.lib.errors import UsageError

READER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.@+-]{0,63}(?<! )")
"""What a reader can be called: journal, files and clients show the name as it is."""

_NOBODYS: Final = frozenset({"server", "unknown", "nobody"})
"""Names that stand for no person in the journal."""


class Role(enum.Enum):
    """What somebody may do; each role includes the ones before it."""

    ANNOTATOR = "annotator"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Place in the order of roles, the least first."""
        return list(Role).index(self)

    def includes(self, other: Role) -> bool:
        """Whether who has this role may do what ``other`` may."""
        return self.rank >= other.rank


@dataclass(frozen=True)
class Reader:
    """Somebody, or some model, that does something with a case.

    Attributes:
        name: as the readers file or the identity provider has it.
        role: what he or she may do.
    """

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether the reader's role includes ``role``."""
        return self.role.includes(role)


def checked_reader_name(name: str) -> str:
    """A name that a reader can have.

    Raises:
        UsageError: it is empty, too long, or has other characters.
    """
    if not READER_NAME.fullmatch(name):
        message = (
            f"reader {name[:60]!r}: use up to 64 letters, digits, spaces and _ . @ + -, "
            "beginning with a letter or digit"
        )
        raise UsageError(message)
    if name.lower() in _NOBODYS:
        message = f"reader {name!r}: the name stands for nobody in the journal; take another"
        raise UsageError(message)
    return name
