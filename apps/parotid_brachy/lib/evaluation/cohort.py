"""Which files of several folders belong to the same case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.imaging.files import VOLUME_SUFFIXES, case_of

# Spreadsheets take what begins so for a formula, and the tables are opened in them.
_FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Problem:
    """Something that a person must look at.

    Attributes:
        case: which case.
        message: what is wrong and what to do.
    """

    case: str
    message: str


@dataclass(frozen=True)
class CohortCase:
    """One case and its label maps.

    Attributes:
        case: its id, as the reference's file is called.
        reference: the file that predictions are compared with.
        predictions: by method, in the order given; None where the method has no file, which is
            a miss of every structure. A method whose file is ambiguous has no entry.
    """

    case: str
    reference: Path
    predictions: Mapping[str, Path | None]


@dataclass(frozen=True)
class Cohort:
    """Cases that can be evaluated, by id, and what stood in the way of others."""

    cases: tuple[CohortCase, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Folder:
    """Files of a folder by the case's id without regard to capitals."""

    files: Mapping[str, Path]
    ambiguous: Mapping[str, str]
    problems: tuple[Problem, ...]


def match_cohort(references: Path, predictions: Mapping[str, Path]) -> Cohort:
    """Matches label maps by case id; capitals make no difference, as on some file systems.

    Args:
        references: folder of the label maps to compare with.
        predictions: folder of each method.

    Raises:
        UsageError: a folder is missing or cannot be listed, or there is no reference at all.
    """
    known = _listed(references, "references")
    if not known.files and not known.ambiguous:
        message = f"{references}: no label map in this folder ({', '.join(VOLUME_SUFFIXES)})"
        raise UsageError(message)
    found = {method: _listed(folder, method) for method, folder in predictions.items()}
    problems = [*known.problems]
    for method, listed in found.items():
        problems.extend(listed.problems)
        problems.extend(
            Problem(
                case_of(path),
                f"{case_of(path)}: {method} has a map but the references have none. "
                "It was not evaluated; add the reference or remove the map.",
            )
            for key, path in listed.files.items()
            if key not in known.files and key not in known.ambiguous
        )
    cases = []
    for key, reference in known.files.items():
        case = case_of(reference)
        maps: dict[str, Path | None] = {}
        for method, listed in found.items():
            if key in listed.ambiguous:
                continue
            maps[method] = listed.files.get(key)
            if maps[method] is None:
                problems.append(
                    Problem(
                        case,
                        f"{case}: {method} has no map. Every structure counts as missed.",
                    )
                )
        cases.append(CohortCase(case, reference, maps))
    return Cohort(tuple(cases), tuple(problems))


def with_misses(cohort: Cohort, methods: Iterable[str]) -> Cohort:
    """The cohort with a method's ambiguous maps as missing ones, which count as missed.

    Args:
        cohort: of :func:`match_cohort`.
        methods: all that are evaluated, in order.
    """
    names = tuple(methods)
    return replace(
        cohort,
        cases=tuple(
            replace(case, predictions={name: case.predictions.get(name) for name in names})
            for case in cohort.cases
        ),
    )


def find_images(folder: Path) -> tuple[Mapping[str, Path], tuple[Problem, ...]]:
    """CTs by case id (case-folded), and what is wrong with others.

    Raises:
        UsageError: the folder is missing or cannot be listed.
    """
    listed = _listed(folder, "images")
    return listed.files, listed.problems


def _listed(folder: Path, what: str) -> _Folder:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        message = f"{folder}: the folder of {what} cannot be listed ({error.strerror or error})."
        raise UsageError(message) from error
    grouped: dict[str, list[Path]] = {}
    for path in paths:
        if not path.name.startswith(".") and path.name.lower().endswith(VOLUME_SUFFIXES):
            grouped.setdefault(case_of(path).casefold(), []).append(path)
    files: dict[str, Path] = {}
    ambiguous: dict[str, str] = {}
    problems: list[Problem] = []
    for key, same in grouped.items():
        case = case_of(same[0])
        if len(same) > 1:
            names = ", ".join(path.name for path in same)
            wrong = f"{case!r} is given more than once in {what} ({names}). Keep one of them."
        elif case.startswith(_FORMULA) or not case.isprintable():
            wrong = (
                f"{case!r} in {what} is no case id: it holds unprintable characters or begins "
                f"with one of {' '.join(_FORMULA)}. Rename the file."
            )
        else:
            files[key] = same[0]
            continue
        ambiguous[key] = wrong
        problems.append(Problem(case, wrong))
    return _Folder(files, ambiguous, tuple(problems))
