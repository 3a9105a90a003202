"""Which cases the arguments of a command name, and where their results go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.imaging.dicom_slice import looks_like_dicom
from parotid_brachy.lib.imaging.files import VOLUME_SUFFIXES, case_of
from parotid_brachy.lib.report.writing import is_report


@dataclass(frozen=True)
class CaseInput:
    """One case to be worked on.

    Attributes:
        case: its id, which names the results.
        path: a volume's file, or the folder of a DICOM series.
    """

    case: str
    path: Path


@dataclass(frozen=True)
class CaseOutput:
    """The files that a case's run writes."""

    folder: Path
    case: str

    @property
    def labels(self) -> Path:
        """The label map."""
        return self.folder / f"{self.case}.nii.gz"

    @property
    def report(self) -> Path:
        """The report."""
        return self.folder / f"{self.case}.json"

    @property
    def picture(self) -> Path:
        """The picture."""
        return self.folder / f"{self.case}.png"

    def clear(self) -> None:
        """Removes what an earlier run wrote for the case, so that no two runs' files mix.

        The report goes last: while it is there, the others are known to be a run's.
        """
        for path in (self.labels, self.picture, self.report):
            path.unlink(missing_ok=True)


def find_cases(paths: Sequence[Path]) -> list[CaseInput]:
    """The cases that paths name: files, folders of one DICOM series, and folders of many cases.

    Raises:
        UsageError: a path is missing, a folder holds no case, or two cases have the same name.
    """
    cases = [CaseInput(case_of(path), path) for given in paths for path in _volumes(given)]
    named: dict[str, Path] = {}
    for one in cases:
        # Some file systems hold A.nii.gz and a.nii.gz for one file.
        earlier = named.setdefault(one.case.casefold(), one.path)
        if earlier is not one.path:
            message = (
                f"{earlier} and {one.path} are both called '{one.case}', so that their results "
                "would mix. Rename one, or give them in two calls with two output folders."
            )
            raise UsageError(message)
    return cases


def _volumes(given: Path) -> Iterator[Path]:
    given = given.resolve() if given.name in ("", ".", "..") else given
    if not given.is_dir():
        if not given.exists():
            message = f"{given}: no such file or folder"
            raise UsageError(message)
        yield given
        return
    if _is_series(given):
        yield given
        return
    found = [
        path
        for path in sorted(given.iterdir())
        if not path.name.startswith(".") and (_is_volume(path) or _is_series(path))
    ]
    if not found:
        message = (
            f"{given}: no CT in this folder. Give files ({', '.join(VOLUME_SUFFIXES)}), folders "
            "of DICOM slices, or a folder of these"
        )
        raise UsageError(message)
    yield from found


def _is_volume(path: Path) -> bool:
    return path.is_file() and path.name.lower().endswith(VOLUME_SUFFIXES)


def _is_series(path: Path) -> bool:
    if not path.is_dir():
        return False
    files = (file for file in path.iterdir() if file.is_file())
    return any(file.suffix.lower() == ".dcm" or looks_like_dicom(file) for file in files)


def plan_outputs(cases: Sequence[CaseInput], folder: Path) -> list[CaseOutput]:
    """Where the results of each case go.

    Raises:
        UsageError: a result would overwrite an input, or a file that is no earlier result.
    """
    outputs = [CaseOutput(folder, one.case) for one in cases]
    inputs = {one.path.resolve() for one in cases}
    for output in outputs:
        written = [path for path in (output.labels, output.picture) if path.exists()]
        if any(path.resolve() in inputs for path in (output.labels, output.report)):
            message = f"{output.labels} is an input. Choose another output folder"
            raise UsageError(message)
        if output.report.exists() and not is_report(output.report):
            written.append(output.report)
        elif output.report.exists():
            continue
        if written:
            message = (
                f"{written[0]} exists and is no result of an earlier run. "
                "Choose another output folder"
            )
            raise UsageError(message)
    return outputs
