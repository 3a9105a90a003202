"""A folder as MONAI Label's own store leaves it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tests.review.studies import GRID, label_map, write_head

from parotid_brachy.lib.anatomy import GLAND, SKIN, STRUCTURES
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes

NAMES = [{"name": one.name, "idx": one.value} for one in STRUCTURES]
NOON = 1_700_000_000


def map_bytes(*values: int, at: int = 2) -> bytes:
    """A NIfTI map."""
    return nifti_bytes(label_map(*(values or (SKIN.value, GLAND.value)), at=at), GRID)


class OldFolder:
    """Writes images, label maps and the list of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: dict = {}
        folder.mkdir(exist_ok=True)

    def image(self, case: str, info=None) -> None:
        write_head(self.folder, case)
        self.objects[case] = {"image": {"ext": ".nii.gz", "info": info or {}}, "labels": {}}

    def file(self, case: str, tag: str, content: bytes, ending: str = ".nii.gz") -> Path:
        """A label map that is not listed."""
        path = self.folder / "labels" / tag / f"{case}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def label(self, case: str, tag: str, content: bytes, ending: str = ".nii.gz", **info) -> Path:
        """A label map with its entry."""
        noted = {"ts": NOON, "label_info": NAMES, "client_id": "anna", **info}
        self.objects[case]["labels"][tag] = {"ext": ending, "info": noted}
        return self.file(case, tag, content, ending)

    def write_list(self) -> Path:
        path = self.folder / "datastore_v2.json"
        content = {
            "name": "new-dataset",
            "description": "New Dataset",
            "images_dir": ".",
            "labels_dir": "labels",
            "objects": self.objects,
        }
        path.write_text(json.dumps(content, indent=2))
        return path


def review(status="", *, by="sofia", at=NOON + 1000, level="", comment=""):
    """The stock Reviewer's record."""
    return {
        "segmentationMeta": {
            "status": status,
            "approvedBy": by,
            "level": level,
            "comment": comment,
            "editTime": at,
        }
    }


def same(labels: np.ndarray, *values: int, at: int = 2) -> bool:
    return np.array_equal(labels, label_map(*values, at=at))
