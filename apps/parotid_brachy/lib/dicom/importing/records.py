"""What parent and child of an import tell each other, and the checks of what the child says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.volume import Grid

SERIES_FOLDER: Final = "series"
IMAGE_FILE: Final = "image.nii.gz"
"""Where the child leaves the slices and the image of a series, in the folder that it is given."""

LONGEST_TEXT: Final = 1024
_LONGEST_LIST: Final = 100_000


@dataclass(frozen=True)
class SeriesFound:
    """One CT series of a source.

    Attributes:
        uid: its series UID, as in the source.
        number: the same, for people.
        patient_id: as in the source; it leaves the process for no file.
        study_uid: of its study.
        slices: its files.
        related: structure sets, plans and doses of the same study and space.
        strays: slices beside its own that say they are of another series, and may be its ends.
        fault: why it cannot be taken, as far as the headers show; else empty.
    """

    uid: str
    number: str
    patient_id: str
    study_uid: str
    slices: tuple[Path, ...]
    related: tuple[Path, ...] = ()
    strays: tuple[Path, ...] = ()
    fault: str = ""

    @property
    def name(self) -> str:
        """For messages."""
        return f"series {self.number or '?'} ({self.uid})"


@dataclass(frozen=True)
class FileLeftOut:
    """A file that belongs to no series that is taken.

    Attributes:
        path: the file.
        reason: why.
        is_fault: whether it might have been of use, had it been whole.
    """

    path: Path
    reason: str
    is_fault: bool


@dataclass(frozen=True)
class Survey:
    """What a source holds."""

    series: tuple[SeriesFound, ...]
    left_out: tuple[FileLeftOut, ...]


@dataclass(frozen=True)
class Converted:
    """A series as the child has converted it, still to be put into the studies.

    Attributes:
        case: what the case is to be called.
        series_uid: of the slices that were written.
        grid: of the image.
        slice_count: how many slices were written.
        voxels_sha256: of type, shape and CT numbers.
        related: file names of the objects that came along.
        related_left_out: how many of them could not be taken, by reason.
        date_shift_days: by how much the patient's dates were moved.
        deidentification: what was done, without values; None: nothing.
        seed_plan: the seed plan's name or UID, as it may be kept.
        defacing: what was taken of the face; empty: nothing. The hash is of the voxels before.
    """

    case: str
    series_uid: str
    grid: Grid
    slice_count: int
    voxels_sha256: str
    related: tuple[str, ...]
    related_left_out: Mapping[str, int]
    date_shift_days: int
    deidentification: Mapping[str, Any] | None
    seed_plan: str
    defacing: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values; :func:`converted_of` reads them back."""
        return asdict(self)


def survey_of(answer: Mapping[str, Any], paths: Sequence[Path]) -> Survey:
    """Reads a child's answer about files.

    Args:
        answer: what the child said; files are indices.
        paths: the files that it was given.

    Raises:
        InputRefusedError: it is no such answer.
    """
    try:
        return Survey(
            tuple(
                SeriesFound(
                    uid=_text(one["uid"]),
                    number=_text(one["number"]),
                    patient_id=_text(one["patient_id"]),
                    study_uid=_text(one["study_uid"]),
                    slices=_paths(one["slices"], paths),
                    related=_paths(one["related"], paths),
                    strays=_paths(one["strays"], paths),
                    fault=_text(one["fault"]),
                )
                for one in _list(answer["series"])
            ),
            tuple(
                FileLeftOut(paths[_index(where, paths)], _text(reason), bool(is_fault))
                for where, reason, is_fault in _list(answer["left_out"])
            ),
        )
    except _NONSENSE as error:
        raise _nonsense() from error


def converted_of(answer: Mapping[str, Any]) -> Converted:
    """Reads a child's answer about a series.

    Raises:
        InputRefusedError: it is no such answer.
    """
    try:
        grid = answer["grid"]
        findings = answer["deidentification"]
        return Converted(
            case=_text(answer["case"]),
            series_uid=_text(answer["series_uid"]),
            grid=Grid(
                _whole_numbers(grid["size_ijk"]),
                _vector(grid["spacing_mm"]),
                _vector(grid["origin_lps_mm"]),
                tuple(float(value) for value in _list(grid["direction"], 9)),
            ),
            slice_count=int(answer["slice_count"]),
            voxels_sha256=_text(answer["voxels_sha256"]),
            related=tuple(_text(name) for name in _list(answer["related"])),
            related_left_out={
                _text(reason): int(count)
                for reason, count in dict(answer["related_left_out"]).items()
            },
            date_shift_days=int(answer["date_shift_days"]),
            deidentification=None if findings is None else dict(findings),
            seed_plan=_text(answer["seed_plan"]),
        )
    except _NONSENSE as error:
        raise _nonsense() from error


_NONSENSE: Final = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)


def _nonsense() -> InputRefusedError:
    return InputRefusedError("the process that reads the files answered nonsense. Try again.")


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError("no text")
    return value


def _list(value: object, length: int | None = None) -> list[Any]:
    if not isinstance(value, list) or len(value) > _LONGEST_LIST:
        raise ValueError("no list")
    if length is not None and len(value) != length:
        raise ValueError("a list of another length")
    return value


def _index(value: object, paths: Sequence[Path]) -> int:
    if not isinstance(value, int) or not 0 <= value < len(paths):
        raise ValueError("no file")
    return value


def _paths(value: object, paths: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(paths[_index(where, paths)] for where in _list(value))


def _vector(value: object) -> tuple[float, float, float]:
    x, y, z = (float(number) for number in _list(value, 3))
    return (x, y, z)


def _whole_numbers(value: object) -> tuple[int, int, int]:
    i, j, k = (int(number) for number in _list(value, 3))
    return (i, j, k)
