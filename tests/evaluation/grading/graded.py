"""Small grading studies for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.imaging.heads import grid_of, head

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK
from parotid_brachy.lib.evaluation.grading.making import Picture, StudyPlan, make_study
from parotid_brachy.lib.evaluation.grading.study import read_study
from parotid_brachy.lib.imaging.files import write_label_map
from parotid_brachy.lib.imaging.nifti_image import write_nifti

GRID = grid_of()
GRADERS = ("Dr Berg", "Dr Aho")


def painted(shift: int = 0) -> np.ndarray:
    """A gland, and each organ as a block."""
    labels = np.zeros(GRID.shape_kji, dtype=np.uint8)
    labels[14:20, 20:30, 14 + shift : 20 + shift] = GLAND.value
    for place, structure in enumerate(ORGANS_AT_RISK):
        low = 6 + 4 * place
        labels[12:18, 14:18, low + shift : low + 3 + shift] = structure.value
    return labels


def inputs(folder: Path, cases: int = 3, methods: tuple[str, ...] = ("two-step", "v-net")) -> None:
    """CTs, manual contours, and label maps of each method."""
    for name in ("ct", "ref", *methods):
        (folder / name).mkdir(parents=True)
    for number in range(cases):
        case = f"case {number}"
        write_nifti(folder / "ct" / f"{case}.nii.gz", head(GRID, case=case))
        write_label_map(folder / "ref" / f"{case}.nii.gz", painted(), GRID)
        for place, method in enumerate(methods):
            labels = painted(1 + place)
            if place:  # a method without the gland, in another kind of file
                labels[labels == GLAND.value] = 0
            ending = ".nii.gz" if place == 0 else ".seg.nrrd"
            write_label_map(folder / method / f"{case}{ending}", labels, GRID)


def plan_of(folder: Path, methods=("two-step", "v-net"), graders=GRADERS, **more) -> StudyPlan:
    return StudyPlan(
        images=folder / "ct",
        references=folder / "ref",
        predictions={method: folder / method for method in methods},
        graders=tuple(graders),
        **more,
    )


def draw_nothing(volume, labels, structures, filled) -> list[Picture]:
    """Stands in for pictures where they are not looked at."""
    return [Picture("axial", b"png")]


def made(folder: Path, name: str = "study", **more):
    """A study of three cases, two methods and the control."""
    if not (folder / "ct").exists():
        inputs(folder)
    problems = make_study(plan_of(folder, **more), folder / name, draw_nothing, lambda _: None)
    assert problems == ()
    return read_study(folder / name)
