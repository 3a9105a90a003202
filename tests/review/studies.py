"""A folder with small heads, a workflow over a store in it, and label maps to save."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from tests.imaging.heads import grid_of, head

from parotid_brachy.lib.anatomy import GLAND, SKIN, STRUCTURES
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes
from parotid_brachy.lib.review.intake import labels_of
from parotid_brachy.lib.review.quarantine import Quarantine
from parotid_brachy.lib.review.records import Version
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.states import ReviewPolicy
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.study_images import StudyImages
from parotid_brachy.lib.review.workflow import Received, Workflow

GRID = grid_of((24, 26, 16), (8.0, 8.0, 10.0))
ANNA = Reader("anna", Role.ANNOTATOR)
BERT = Reader("bert", Role.ANNOTATOR)
SENIOR = Reader("sofia", Role.REVIEWER)
OTHER_SENIOR = Reader("stefan", Role.REVIEWER)
ADMIN = Reader("adam", Role.ADMIN)


def write_head(folder: Path, case: str) -> Path:
    """A CT of that id."""
    volume = head(GRID, case=case)
    image = sitk.GetImageFromArray(volume.voxels)
    image.SetSpacing(GRID.spacing_mm)
    image.SetOrigin(GRID.origin_lps_mm)
    path = folder / f"{case}.nii.gz"
    sitk.WriteImage(image, str(path))
    return path


def label_map(*values: int, at: int = 2) -> np.ndarray:
    """A map with one small box for each value."""
    labels = np.zeros(GRID.shape_kji, np.uint8)
    for n, value in enumerate(values):
        labels[at : at + 3, 3 + 3 * n : 5 + 3 * n, 4:9] = value
    return labels


def sent(*values: int, at: int = 2, **more: object) -> Received:
    """A client's NIfTI map, listing all structures as the app's label list has them."""
    names = [{"name": s.name, "idx": s.value} for s in STRUCTURES]
    content = nifti_bytes(label_map(*(values or (SKIN.value, GLAND.value)), at=at), GRID)
    return Received(content, "map.nii.gz", names, **more)


@dataclass
class Desk:
    """Everything at hand for a test."""

    folder: Path
    images: StudyImages
    store: VersionStore
    workflow: Workflow
    quarantine: Quarantine

    def kept(self, version: Version) -> np.ndarray:
        """The map that a version keeps."""
        return labels_of(self.store.path_of(version.file), GRID)

    def state(self, case: str = "case_a") -> str:
        return self.store.case(case).state.value


def open_desk(folder: Path, *, cases=("case_a",), policy=None, database_url=None) -> Desk:
    """A folder of studies with a store; its images are made where missing."""
    folder.mkdir(exist_ok=True)
    for case in cases:
        if not (folder / f"{case}.nii.gz").exists():
            write_head(folder, case)
    images = StudyImages(folder)
    own = folder / ".parotid"
    store = VersionStore.open(own, database_url=database_url)
    store.register(images.files())
    quarantine = Quarantine(own / "quarantine")
    workflow = Workflow(store, images, quarantine, policy or ReviewPolicy())
    return Desk(folder, images, store, workflow, quarantine)
