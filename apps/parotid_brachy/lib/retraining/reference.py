"""What models are judged by: a case's contours on the side of the cancer."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import GLAND, STRUCTURES, Side
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.imaging.half_head import find_midplane, labels_of_side
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.retraining.snapshot import Snapshot
from parotid_brachy.lib.retraining.training_folder import IMAGES, LABELS
from parotid_brachy.lib.review.splits import Part
from parotid_brachy.lib.segmentation.training_cases import TrainingCase, find_cases

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class ReferenceCase:
    """A case with the contours that models are compared with.

    Attributes:
        case: its id.
        patient: whose it is; cases of one patient count as one.
        volume: the CT.
        labels: values 0-7 of the side of the cancer only, shape ``volume.grid.shape_kji``.
        contoured: names of the structures that the map is about.
        side: of the cancer.
    """

    case: str
    patient: str
    volume: Volume
    labels: Labels
    contoured: frozenset[str]
    side: Side

    @property
    def grid(self) -> Grid:
        """Of image and contours."""
        return self.volume.grid

    @property
    def gland(self) -> NDArray[np.bool_]:
        """The gland's mask."""
        return np.asarray(self.labels == GLAND.value)

    @classmethod
    def of(
        cls,
        volume: Volume,
        labels: Labels,
        *,
        patient: str | None = None,
        contoured: Collection[str] | None = None,
        side: Side | None = None,
    ) -> ReferenceCase:
        """A case from its whole map.

        Args:
            volume: the CT.
            labels: values 0-7, shape ``volume.grid.shape_kji``; of one side or both.
            patient: None: the case is its own.
            contoured: what the map is about; None: what it has voxels of.
            side: of the cancer; None: where the gland is contoured, and of two glands the smaller,
                which is the operated one.

        Raises:
            InputRefusedError: no gland is contoured on the side.
        """
        midplane = find_midplane(volume)
        halves = {one: labels_of_side(labels, volume.grid, midplane, one) for one in Side}
        sizes = {one: int((half == GLAND.value).sum()) for one, half in halves.items()}
        if not midplane.is_believed and any(sizes.values()):
            # Half a head: all that is contoured is of one side, the one with more of the gland.
            chosen = side or max(Side, key=lambda one: sizes[one])
            halves[chosen], sizes[chosen] = labels, sum(sizes.values())
        else:
            present = [one for one in Side if sizes[one]]
            chosen = side or min(present, key=lambda one: sizes[one], default=Side.LEFT)
        if not sizes[chosen]:
            where = f" on the {side.value}" if side else ""
            message = f"{volume.case}: no gland is contoured{where}, so that nothing can be judged"
            raise InputRefusedError(message)
        own = halves[chosen]
        if contoured is None:
            contoured = [s.name for s in STRUCTURES if (own == s.value).any()]
        name = patient or volume.case
        return cls(volume.case, name, volume, own, frozenset(contoured), chosen)


def references_in(folder: Path, snapshot: Snapshot) -> Iterator[ReferenceCase]:
    """The validation cases of a snapshot that was laid out, read one after the other.

    Args:
        folder: of :func:`.training_folder.materialise`.
        snapshot: that it holds.

    Raises:
        InputRefusedError, GeometryError: an image or a map cannot be judged by.
    """
    files = {one.case: one for one in find_cases(folder / IMAGES, folder / LABELS)}
    for case in snapshot.of(Part.VALIDATION):
        volume = read_volume(files[case.case].image, case=case.case)
        labels = read_label_map(files[case.case].labels, volume.grid)
        yield ReferenceCase.of(
            volume, labels, patient=case.patient, contoured=case.contoured, side=case.side
        )


def references_from(images: Path, labels: Path) -> Iterator[ReferenceCase]:
    """The cases of two plain folders, as trainings pair them, read one after the other.

    Nothing says there what a map is about but its voxels.

    Raises:
        TrainingError: at once: a folder is missing, or no image has a label map.
        InputRefusedError, GeometryError: while reading: an image or a map cannot be judged by.
    """
    first: dict[str, TrainingCase] = {}
    for one in find_cases(images, labels):
        first.setdefault(one.case, one)  # of a case with maps of both sides, the first
    return map(_read, first.values())


def _read(one: TrainingCase) -> ReferenceCase:
    volume = read_volume(one.image, case=one.case)
    return ReferenceCase.of(volume, read_label_map(one.labels, volume.grid), side=one.side)
