"""The options of a training as clients send them, parsed into types; and as clients show them.

MONAI Label's users know ``max_epochs`` and ``pretrained``; the rest is named as everywhere here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.retraining.job import Beginning, Task, TrainingChoice
from parotid_brachy.lib.retraining.preset_choice import preset_names
from parotid_brachy.lib.segmentation.presets import preset_for

_NUMBERS: Final = ("max_epochs", "iterations", "folds", "seed")
_SWITCHES: Final = ("virtual_surgery", "field_of_view")
_OPTIONS: Final = ("preset", "pretrained", *_NUMBERS, *_SWITCHES)
_NOT_OURS: Final = frozenset({"model", "client_id", "device", "gpus", "name", "user"})
"""What stock clients send along and nothing here depends on."""
_TRUTH: Final = {"true": True, "false": False}


def shown_options(task: Task, first: str) -> dict[str, Any]:
    """The options that clients show, each with its choices, the default first.

    Args:
        task: what is trained.
        first: the preset to offer first.
    """
    names = preset_names(task)
    names.sort(key=lambda name: name != first)
    preset = preset_for(names[0], task.steps[-1])
    return {
        "preset": names,
        "max_epochs": preset.epochs,
        "iterations": preset.iterations,
        "pretrained": True,
        "virtual_surgery": preset.virtual_surgery,
        "field_of_view": preset.field_of_view,
    }


def parse_choice(task: Task, request: Mapping[str, Any], *, default_preset: str) -> TrainingChoice:
    """Reads a request's options; what it does not name has its default.

    Raises:
        UsageError: there is no such option, or it has a value that it cannot have.
    """
    unknown = sorted(set(request) - {*_OPTIONS, *_NOT_OURS})
    if unknown:
        message = f"no option {unknown[0][:40]!r} of a training; there are: {', '.join(_OPTIONS)}"
        raise UsageError(message)
    numbers = {name: _whole(name, request[name]) for name in _NUMBERS if name in request}
    switches = {name: _truth(name, request[name]) for name in _SWITCHES if name in request}
    pretrained = _truth("pretrained", request.get("pretrained", True))
    return TrainingChoice(
        task=task,
        preset=_preset(task, request.get("preset") or default_preset),
        epochs=numbers.get("max_epochs"),
        iterations=numbers.get("iterations"),
        beginning=Beginning.CHAMPION if pretrained else Beginning.SCRATCH,
        virtual_surgery=switches.get("virtual_surgery"),
        field_of_view=switches.get("field_of_view"),
        folds=numbers.get("folds", TrainingChoice.folds),
        seed=numbers.get("seed", TrainingChoice.seed),
    )


def _preset(task: Task, value: object) -> str:
    # Slicer sends the whole list where nobody has chosen.
    chosen = value[0] if isinstance(value, Sequence) and not isinstance(value, str) else value
    names = preset_names(task)
    if chosen not in names:
        message = f"option preset: {str(chosen)[:40]!r} is not one of {', '.join(names)}"
        raise UsageError(message)
    return str(chosen)


def _whole(option: str, value: object) -> int:
    is_number = isinstance(value, (int, float, str)) and not isinstance(value, bool)
    try:
        number = float(value) if is_number else None  # type: ignore[arg-type]
    except ValueError:
        number = None
    if number is None or number != number // 1:
        message = f"option {option}: {str(value)[:40]!r} is not a whole number"
        raise UsageError(message)
    return int(number)


def _truth(option: str, value: object) -> bool:
    truth = value if isinstance(value, bool) else _TRUTH.get(str(value).lower())
    if truth is None:
        message = f"option {option}: {str(value)[:40]!r} is not true or false"
        raise UsageError(message)
    return truth
