"""Seeds as a table: one row a seed, comma-separated, with a row of names at the top.

Columns: ``x_mm``, ``y_mm``, ``z_mm`` (LPS), ``air_kerma_strength_u`` or ``activity_mci``, and
optionally ``dx``, ``dy``, ``dz``, the direction of the seed's axis.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from parotid_brachy.lib.dosimetry.plan import MOST_SEEDS, Seed, SeedPlan, require_apart
from parotid_brachy.lib.dosimetry.seed_model import SeedModel
from parotid_brachy.lib.dosimetry.tg43 import strength_u
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.imaging.stored_image import quoted, regular_file
from parotid_brachy.lib.imaging.volume import Vector

_POSITION: Final = ("x_mm", "y_mm", "z_mm")
_STRENGTH: Final = "air_kerma_strength_u"
_ACTIVITY: Final = "activity_mci"
_DIRECTION: Final = ("dx", "dy", "dz")
_LARGEST_BYTES: Final = 1024**2


def read_seeds(path: Path, model: SeedModel) -> SeedPlan:
    """The seeds of a table, named after the file.

    Args:
        path: of the table, UTF-8.
        model: of the seeds; a table names none.

    Raises:
        InputRefusedError: no such table, or a row that is no seed: names the row and the value; or
            two seeds at one place.
    """
    rows = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        _check_columns(path.name, rows.fieldnames or ())
        seeds: list[Seed] = []
        for row in rows:
            if len(seeds) == MOST_SEEDS:
                message = f"{path.name}: more than {MOST_SEEDS} seeds. Give one implant's."
                raise InputRefusedError(message)
            seeds.append(_seed(f"{path.name}, row {rows.line_num}", row, model))
    except csv.Error as error:
        raise InputRefusedError(f"{path.name}: no table ({quoted(error)}).") from error
    require_apart(path.name, seeds)
    return SeedPlan(path.stem, model.key, tuple(seeds))


def write_seeds(plan: SeedPlan, path: Path) -> None:
    """Writes the table that :func:`read_seeds` reads, to the last digit.

    Raises:
        OSError: it cannot be written; nothing of it is left then.
    """
    write_atomically(path, seeds_csv(plan))


def seeds_csv(plan: SeedPlan) -> bytes:
    """The table that :func:`read_seeds` reads, to the last digit."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow((*_POSITION, _STRENGTH, *_DIRECTION))
    for seed in plan.seeds:
        direction = seed.direction_lps or ("", "", "")
        table.writerow((*seed.position_lps_mm, seed.air_kerma_strength_u, *direction))
    return text.getvalue().encode()


def _text(path: Path) -> str:
    try:
        size = regular_file(path).stat().st_size
        if size > _LARGEST_BYTES:
            message = f"{path.name}: {size} bytes, at most {_LARGEST_BYTES} make a table of seeds."
            raise InputRefusedError(message)
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path.name}: no table of seeds in UTF-8 ({quoted(error)})."
        raise InputRefusedError(message) from error


def _check_columns(name: str, columns: Sequence[str]) -> None:
    found = set(columns)
    known = {*_POSITION, _STRENGTH, _ACTIVITY, *_DIRECTION}
    faults = []
    if missing := [one for one in _POSITION if one not in found]:
        faults.append(f"{', '.join(missing)} missing")
    if (_STRENGTH in found) == (_ACTIVITY in found):
        faults.append(f"either {_STRENGTH} or {_ACTIVITY} is needed")
    if found & set(_DIRECTION) and not found.issuperset(_DIRECTION):
        faults.append("a direction needs dx, dy and dz")
    if unknown := sorted(found - known):
        faults.append(f"{', '.join(map(quoted, unknown[:8]))} unknown")
    if len(found) != len(columns):
        faults.append("a name stands twice")
    if faults:
        message = (
            f"{name}: {'; '.join(faults)}. The first row names the columns, separated by commas: "
            f"{', '.join(_POSITION)}, {_STRENGTH} or {_ACTIVITY}, and optionally dx, dy, dz."
        )
        raise InputRefusedError(message)


def _seed(where: str, row: Mapping[str | None, str | None], model: SeedModel) -> Seed:
    if None in row or None in row.values():
        message = f"{where}: not as many values as the first row has names."
        raise InputRefusedError(message)
    cells = {str(name): (value or "").strip() for name, value in row.items()}
    position = _vector(where, cells, _POSITION)
    if _STRENGTH in cells:
        strength = _number(where, cells, _STRENGTH)
    else:
        strength = strength_u(model, _number(where, cells, _ACTIVITY))
    is_oriented = any(cells.get(name) for name in _DIRECTION)
    try:
        direction = _vector(where, cells, _DIRECTION) if is_oriented else None
        return Seed(position, strength, direction)
    except InputRefusedError as error:
        message = str(error)
        raise InputRefusedError(
            message if message.startswith(where) else f"{where}: {message}"
        ) from error


def _vector(where: str, cells: Mapping[str, str], names: tuple[str, str, str]) -> Vector:
    x, y, z = (_number(where, cells, name) for name in names)
    return x, y, z


def _number(where: str, cells: Mapping[str, str], name: str) -> float:
    text = cells[name]
    # float() also reads underscores and other scripts' digits, which no program writes.
    if text.isascii() and "_" not in text:
        try:
            return float(text)
        except ValueError:
            pass
    message = f"{where}: {name} is {quoted(text)}; a number with a decimal point is needed."
    raise InputRefusedError(message)
