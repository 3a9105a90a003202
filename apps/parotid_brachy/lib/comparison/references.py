"""The test cases' reference maps, each of one side, as the methods' maps are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from parotid_brachy.lib.anatomy import GLAND, Side
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.imaging.files import read_label_map, read_volume, write_label_map
from parotid_brachy.lib.imaging.half_head import find_midplane, labels_of_side
from parotid_brachy.lib.segmentation.training_cases import TrainingCase


@dataclass(frozen=True)
class TestItem:
    """One side of one test case.

    Attributes:
        name: the case's id and the side.
        image: the CT.
        side: the patient's; as in the protocol, it is known when a CT is labelled.
    """

    name: str
    image: Path
    side: Side

    @property
    def file_name(self) -> str:
        """Of its label maps."""
        return f"{self.name}.nii.gz"


def write_references(
    cases: Sequence[TrainingCase], folder: Path, on_case: Callable[[int, int], None]
) -> tuple[TestItem, ...]:
    """Writes ``<case>_<side>.nii.gz`` for every side of the test cases that has a gland.

    Args:
        cases: those tested on.
        folder: of the references.
        on_case: called with (maps done, maps).

    Raises:
        InputRefusedError: an image or a map cannot be used.
        UsageError: no case has a gland.
    """
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for number, case in enumerate(cases):
        on_case(number, len(cases))
        volume = read_volume(case.image, case=case.case)
        labels = read_label_map(case.labels, volume.grid)
        midplane = None if case.side else find_midplane(volume)
        for side in (case.side,) if case.side else Side:
            own = labels
            if midplane is not None:
                own = labels_of_side(labels, volume.grid, midplane, side)
            if (own == GLAND.value).any():
                item = TestItem(f"{case.case}_{side.value}", case.image, side)
                write_label_map(folder / item.file_name, own, volume.grid)
                items.append(item)
    on_case(len(cases), len(cases))
    if not items:
        message = "no test case has a gland on either side; nothing could be compared"
        raise UsageError(message)
    return tuple(items)
