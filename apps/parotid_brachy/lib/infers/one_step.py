"""``one_step``: segmentation only, the method that the protocol compares with."""

from __future__ import annotations

from pathlib import Path

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.infers.options import InferOptions
from parotid_brachy.lib.infers.task import SegmentationTask
from parotid_brachy.lib.segmentation.findings import PreLabel
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.two_step import OneStep


class OneStepTask(SegmentationTask):
    """All seven structures by one network on the half head."""

    name = "one_step"
    summary = "Parotid gland and organs at risk by a single network (segmentation only)"
    steps = (Step.ONE_STEP,)
    structures = STRUCTURES

    def propose(self, volume: Volume, options: InferOptions, gland_file: Path | None) -> PreLabel:
        """The gland and the organs at risk."""
        del gland_file  # it finds its own
        return OneStep(self._models.get(Step.ONE_STEP, options.versions)).run(
            volume, options.for_core()
        )
