"""How an archive is reached, and how it says that it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from parotid_brachy.lib.errors import ParotidBrachyError


class ArchiveError(ParotidBrachyError):
    """The archive refuses, or answers what is no DICOMweb."""

    http_status: ClassVar[int] = 502


class ArchiveUnreachableError(ArchiveError):
    """The archive does not answer now; trying again later may help."""

    http_status: ClassVar[int] = 503


class NotInArchiveError(ArchiveError):
    """The archive has no such study, series or object."""

    http_status: ClassVar[int] = 404


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class ArchiveAccess:
    """How an archive is reached.

    Attributes:
        root: of its DICOMweb services, without a slash at the end.
        credentials: name and password of HTTP's basic authentication; None: without.
        headers: more that each request carries, such as a token; asked for each time.
        qido_prefix: below the root, where searches go; the same for the other two services.
        wado_prefix: where objects are fetched.
        stow_prefix: where objects are sent.
        search: which series are cases, as QIDO-RS's attributes and values.
        connect_timeout_s: how long a connection may take.
        read_timeout_s: how long the archive may be silent.
    """

    root: str
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    headers: Callable[[], Mapping[str, str]] = field(default=_nothing, repr=False)
    qido_prefix: str = ""
    wado_prefix: str = ""
    stow_prefix: str = ""
    search: Mapping[str, str] = field(default_factory=lambda: {"Modality": "CT"})
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0

    def url(self, prefix: str, *parts: str) -> str:
        """The address of a resource of one service."""
        return "/".join(part for part in (self.root, prefix, *parts) if part)
