"""The options of an inference as clients send them, parsed into types; and as clients show them.

Clients build their option panel from :func:`shown_options`: a list becomes a drop-down, a bool a
check box. They send the chosen values back as JSON strings, numbers or booleans.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.two_step import TwoStepOptions

_AUTO: Final = "auto"
_SIDES: Final[Mapping[str, Side | None]] = {_AUTO: None, **{side.value: side for side in Side}}
_TRUTH: Final = {"true": True, "false": False}
_SHOWN: Final = 40

DRAFT_TAG: Final = "original"
"""The one tag that drafts are kept under."""


class Ending(enum.Enum):
    """Formats that a label map can be answered in, by the file name's ending."""

    NIFTI_GZ = ".nii.gz"
    SEGMENTATION = ".seg.nrrd"
    NRRD = ".nrrd"


@dataclass(frozen=True)
class InferOptions:
    """What the user chose.

    Attributes:
        side: the patient's side; None: the recorded one, else both are searched and one is
            proposed.
        recorded_side: the side that the case's facts state; never the client's to say.
        keep_beyond_reach: organs at risk farther from the gland than the seeds' reach are kept.
        versions: the model version of each step for which one was named; else the champion serves.
        ending: format of the answer.
        save_draft: the label map is kept as the case's newest draft.
    """

    side: Side | None = None
    recorded_side: Side | None = None
    keep_beyond_reach: bool = False
    versions: Mapping[Step, str] = field(default_factory=dict)
    ending: Ending = Ending.NIFTI_GZ
    save_draft: bool = True

    def for_core(self) -> TwoStepOptions:
        """What of it the two steps want to know."""
        return TwoStepOptions(
            side=self.side,
            recorded_side=self.recorded_side,
            keep_beyond_reach=self.keep_beyond_reach,
        )


def version_option(step: Step) -> str:
    """The name of the option that chooses the model version of a step."""
    return f"{step.value}_model"


def shown_options(
    versions: Mapping[Step, Sequence[str]], *, with_reach: bool = True
) -> dict[str, Any]:
    """The options that clients show, each with its choices, the default first.

    Args:
        versions: the names of each step's model versions, the champion first. A step without any
            is left out, since Slicer fails on an empty drop-down.
        with_reach: whether the task labels organs at risk.
    """
    options: dict[str, Any] = {"side": list(_SIDES)}
    if with_reach:
        options["keep_beyond_reach"] = False
    options.update({version_option(step): list(names) for step, names in versions.items() if names})
    return options


def parse_options(request: Mapping[str, Any]) -> InferOptions:
    """Reads a request's options; what it does not name has its default.

    Raises:
        UsageError: an option has a value that it cannot have.
    """
    tag = request.get("label_tag", DRAFT_TAG)
    if tag != DRAFT_TAG:
        _refuse("label_tag", tag, [DRAFT_TAG])
    versions = {}
    for step in Step:
        name = request.get(version_option(step))
        if name:
            versions[step] = _text(version_option(step), name)
    return InferOptions(
        side=_SIDES[_one_of("side", request.get("side", _AUTO), list(_SIDES))],
        keep_beyond_reach=_truth("keep_beyond_reach", request.get("keep_beyond_reach", False)),
        versions=versions,
        ending=Ending(
            _one_of(
                "result_extension",
                request.get("result_extension") or Ending.NIFTI_GZ.value,
                [ending.value for ending in Ending],
            )
        ),
        save_draft=_truth("save_label", request.get("save_label", True)),
    )


def _one_of(option: str, value: object, allowed: Sequence[str]) -> str:
    text = value.lower() if isinstance(value, str) else value
    if text not in allowed:
        _refuse(option, value, allowed)
    return str(text)


def _truth(option: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    truth = _TRUTH.get(value.lower()) if isinstance(value, str) else None
    if truth is None:
        _refuse(option, value, list(_TRUTH))
    return bool(truth)


def _text(option: str, value: object) -> str:
    if not isinstance(value, str):
        message = f"option {option}: {str(value)[:_SHOWN]!r} is not a name"
        raise UsageError(message)
    return value


def _refuse(option: str, value: object, allowed: Sequence[str]) -> None:
    message = f"option {option}: {str(value)[:_SHOWN]!r} is not one of {', '.join(allowed)}"
    raise UsageError(message)
