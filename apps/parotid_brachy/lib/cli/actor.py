"""Who sits at the command line."""

from __future__ import annotations

import getpass

from parotid_brachy.lib.review.found import UNKNOWN_READER, reader_of
from parotid_brachy.lib.review.roles import Reader, Role


def person_at_the_keyboard() -> Reader:
    """The account's user, an admin: who can write the files can do all else as well."""
    try:
        name = reader_of(getpass.getuser())
    except (OSError, KeyError, ImportError):  # an account without a name, as in containers
        name = UNKNOWN_READER
    return Reader(name, Role.ADMIN)
