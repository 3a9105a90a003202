"""Tasks that a request names: models, strategies, trainers, scoring methods."""

from __future__ import annotations

from monailabel.interfaces.utils.app import app_instance

from parotid_brachy.lib.errors import NotFoundError


def check_task(name: object, kind: str) -> None:
    """Refuses the name of a task that the app does not have, before any work is begun for it.

    Raises:
        NotFoundError: naming those there are.
    """
    known = app_instance().info()[kind]
    if isinstance(name, str) and name not in known:
        message = f"no {name[:60]!r} among the {kind}; there are: {', '.join(known) or 'none'}"
        raise NotFoundError(message)
