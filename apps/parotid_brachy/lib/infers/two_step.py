"""``two_step``: the gland, then the organs at risk within the seeds' reach of it."""

from __future__ import annotations

from pathlib import Path

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.infers.options import InferOptions
from parotid_brachy.lib.infers.task import SegmentationTask
from parotid_brachy.lib.segmentation.findings import PreLabel
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.two_step import TwoStep


class TwoStepTask(SegmentationTask):
    """Both steps at once; what clients are offered first."""

    name = "two_step"
    summary = "Parotid gland and the six organs at risk within reach of it"
    steps = (Step.GLAND, Step.ORGANS_AT_RISK)
    structures = STRUCTURES

    def propose(self, volume: Volume, options: InferOptions, gland_file: Path | None) -> PreLabel:
        """The gland and the organs at risk."""
        del gland_file  # it finds its own
        gland, organs = (self._models.get(step, options.versions) for step in self.steps)
        return TwoStep(gland, organs).run(volume, options.for_core())
