"""``organs_at_risk``: step 2 alone, round a gland that is there already."""

from __future__ import annotations

from pathlib import Path

from parotid_brachy.lib.anatomy import GLAND, STRUCTURES
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.imaging.files import read_label_map
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.infers.options import InferOptions
from parotid_brachy.lib.infers.task import SegmentationTask
from parotid_brachy.lib.segmentation.findings import PreLabel
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.two_step import OrgansOnly


class OrgansAtRiskTask(SegmentationTask):
    """The six organs at risk, found and cut anew round a given gland, which stays as it is."""

    name = "organs_at_risk"
    summary = "Organs at risk round the gland of the case's newest label map (step 2)"
    steps = (Step.ORGANS_AT_RISK,)
    structures = STRUCTURES
    wants_gland = True

    def propose(self, volume: Volume, options: InferOptions, gland_file: Path | None) -> PreLabel:
        """The organs at risk, with the gland as given.

        Raises:
            UsageError: no label map was given.
            GeometryError: the label map is not on the image's grid.
            GlandNotFoundError: it has no gland in it.
        """
        if gland_file is None:
            message = f"{volume.case}: send a label map with the gland ({GLAND.value}) in it"
            raise UsageError(message)
        gland = read_label_map(gland_file, volume.grid) == GLAND.value
        return OrgansOnly(self._models.get(Step.ORGANS_AT_RISK, options.versions)).run(
            volume, gland, options.for_core()
        )
