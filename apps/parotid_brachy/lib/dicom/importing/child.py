"""The import's child process: ``python -m ...child JOB ANSWER MEMORY SECONDS FILE_BYTES``.

Bounds itself before it looks at anything hostile, does one job, and answers in JSON. Progress goes
to standard output, two numbers a line.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.errors import InputRefusedError, ParotidBrachyError, UsageError

_SPARE: Final = 5
"""Seconds between the signal that may be caught and the one that may not."""


def main(words: list[str]) -> int:
    """Does one job.

    Args:
        words: files of job and answer; bytes of address space, seconds of the processor, bytes
            of one written file.

    Returns:
        0: there is an answer, be it a refusal.
    """
    memory, seconds, file_bytes = map(int, words[2:5])
    _bound(memory, seconds, file_bytes)
    job = json.loads(Path(words[0]).read_text(encoding="ascii"))
    try:
        answer = _do(job)
    except ParotidBrachyError as error:
        answer = {"refused": str(error), "kind": type(error).__name__}
    except (MemoryError, RecursionError) as error:
        answer = {
            "refused": f"{job.get('what', 'the files')}: more {_scarce(error)} needed than any CT "
            "takes. The files are damaged or hostile; export the series again.",
            "kind": InputRefusedError.__name__,
        }
    except OSError as error:
        answer = {
            "refused": f"{job.get('what', 'the files')}: {error.strerror or error}. "
            "Check disk space and permissions.",
            "kind": InputRefusedError.__name__,
        }
    Path(words[1]).write_text(json.dumps(answer), encoding="ascii")
    return 0


def _scarce(error: BaseException) -> str:
    return "memory" if isinstance(error, MemoryError) else "nesting"


def _bound(memory: int, seconds: int, file_bytes: int) -> None:
    """Holds this process to its bounds; they can only be lowered afterwards."""
    for kind, soft, hard in (
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_CPU, seconds, seconds + _SPARE),
        (resource.RLIMIT_FSIZE, file_bytes, file_bytes),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        _, most = resource.getrlimit(kind)
        highest = sys.maxsize if most == resource.RLIM_INFINITY else most
        resource.setrlimit(kind, (min(soft, highest), min(hard, highest)))


def _tell(done: int, total: int) -> None:
    sys.stdout.write(f"{done} {total}\n")
    sys.stdout.flush()


def _do(job: dict[str, Any]) -> dict[str, Any]:
    """Does the job; what is heavy is imported within the bounds."""
    from parotid_brachy.lib.dicom.importing.limits import ImportLimits  # noqa: PLC0415

    limits = ImportLimits(**job["limits"])
    task = job["task"]
    if task == "unpack":
        from parotid_brachy.lib.dicom.importing.archives import unpack  # noqa: PLC0415

        return {"files": unpack(Path(job["archive"]), Path(job["folder"]), limits)}
    if task == "survey":
        from parotid_brachy.lib.dicom.importing.survey import survey  # noqa: PLC0415

        return survey([Path(path) for path in job["files"]], limits, _tell)
    if task == "convert":
        return _convert(job, limits)
    if task == "deface":
        return _deface(job)
    message = f"no such task: {task}"
    raise UsageError(message)


def _convert(job: dict[str, Any], limits: Any) -> dict[str, Any]:
    from parotid_brachy.lib.dicom.importing.conversion import (  # noqa: PLC0415
        SeriesToConvert,
        convert,
    )
    from parotid_brachy.lib.dicom.importing.identity import identity_of  # noqa: PLC0415

    wanted = SeriesToConvert(
        name=job["what"],
        slices=[Path(path) for path in job["slices"]],
        related=[Path(path) for path in job["related"]],
        strays=[Path(path) for path in job["strays"]],
        seed_plan=job["seed_plan"],
    )
    key = Path(job["key"]) if job["key"] else None
    converted = convert(wanted, Path(job["folder"]), identity_of(key), limits, _tell)
    return converted.to_json()


def _deface(job: dict[str, Any]) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415

    from parotid_brachy.lib.dicom.importing.defaced_slices import write_defaced  # noqa: PLC0415

    shape = tuple(int(size) for size in job["shape_kji"])
    packed = np.load(job["mask"], allow_pickle=False)
    changed = np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape).astype(bool)
    write_defaced(Path(job["folder"]), changed, job["what"])
    return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
