"""One root error for the whole project.

The core raises these; only the edges (command line, server) translate them, the server by
``http_status`` in one place.
"""

from __future__ import annotations

from typing import ClassVar


class ParotidBrachyError(Exception):
    """Root of every error that this project raises on purpose.

    The message names the case or file, the offending value and what to do about it; it may be
    shown to a user as it is.
    """

    http_status: ClassVar[int] = 500


class UsageError(ParotidBrachyError):
    """The call itself is wrong: an unknown option value, a missing argument."""

    http_status: ClassVar[int] = 400


class InputRefusedError(ParotidBrachyError):
    """A file or volume that must not be worked on: unreadable, lying header, no CT values."""

    http_status: ClassVar[int] = 422


class GeometryError(InputRefusedError):
    """Two grids that should agree do not, or a grid is not one a CT can have."""


class NotFoundError(ParotidBrachyError):
    """A case, model version or file that was asked for does not exist."""

    http_status: ClassVar[int] = 404


class GlandNotFoundError(ParotidBrachyError):
    """Step 1 found no plausible gland where a gland is indispensable."""

    http_status: ClassVar[int] = 422


class NotAuthenticatedError(ParotidBrachyError):
    """Nobody has said, or proved, who is asking."""

    http_status: ClassVar[int] = 401


class NotAllowedError(ParotidBrachyError):
    """Who is asking may not do this."""

    http_status: ClassVar[int] = 403


class ConflictError(ParotidBrachyError):
    """The state of things does not permit it now; says who changed it and when."""

    http_status: ClassVar[int] = 409


class TooLargeError(ParotidBrachyError):
    """More than this server takes: a body, a header, a file that unpacks to too much."""

    http_status: ClassVar[int] = 413


class StoreError(ParotidBrachyError):
    """The version store is damaged, or of a version that this program does not know."""

    http_status: ClassVar[int] = 500


class StoreFullError(ParotidBrachyError):
    """Nothing was kept, because the disk or the database is full or cannot be written."""

    http_status: ClassVar[int] = 507


class ModelRefusedError(ParotidBrachyError):
    """A model version that must not be loaded: wrong hash, incomplete folder, unknown preset."""

    http_status: ClassVar[int] = 503


class TrainingError(ParotidBrachyError):
    """A training that cannot start or go on, with the reason."""

    http_status: ClassVar[int] = 409
