"""What a task's status tells of the log of its own process.

The framework's processes begin by logging the server's configuration, which may hold a database's
password, and its folders; what they log is in the status that any annotator may ask for. The whole
log is for admins (``GET /logs/``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_DETAILS: Final = "details"
_TOLD: Final = re.compile(
    r"(?:\[[^\]]*\] )*\((?:parotid_brachy(?:\.\w+)*:\d+\) - |__main__:\d+\) - Result: )"
    r"|parotid_brachy\.lib(?:\.\w+)*Error: "
)
"""Lines of ours, the one with the task's result, and why it was refused."""


def without_servers_log(status: Any) -> Any:
    """A task's status, or several, with those lines of its process's log that are for everybody.

    Args:
        status: as the framework answers it; it is not changed.
    """
    if isinstance(status, Mapping):
        return {
            key: _told(value) if key == _DETAILS else without_servers_log(value)
            for key, value in status.items()
        }
    return [without_servers_log(one) for one in status] if isinstance(status, list) else status


def _told(details: Any) -> Any:
    if details is None or isinstance(details, str):
        return details
    # A copy: the process's lines go on coming while the answer is written.
    return [line for line in list(details) if _TOLD.match(line)]
