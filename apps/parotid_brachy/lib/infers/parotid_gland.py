"""``parotid_gland``: step 1 alone."""

from __future__ import annotations

from pathlib import Path

from parotid_brachy.lib.anatomy import GLAND
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.infers.options import InferOptions
from parotid_brachy.lib.infers.task import SegmentationTask
from parotid_brachy.lib.segmentation.findings import PreLabel
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.two_step import GlandOnly


class ParotidGlandTask(SegmentationTask):
    """The (residual) parotid gland, to be confirmed before the organs at risk."""

    name = "parotid_gland"
    summary = "Parotid gland only (step 1)"
    steps = (Step.GLAND,)
    structures = (GLAND,)

    def propose(self, volume: Volume, options: InferOptions, gland_file: Path | None) -> PreLabel:
        """The gland."""
        del gland_file  # it finds its own
        return GlandOnly(self._models.get(Step.GLAND, options.versions)).run(
            volume, options.for_core()
        )
