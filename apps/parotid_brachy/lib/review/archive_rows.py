"""Rows of the store's tables as JSON lines, and back from an archive that nobody vouches for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO, Any, Final

from sqlalchemy import Boolean, Column, Connection, Integer, Table, insert, select

from parotid_brachy.lib.errors import InputRefusedError, UsageError
from parotid_brachy.lib.review.canonical_json import canonical_json
from parotid_brachy.lib.review.case_ids import is_case_id
from parotid_brachy.lib.review.objects import checked_file, object_name
from parotid_brachy.lib.review.schema import (
    Json,
    Utc,
    cases,
    handovers,
    journal,
    notes,
    objects,
    seed_plans,
    servings,
    split_patients,
    tags,
    versions,
)
from parotid_brachy.lib.review.tag_names import require_tag

TABLES: Final = (
    objects,
    cases,
    versions,
    tags,
    notes,
    journal,
    servings,
    handovers,
    split_patients,
    seed_plans,
)
"""What an archive holds, each after the tables that it names rows of."""

_SINCE: Final = {split_patients.name: "0002", seed_plans.name: "0003"}
"""Revisions of the schema that brought a table; so far they have changed no other."""

_CHUNK: Final = 1000
_LONGEST_LINE: Final = 64 * 1024**2


def tables_of(revision: str) -> tuple[Table, ...]:
    """The tables that an archive of a schema's revision holds; those of later ones are empty."""
    return tuple(table for table in TABLES if _SINCE.get(table.name, "") <= revision)


def lines_of(connection: Connection, table: Table) -> Iterator[bytes]:
    """A table's rows by key, as JSON lines."""
    query = select(table).order_by(*table.primary_key.columns)
    for row in connection.execution_options(yield_per=_CHUNK).execute(query):
        values = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in row._asdict().items()
        }
        yield canonical_json(values, what=table.name).encode() + b"\n"


def insert_lines(connection: Connection, table: Table, file: IO[bytes]) -> None:
    """Adds rows from JSON lines.

    Raises:
        InputRefusedError: a line is none of the table's; names table and line.
    """
    chunk: list[dict[str, Any]] = []
    for row in rows_of(table, file):
        chunk.append(row)
        if len(chunk) == _CHUNK:
            connection.execute(insert(table), chunk)
            chunk = []
    if chunk:
        connection.execute(insert(table), chunk)


def rows_of(table: Table, file: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Checked rows from JSON lines.

    Raises:
        InputRefusedError: a line is none of the table's; names table and line.
    """
    for number, line in enumerate(_lines(table, file), start=1):
        try:
            values = json.loads(line)
            row = {name: _value(column, values.pop(name)) for name, column in table.c.items()}
            _require_names(table, row)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, UsageError):
            values = None
        if values != {}:
            message = f"the archive's {table.name}, line {number}: no row of this table"
            raise InputRefusedError(message)
        yield row


def _lines(table: Table, file: IO[bytes]) -> Iterable[bytes]:
    while line := file.readline(_LONGEST_LINE):
        if not line.endswith(b"\n"):
            message = f"the archive's {table.name}: a line is cut off or too long"
            raise InputRefusedError(message)
        yield line


def _value(column: Column[Any], value: Any) -> Any:
    """A value that a column takes.

    Raises:
        TypeError, ValueError: it takes none such.
    """
    if value is None and column.nullable:
        return None
    kind = column.type
    if isinstance(kind, Json):
        if value is None:
            raise TypeError
        return value
    if isinstance(kind, Utc):
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise ValueError
        return time
    wanted = bool if isinstance(kind, Boolean) else int if isinstance(kind, Integer) else str
    if type(value) is not wanted:
        raise TypeError
    return value


def _require_names(table: Table, row: dict[str, Any]) -> None:
    """Refuses names that would become paths outside the store.

    Raises:
        UsageError, ValueError: there is one.
    """
    if table is objects:
        file = checked_file(row["sha256"], row["size_bytes"], row["ending"])
        if row["name"] != object_name(file):
            raise ValueError
    if table is cases and not is_case_id(row["id"]):
        raise ValueError
    if "tag" in row:
        require_tag(row["case_id"], row["tag"])
