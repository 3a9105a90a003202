"""The seeds of a DICOM plan (RTPLAN, PS3.3 C.8.8.15, RT Brachy Application Setups)."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import RTPlanStorage

from parotid_brachy.lib.dosimetry.plan import (
    MOST_SEEDS,
    SAME_PLACE_MM,
    Seed,
    SeedPlan,
    require_apart,
)
from parotid_brachy.lib.dosimetry.seed_model import SeedModel, known_models, load_seed_model
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.dicom_slice import read_dataset
from parotid_brachy.lib.imaging.limits import FileLimits
from parotid_brachy.lib.imaging.stored_image import quoted, regular_file
from parotid_brachy.lib.imaging.volume import Vector

logger = logging.getLogger(__name__)

_LIMITS: Final = FileLimits(slice_file_bytes=32 * 1024**2)
_HALF_LIVES_DIFFER: Final = 0.02
"""Iodine-125 is given 59.4 to 60.2 days; palladium-103 has 17, caesium-131 9.7."""


def read_plan(
    path: Path, model: SeedModel | None = None, *, unnamed: SeedModel | None = None
) -> SeedPlan:
    """The seeds of a permanent implant; strengths are those at the plan's reference date.

    The two control points of a seed (its begin and its end) lie at one place and count once. A
    seed whose control points state no orientation (300A,0412) is of the 1D formalism. A plan
    without a half-life gets its seed model's.

    Args:
        path: of the RTPLAN.
        model: of the seeds, where the plan does not name it or names an unknown one.
        unnamed: of the seeds, where the plan says nothing of it, as after de-identification.

    Raises:
        InputRefusedError: no such plan; not permanent; a source of another model, another nuclide
            or another unit of strength; a seed without position; two seeds at one place.
    """
    dataset = read_dataset(regular_file(path), _LIMITS, pixels=False)
    name = path.name
    if dataset.get("SOPClassUID") != RTPlanStorage:
        message = f"{name}: no RT plan. Give the RTPLAN of the seeds, or a table of them."
        raise InputRefusedError(message)
    technique = str(dataset.get("BrachyTreatmentTechnique", ""))
    if technique != "PERMANENT":
        message = (
            f"{name}: its brachy treatment technique is {quoted(technique)}; only PERMANENT "
            "implants of seeds are calculated."
        )
        raise InputRefusedError(message)
    sources = _sources(name, dataset, model, unnamed)
    chosen = next(iter(sources.values())).model
    seeds = tuple(_seeds(name, dataset, sources))
    if not seeds:
        raise InputRefusedError(f"{name}: a plan without seeds.")
    require_apart(name, seeds)
    return SeedPlan(path.stem, chosen.key, seeds)


@dataclass(frozen=True)
class _Source:
    strength_u: float
    model: SeedModel


def _items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    found = dataset.get(keyword)
    return found if isinstance(found, Sequence) and not isinstance(found, str) else ()


def _sources(
    name: str, dataset: Dataset, model: SeedModel | None, unnamed: SeedModel | None
) -> Mapping[int, _Source]:
    found: dict[int, _Source] = {}
    for item in _items(dataset, "SourceSequence"):
        number = _integer(item.get("SourceNumber"))
        if number is None or number in found:
            message = f"{name}: a source number is missing or stands twice ({number})."
            raise InputRefusedError(message)
        where = f"{name}, source {number}"
        found[number] = _source(where, item, model or _named_model(where, item, unnamed))
    if not found:
        raise InputRefusedError(f"{name}: no source is described. Export the plan again.")
    names = {one.model.key for one in found.values()}
    if len(names) > 1:
        message = f"{name}: seeds of several models ({', '.join(sorted(names))}) in one plan."
        raise InputRefusedError(message)
    return found


def _source(where: str, item: Dataset, chosen: SeedModel) -> _Source:
    units = str(item.get("SourceStrengthUnits", "") or "AIR_KERMA_RATE")
    if units != "AIR_KERMA_RATE":
        message = f"{where}: its strength is in {quoted(units)}; an air-kerma rate is needed."
        raise InputRefusedError(message)
    strength = _number(item.get("ReferenceAirKermaRate"))
    if strength is None or strength <= 0.0:
        stated = quoted(item.get("ReferenceAirKermaRate"))
        message = f"{where}: its reference air-kerma rate is {stated}; a number above 0 is needed."
        raise InputRefusedError(message)
    half_life = _number(item.get("SourceIsotopeHalfLife"))
    if half_life is None or half_life == 0.0:
        logger.warning(
            "%s: no half-life stated; %s days of seed model %s count",
            where,
            chosen.half_life_days,
            chosen.name,
        )
    elif abs(half_life / chosen.half_life_days - 1.0) > _HALF_LIVES_DIFFER:
        message = (
            f"{where}: a half-life of {half_life:g} days, but seed model {chosen.name} has "
            f"{chosen.half_life_days:g}. Give the data file of the plan's seed model."
        )
        raise InputRefusedError(message)
    return _Source(strength, chosen)


def _named_model(where: str, item: Dataset, unnamed: SeedModel | None) -> SeedModel:
    stated = [str(item.get(key, "") or "") for key in ("SourceModelID", "SourceDescription")]
    for text in stated:
        for known in known_models():
            if re.search(rf"(?<![0-9A-Za-z]){re.escape(known)}(?![0-9A-Za-z])", text):
                return load_seed_model(known)
    told = next((text for text in stated if text), "")
    if not told and unnamed is not None:
        return unnamed
    message = (
        f"{where}: its seed model is {quoted(told) if told else 'not named'}; known are "
        f"{', '.join(known_models())}. Say which it is, or give its data file."
    )
    raise InputRefusedError(message)


def _seeds(name: str, dataset: Dataset, sources: Mapping[int, _Source]) -> Iterator[Seed]:
    count = 0
    for setup in _items(dataset, "ApplicationSetupSequence"):
        for channel in _items(setup, "ChannelSequence"):
            where = f"{name}, channel {channel.get('ChannelNumber', '?')}"
            number = _integer(channel.get("ReferencedSourceNumber"))
            if number is None or number not in sources:
                message = (
                    f"{where}: it refers to source {number}, which the plan does not describe."
                )
                raise InputRefusedError(message)
            movement = str(channel.get("SourceMovementType", "") or "FIXED")
            if movement != "FIXED":
                message = f"{where}: its source moves ({quoted(movement)}); a seed stays."
                raise InputRefusedError(message)
            for position, direction in _places(where, channel):
                count += 1
                if count > MOST_SEEDS:
                    raise InputRefusedError(f"{name}: more than {MOST_SEEDS} seeds.")
                yield Seed(position, sources[number].strength_u, direction)


def _places(where: str, channel: Dataset) -> list[tuple[Vector, Vector | None]]:
    found: list[tuple[Vector, Vector | None]] = []
    points = _items(channel, "BrachyControlPointSequence")
    if not points:
        message = f"{where}: no control point says where its seed is."
        raise InputRefusedError(message)
    for point in points:
        position = _vector(point.get("ControlPoint3DPosition"))
        if position is None:
            message = (
                f"{where}: a control point without a position (300A,02D4). Export the plan with "
                "the seeds' positions in the patient, after the implant was planned on the CT."
            )
            raise InputRefusedError(message)
        direction = _vector(point.get("ControlPointOrientation"))
        if direction == (0.0, 0.0, 0.0):
            direction = None
        if found and math.dist(found[-1][0], position) <= SAME_PLACE_MM:
            found[-1] = (found[-1][0], found[-1][1] or direction)
        else:
            found.append((position, direction))
    return found


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _integer(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number == int(number) else None


def _vector(value: Any) -> Vector | None:
    if value is None or isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        return None
    numbers = [_number(one) for one in value]
    if len(numbers) != 3 or any(one is None for one in numbers):
        return None
    x, y, z = (one or 0.0 for one in numbers)
    return x, y, z
