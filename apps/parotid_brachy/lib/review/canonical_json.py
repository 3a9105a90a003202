"""JSON in one spelling only, so that equal values have equal bytes and equal hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from parotid_brachy.lib.errors import UsageError


def canonical_json(value: Any, *, what: str = "value") -> str:
    """A value as JSON in ASCII: keys sorted, no spaces, no NaN or infinity.

    Args:
        value: JSON values only.
        what: names it in the error.

    Raises:
        UsageError: it holds something else, or nests too deeply.
    """
    try:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        )
    except (TypeError, ValueError, RecursionError) as error:
        message = f"{what}: holds more than JSON can say ({str(error)[:200]})"
        raise UsageError(message) from error


def json_object(value: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """An object as it comes back from the database: a copy of plain JSON values.

    Raises:
        UsageError: as :func:`canonical_json`.
    """
    parsed: dict[str, Any] = json.loads(canonical_json(dict(value), what=what))
    return parsed
