"""What the infer tasks have in common: labels and options for clients, a label map for a case."""

from __future__ import annotations

import os
import tempfile
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import ORGANS_AT_RISK, Structure
from parotid_brachy.lib.imaging.files import read_volume, write_label_map
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.infers.models import WarmModels
from parotid_brachy.lib.infers.options import (
    Ending,
    InferOptions,
    parse_options,
    shown_options,
)
from parotid_brachy.lib.segmentation.findings import PreLabel
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.presets import Step


@dataclass(frozen=True)
class Draft:
    """A label map that a model proposes.

    Attributes:
        labels: shape ``grid.shape_kji``.
        grid: the image's grid.
        structures: what the task labels, found or not.
        ending: the format that the client asked for.
        told: what the client is told: ``label_names`` of what the map holds, and the ``report``.
    """

    labels: NDArray[np.uint8]
    grid: Grid
    structures: tuple[Structure, ...]
    ending: Ending
    told: dict[str, Any]


class LabelMapTask(InferTask):
    """An infer task that answers with a label map of one CT volume.

    Attributes:
        name: what clients call it.
        summary: what clients tell about it.
        structures: what its label maps can hold.
        wants_gland: whether it starts from a label map with the gland in it.
        shows_contours: whether it answers what the case has already, which is no draft.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    structures: ClassVar[tuple[Structure, ...]]
    wants_gland: ClassVar[bool] = False
    shows_contours: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels={structure.name: structure.value for structure in self.structures},
            dimension=3,
            description=self.summary,
        )
        # A folder of our own: a client on the same machine saves its copy under the same file name
        # in the shared temporary folder, where removing ours would remove the client's.
        self._answers = tempfile.TemporaryDirectory(prefix="parotid-answers-")

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Answers a request; see :meth:`draft`.

        Returns:
            A temporary file with the label map, which the caller removes, and what the client is
            told.
        """
        draft = self.draft(request)
        return str(self.answer(draft)), draft.told

    @abstractmethod
    def draft(self, request: Mapping[str, Any]) -> Draft:
        """The label map of the image of a request.

        Args:
            request: ``image`` and, where wanted, ``label`` are paths that the server vouches for,
                ``recorded_side`` is the side that the case's facts state; the rest is the
                client's.

        Raises:
            ParotidBrachyError: an option, the image, the gland or a model is refused.
        """

    def answer(self, draft: Draft) -> Path:
        """A temporary file with a draft, in the format asked for; the caller removes it."""
        path = _new_file(Path(self._answers.name), draft.ending.value)
        write_label_map(path, draft.labels, draft.grid, structures=draft.structures)
        return path

    def names_in(self, labels: NDArray[np.uint8]) -> dict[str, int]:
        """Names of the values that a map holds, in the values' order.

        3D Slicer gives these names to the segments that it finds, one after the other: the name
        of an empty structure would shift all that follow.
        """
        present = set(np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist())
        return {s.name: s.value for s in self.structures if s.value in present}


class SegmentationTask(LabelMapTask):
    """An infer task that labels one CT volume with networks.

    Attributes:
        steps: whose models it uses.
    """

    steps: ClassVar[tuple[Step, ...]]

    def __init__(self, models: WarmModels[Model]) -> None:
        super().__init__()
        self._models = models

    @abstractmethod
    def propose(self, volume: Volume, options: InferOptions, gland_file: Path | None) -> PreLabel:
        """Labels a volume.

        Args:
            volume: the case's CT.
            options: what the user chose.
            gland_file: a label map with the gland, where the task wants one.
        """

    def is_valid(self) -> bool:
        """Whether a model of every step serves; clients are shown valid tasks only."""
        return all(self._models.serves(step) for step in self.steps)

    def config(self) -> dict[str, Any]:
        """The options that clients show."""
        return shown_options(
            {step: self._models.names(step) for step in self.steps},
            with_reach=any(structure in ORGANS_AT_RISK for structure in self.structures),
        )

    def draft(self, request: Mapping[str, Any]) -> Draft:
        """Labels the image of a request."""
        recorded_side = request.get("recorded_side")
        options = replace(parse_options(request), recorded_side=recorded_side)
        image, label = Path(request["image"]), request.get("label")
        volume = read_volume(image, case=request.get("case"))
        proposal = self.propose(volume, options, Path(label) if label else None)
        told = {
            "label_names": self.names_in(proposal.labels),
            "report": proposal.report.to_json(),
        }
        return Draft(proposal.labels, volume.grid, self.structures, options.ending, told)


def _new_file(folder: Path, ending: str) -> Path:
    descriptor, path = tempfile.mkstemp(prefix="parotid-", suffix=ending, dir=folder)
    os.close(descriptor)
    return Path(path)
