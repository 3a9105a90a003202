"""Which CT series a heap of files holds; runs in the import's child process only.

Headers are read without pixels, and of them only what is asked for here: whatever else is
damaged shows when the series is converted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    RTDoseStorage,
    RTPlanStorage,
    RTStructureSetStorage,
)

from parotid_brachy.lib.dicom.importing.limits import ImportLimits
from parotid_brachy.lib.dicom.importing.records import LONGEST_TEXT
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.dicom_slice import is_localizer, looks_like_dicom, why_no_slice
from parotid_brachy.lib.imaging.left_out import LeftOut
from parotid_brachy.lib.imaging.limits import CT_LIMITS
from parotid_brachy.lib.imaging.stored_image import quoted

RELATED_CLASSES: Final = {
    RTStructureSetStorage: "rtstruct",
    RTPlanStorage: "rtplan",
    RTDoseStorage: "rtdose",
}
"""Objects that are kept beside a CT of the same study, and what their files are called."""

_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)+")
_LONGEST_UID: Final = 64
_ASKED: Final = [
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "ImageType",
    "NumberOfFrames",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "FrameOfReferenceUID",
    "ReferencedFrameOfReferenceSequence",
]


@dataclass
class _Series:
    """A CT series in the making."""

    number: str
    patient_id: str
    study_uid: str
    slices: list[int] = field(default_factory=list)
    frames: set[str] = field(default_factory=set)
    fault: str = ""


@dataclass(frozen=True)
class _Related:
    """A structure set, plan or dose."""

    where: int
    study_uid: str
    frames: frozenset[str]
    series_uids: frozenset[str]

    def belongs_to(self, uid: str, series: _Series) -> bool:
        """Whether it is of the same study, and of the series or space that it names, if any."""
        if self.study_uid != series.study_uid:
            return False
        if self.series_uids:
            return uid in self.series_uids
        return not self.frames or bool(self.frames & series.frames)


def survey(
    paths: Sequence[Path], limits: ImportLimits, tell: Callable[[int, int], None]
) -> dict[str, Any]:
    """Looks at all files.

    Args:
        paths: regular files.
        limits: how large one may be.
        tell: called with how many have been looked at, and of how many.

    Returns:
        ``series`` and ``left_out``, as ``records.survey_of`` reads them.
    """
    heap = _Heap(paths, limits)
    for where in range(len(paths)):
        heap.look_at(where)
        tell(where + 1, len(paths))
    return heap.answer()


class _Heap:
    """The files, sorted."""

    def __init__(self, paths: Sequence[Path], limits: ImportLimits) -> None:
        self._paths = paths
        self._limits = limits
        self._series: dict[str, _Series] = {}
        self._related: list[_Related] = []
        self._left_out: list[tuple[int, LeftOut, bool]] = []

    def look_at(self, where: int) -> None:
        """Sorts one file."""
        path = self._paths[where]
        if not looks_like_dicom(path):
            self._leave_out(where, "no DICOM file", is_fault=False)
            return
        try:
            header = _read_header(path, self._limits)
            reason = why_no_slice(header, path)
        except InputRefusedError as error:
            self._leave_out(where, str(error).removeprefix(f"{path.name}: "), is_fault=True)
            return
        series_uid = _text(header, "SeriesInstanceUID")
        sop_class = UID(_text(header, "SOPClassUID"))
        if sop_class in RELATED_CLASSES:
            self._related.append(_related(header, where))
        elif reason:
            is_known = sop_class.name != sop_class  # else pydicom has no name for it
            file = LeftOut(path, reason, series_uid, is_known, is_localizer(header))
            self._left_out.append((where, file, not is_known))
        elif not _UID.fullmatch(series_uid) or len(series_uid) > _LONGEST_UID:
            self._leave_out(where, "without a SeriesInstanceUID that is one", is_fault=True)
        else:
            self._add_slice(where, series_uid, header)

    def _leave_out(self, where: int, reason: str, *, is_fault: bool) -> None:
        self._left_out.append((where, LeftOut(self._paths[where], reason), is_fault))

    def _add_slice(self, where: int, uid: str, header: FileDataset) -> None:
        stated = {key: _text(header, key) for key in ("PatientID", "StudyInstanceUID")}
        one = self._series.setdefault(
            uid,
            _Series(_text(header, "SeriesNumber"), stated["PatientID"], stated["StudyInstanceUID"]),
        )
        for keyword, known in (("PatientID", one.patient_id), ("StudyInstanceUID", one.study_uid)):
            if stated[keyword] != known and not one.fault:
                first = self._paths[one.slices[0]].name
                one.fault = (
                    f"{first} and {self._paths[where].name} differ in {keyword}. "
                    "Give the slices of one patient and study."
                )
        one.slices.append(where)
        one.frames.add(_text(header, "FrameOfReferenceUID"))

    def answer(self) -> dict[str, Any]:
        """What was found."""
        self._find_faults()
        taken: set[int] = set()
        series = []
        for uid, one in self._series.items():
            related = [r.where for r in self._related if r.belongs_to(uid, one)]
            taken.update(related)
            series.append(
                {
                    "uid": uid,
                    "number": one.number,
                    "patient_id": one.patient_id,
                    "study_uid": one.study_uid,
                    "slices": one.slices,
                    "related": related,
                    "strays": self._strays(uid, one),
                    "fault": one.fault[:LONGEST_TEXT],
                }
            )
        alone = [
            (r.where, "of no CT series that lies beside it", False)
            for r in self._related
            if r.where not in taken
        ]
        left_out = [(where, f.reason[:LONGEST_TEXT], fault) for where, f, fault in self._left_out]
        return {"series": series, "left_out": left_out + alone}

    def _strays(self, uid: str, one: _Series) -> list[int]:
        """Slices beside a series' own that say they are of another, too short to be a volume.

        One of them may be the series' end with a damaged UID: where it lies will tell.
        """
        folders = {self._paths[where].parent for where in one.slices}
        return [
            where
            for other_uid, other in self._series.items()
            if other_uid != uid
            and other.study_uid == one.study_uid
            and len(other.slices) < CT_LIMITS.least_size
            for where in other.slices
            if self._paths[where].parent in folders
        ]

    def _find_faults(self) -> None:
        """A damaged file among the slices might be the volume's end, which no gap would show."""
        for uid, one in self._series.items():
            by_folder: dict[Path, list[Path]] = {}
            for where in one.slices:
                by_folder.setdefault(self._paths[where].parent, []).append(self._paths[where])
            for _, file, _ in self._left_out:
                beside = by_folder.get(file.path.parent)
                if not one.fault and beside and file.lies_among(beside, {uid}):
                    one.fault = (
                        f"{file.path.name} is {file.reason.rstrip('.')} but lies among the slices "
                        "as if it were one (damaged?). Export the series again, or move that file "
                        "away."
                    )


def _read_header(path: Path, limits: ImportLimits) -> FileDataset:
    """What is asked for of a file's header.

    Raises:
        InputRefusedError: too large, damaged or deflated.
    """
    size = path.stat().st_size
    if size > limits.file_bytes:
        message = (
            f"{path.name}: {size / 1024**2:.0f} MiB, more than the "
            f"{limits.file_bytes / 1024**2:.0f} MiB of one DICOM object"
        )
        raise InputRefusedError(message)
    try:
        syntax = read_file_meta_info(path).get("TransferSyntaxUID")
        if syntax != DeflatedExplicitVRLittleEndian:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_ASKED)
            for element in header:
                _ = element.value
            return header
    # pydicom lets nearly any error through where a file is damaged.
    except Exception as error:
        message = f"{path.name}: damaged ({type(error).__name__}: {quoted(error)})"
        raise InputRefusedError(message) from error
    message = f"{path.name}: deflated, which may unpack to any size; it is not read"
    raise InputRefusedError(message)


def _related(header: FileDataset, where: int) -> _Related:
    frames, series_uids = {_text(header, "FrameOfReferenceUID")}, set()
    for space in _items(header, "ReferencedFrameOfReferenceSequence"):
        frames.add(_text(space, "FrameOfReferenceUID"))
        for study in _items(space, "RTReferencedStudySequence"):
            for series in _items(study, "RTReferencedSeriesSequence"):
                series_uids.add(_text(series, "SeriesInstanceUID"))
    return _Related(
        where,
        _text(header, "StudyInstanceUID"),
        frozenset(frames - {""}),
        frozenset(series_uids - {""}),
    )


def _items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    value = dataset.get(keyword)
    if isinstance(value, pydicom.Sequence):
        yield from value


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()[:LONGEST_TEXT]
