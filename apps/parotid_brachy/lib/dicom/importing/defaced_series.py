"""Takes the face out of a converted series before it is put into the studies.

Where the glands are is found here, by networks; hostile pixels are decoded and written in the
bounded child process, as all others are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.dicom.deidentification.defacing import deface
from parotid_brachy.lib.dicom.importing.child_process import ChildJob, Progress, run_child
from parotid_brachy.lib.dicom.importing.limits import ImportLimits
from parotid_brachy.lib.dicom.importing.records import IMAGE_FILE, Converted
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.imaging.volume import Volume

FindGlands = Callable[[Volume], NDArray[np.uint8]]
"""Labels both parotid glands of a CT, on its grid; those that are found."""

_FOLDER: Final = "defacing"
_MASK_FILE: Final = "face.npy"


def deface_converted(
    converted: Converted,
    folder: Path,
    find_glands: FindGlands,
    *,
    name: str,
    limits: ImportLimits,
    progress: Progress | None = None,
) -> Converted:
    """The series without the face's surface; all within reach of both glands stays as it is.

    Args:
        converted: what ``conversion.convert`` has left in the folder.
        folder: it; its slices and image are written anew.
        find_glands: says where the glands are.
        name: of the series, for messages.
        limits: of the child process.
        progress: told how far it is.

    Raises:
        InputRefusedError: no gland is found, so that nothing says what must stay.
    """
    volume = read_volume(folder / IMAGE_FILE, case=converted.case)
    labels = find_glands(volume)
    if not labels.any():
        message = (
            f"{name}: not defaced, since no parotid gland was found and what lies within its reach "
            "must stay. Import it without --deface, or leave it out."
        )
        raise InputRefusedError(message)
    done = deface(volume, labels)
    private = folder / _FOLDER
    private.mkdir()
    np.save(private / _MASK_FILE, np.packbits(done.changed), allow_pickle=False)
    job = ChildJob(
        "deface",
        {
            "folder": str(folder.absolute()),
            "mask": str((private / _MASK_FILE).absolute()),
            "shape_kji": list(done.changed.shape),
        },
        what=name,
        seconds=limits.convert_s,
        memory_bytes=limits.memory_bytes,
    )
    run_child(job, private, limits, progress)
    ml = float(done.changed.sum()) * volume.grid.voxel_ml
    return replace(converted, defacing=f"{ml:.0f} ml set to air, by {done.basis.value}")
