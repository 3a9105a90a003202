"""The two steps, as the protocol tells them.

The volume is cut at the sagittal midplane; on the side of the cancer, step 1 finds the residual
gland; its position grown by 17 mm is the region of interest, in which step 2 labels the organs at
risk; what lies farther than 17 mm from the gland is cleared; everything returns to the image's
own grid. (J Contemp Brachytherapy 2022;14:527-535.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import (
    GLAND,
    GLAND_PLAUSIBLE_ML,
    ORGANS_AT_RISK,
    STRUCTURES,
    Side,
    Structure,
)
from parotid_brachy.lib.errors import GeometryError, GlandNotFoundError
from parotid_brachy.lib.imaging.half_head import Midplane, find_midplane, half_head_box
from parotid_brachy.lib.imaging.orientation import along_patient
from parotid_brachy.lib.imaging.roi import Box, cut_at_reach
from parotid_brachy.lib.imaging.sampling import restore_scores
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.segmentation.findings import (
    Gland,
    PreLabel,
    Report,
    SideSource,
    StructureReport,
)
from parotid_brachy.lib.segmentation.gland import find_gland, gland_box, gland_on_image
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.organs import Labelled, label_box, label_organs
from parotid_brachy.lib.segmentation.stopwatch import Stopwatch

logger = logging.getLogger(__name__)

_SIDES_ALIKE = 0.15
"""Difference of the two glands' volumes, as a share, below which a guess is hardly one."""
_SIDES_EQUAL = 0.03
"""Below this share no surgery shows: the left is proposed, so that the noise of another form of the
same CT does not change the side."""
_COARSE_MM = 2.0
"""Spacing in plane beyond which step 2 has no sharper view of the gland than step 1."""

ProgressCallback = Callable[[str, float], None]


@dataclass(frozen=True)
class TwoStepOptions:
    """What a user may choose.

    Attributes:
        side: the patient's side of the cancer; None takes the recorded one, else guesses.
        recorded_side: the side that the case's record states.
        keep_beyond_reach: leave organs at risk that are farther than 17 mm from the gland.
        midplane: of the volume, where it is known; None: it is looked for.
    """

    side: Side | None = None
    recorded_side: Side | None = None
    keep_beyond_reach: bool = False
    midplane: Midplane | None = None


class TwoStep:
    """Step 1, then step 2.

    Args:
        gland: the step-1 model.
        organs: the step-2 model.
    """

    def __init__(self, gland: Model, organs: Model) -> None:
        self._gland = gland
        self._organs = organs

    def run(
        self,
        volume: Volume,
        options: TwoStepOptions | None = None,
        progress: ProgressCallback | None = None,
    ) -> PreLabel:
        """Pre-labels a volume: the gland and the organs at risk within reach of it.

        Args:
            volume: the CT, in any orientation.
            options: what the user chose.
            progress: called with a stage's name and the share done, 0 to 1.

        Returns:
            The map on the volume's grid, with its report. No plausible gland is an answer: an
            empty map whose report says why.
        """
        options, tell = options or TwoStepOptions(), progress or _tell_nobody
        draft = _Draft("two_step", volume, options, (self._gland, self._organs))
        tell("gland", 0.05)
        gland = draft.search_gland(self._gland)
        if gland is None:
            return draft.finished(STRUCTURES)
        tell("organs_at_risk", 0.5)
        box = gland_box(gland)
        labelled = label_organs(draft.volume, box, gland.side, self._organs, draft.watch)
        tell("restoring", 0.85)
        with draft.watch("gland outline"):
            mask = outline(gland, labelled, draft.volume.grid)
        draft.take_organs(labelled)
        draft.take_gland(mask, gland.confidence)
        draft.cut(mask)
        tell("done", 1.0)
        return draft.finished(STRUCTURES)


class GlandOnly:
    """Step 1 alone."""

    def __init__(self, gland: Model) -> None:
        self._gland = gland

    def run(self, volume: Volume, options: TwoStepOptions | None = None) -> PreLabel:
        """Pre-labels the gland; an empty map with the reason where there is none."""
        draft = _Draft("parotid_gland", volume, options or TwoStepOptions(), (self._gland,))
        gland = draft.search_gland(self._gland)
        if gland is not None:
            with draft.watch("gland outline"):
                mask = gland_on_image(gland, draft.volume.grid)
            draft.take_gland(mask, gland.confidence)
        return draft.finished((GLAND,))


class OrgansOnly:
    """Step 2 alone, from a gland that a reader confirmed."""

    def __init__(self, organs: Model) -> None:
        self._organs = organs

    def run(
        self, volume: Volume, gland: NDArray[np.bool_], options: TwoStepOptions | None = None
    ) -> PreLabel:
        """Pre-labels the organs at risk round a given gland, which the map keeps as it is.

        Args:
            volume: the CT.
            gland: the gland's mask on the volume's grid.
            options: what the user chose; the side is told from the gland where it is not given.

        Raises:
            GlandNotFoundError: the mask is empty.
            GeometryError: the mask is of another shape than the volume.
        """
        gland = np.asarray(gland, dtype=bool)
        if gland.shape != volume.grid.shape_kji:
            message = (
                f"{volume.case}: a gland of shape {gland.shape} on an image of shape "
                f"{volume.grid.shape_kji} (k, j, i). Give a map on the image's grid."
            )
            raise GeometryError(message)
        if not gland.any():
            message = f"{volume.case}: the gland is empty. Contour or infer the gland first."
            raise GlandNotFoundError(message)
        draft = _Draft("organs_at_risk", volume, options or TwoStepOptions(), (self._organs,))
        gland = draft.turn.turned(gland)
        side = draft.side_of(gland)
        box = Box.of_mask(gland, draft.volume.grid)
        draft.take_organs(label_organs(draft.volume, box, side, self._organs, draft.watch))
        draft.take_gland(gland, None)
        draft.cut(gland)
        return draft.finished(STRUCTURES)


class OneStep:
    """Segmentation only: one network on the whole half head, the protocol's comparison."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def run(self, volume: Volume, options: TwoStepOptions | None = None) -> PreLabel:
        """Pre-labels the gland and the organs at risk in one go."""
        draft = _Draft("one_step", volume, options or TwoStepOptions(), (self._model,))
        gland = draft.search_gland(self._model)
        if gland is None:
            return draft.finished(STRUCTURES)
        box = half_head_box(draft.volume, gland.side, draft.midplane)
        draft.take_organs(label_box(draft.volume, box, gland.side, self._model, draft.watch))
        mask = gland_on_image(gland, draft.volume.grid)
        draft.take_gland(mask, gland.confidence)
        draft.cut(mask)
        return draft.finished(STRUCTURES)


def outline(gland: Gland, labelled: Labelled, image: Grid) -> NDArray[np.bool_]:
    """The gland's outline on the image's grid.

    Where the step-2 model labels the gland as well, its probability, from a finer grid, is
    averaged with step 1's, unless the two agree on less than any gland has. On an image coarser
    than 2 mm in plane the finer grid shows nothing more, and step 1's outline stays: measured on
    the OpenKBP validation set, averaging costs 0.04 DSC there; at full resolution it gains 0.02.
    """
    mask = gland_on_image(gland, image)
    is_coarse = float(np.median(image.spacing_mm)) > _COARSE_MM
    if labelled.gland_probability is None or is_coarse:
        return mask
    part = _part(image, labelled.where)
    first = np.zeros(labelled.labels.shape, dtype=np.float32)
    scores, where = restore_scores(gland.probability[None], gland.grid, part)
    first[where] = scores[..., 0]
    both = (first + labelled.gland_probability) / 2 > 0.5
    refined = np.zeros_like(mask)
    refined[labelled.where] = both
    is_gland = refined.sum() * image.voxel_ml >= GLAND_PLAUSIBLE_ML[0]
    return refined if is_gland else mask


def _part(image: Grid, where: tuple[slice, slice, slice]) -> Grid:
    return image.cropped(tuple(s.start for s in where[::-1]), tuple(s.stop for s in where[::-1]))


def _smaller(found: list[Gland]) -> Gland:
    """The smaller of the glands found, or the left of two that are equal."""
    ordered = sorted(found, key=lambda gland: gland.ml)
    if len(ordered) == 2 and ordered[1].ml - ordered[0].ml < _SIDES_EQUAL * ordered[1].ml:
        return next((gland for gland in found if gland.side is Side.LEFT), ordered[0])
    return ordered[0]


def _tell_nobody(stage: str, share: float) -> None:
    del stage, share


class _Draft:
    """A pre-label in the making: the map, what is known of the side, seconds, warnings.

    Attributes:
        volume: the CT, turned along the patient; all work is done on its grid.
        turn: how it was turned from the grid that the finished map is on.
        midplane: of the volume.
    """

    def __init__(
        self, task: str, volume: Volume, options: TwoStepOptions, models: tuple[Model, ...]
    ) -> None:
        self._task = task
        self._grid = volume.grid
        self._options = options
        self._models = models
        self.watch = Stopwatch()
        with self.watch("turning"):
            self.volume, self.turn = along_patient(volume)
        with self.watch("midplane"):
            self.midplane: Midplane = options.midplane or find_midplane(self.volume)
        self._labels = np.zeros(self.volume.grid.shape_kji, dtype=np.uint8)
        self._gland_confidence: float | None = None
        self._organs: Labelled | None = None
        self._warnings: list[str] = []
        self._gland_ml: dict[str, float] = {}
        self._side = options.side or options.recorded_side
        self._source = SideSource.GUESSED
        if options.side:
            self._source = SideSource.GIVEN
        elif options.recorded_side:
            self._source = SideSource.RECORDED
        if not self.midplane.is_believed:
            self._warnings.append(
                "no sagittal midplane found (one half head only?): the whole volume was searched"
            )

    def search_gland(self, model: Model) -> Gland | None:
        """Searches the known side, or both and proposes the smaller gland (the operated one)."""
        sides = (self._side,) if self._side else (Side.LEFT, Side.RIGHT)
        glands = [find_gland(self.volume, side, self.midplane, model, self.watch) for side in sides]
        found = [gland for gland in glands if gland.is_found]
        if not self.midplane.is_believed and len(found) > 1:
            # Both searches saw the whole volume. Mirrored the wrong way a gland is seen less well.
            found = [max(found, key=lambda gland: gland.confidence)]
        self._gland_ml = {gland.side.value: round(gland.ml, 2) for gland in found}
        for gland in glands:
            if not gland.is_found:
                self._warnings.append(f"no gland found on the {gland.side.value}: {gland.why_not}")
        if not found:
            return None
        chosen = _smaller(found)
        self._side = chosen.side
        if self._source is SideSource.GUESSED:
            self._warn_of_guess(found)
        return chosen

    def _warn_of_guess(self, found: list[Gland]) -> None:
        if len(found) == 1:
            self._warnings.append(
                "side guessed: a gland was found on one side only; state the side to be sure"
            )
            return
        volumes = sorted(gland.ml for gland in found)
        if volumes[1] - volumes[0] < _SIDES_ALIKE * volumes[1]:
            self._warnings.append(
                "side guessed, and both glands are about as large; state the side to be sure"
            )

    def side_of(self, gland: NDArray[np.bool_]) -> Side:
        """The side of a given gland, from its centre, unless the user stated another."""
        centre = self.volume.grid.to_lps_mm(np.argwhere(gland).mean(axis=0)[::-1])
        seen = Side.LEFT if centre[0] > self.midplane.x_lps_mm else Side.RIGHT
        if self._side is None:
            self._side = seen
        elif self._side is not seen and self.midplane.is_believed:
            self._warnings.append(
                f"side stated as {self._side.value}, but the gland lies on the {seen.value}"
            )
        return self._side

    def take_organs(self, labelled: Labelled) -> None:
        """Puts the organs at risk into the map."""
        self._organs = labelled
        organs = np.where(labelled.labels == GLAND.value, np.uint8(0), labelled.labels)
        self._labels[labelled.where] = organs

    def take_gland(self, mask: NDArray[np.bool_], confidence: float | None) -> None:
        """Puts the gland into the map; it wins over organs at risk."""
        self._labels[mask] = GLAND.value
        self._gland_confidence = confidence

    def cut(self, gland: NDArray[np.bool_]) -> None:
        """Clears organs at risk beyond reach of the gland, unless asked otherwise."""
        if self._options.keep_beyond_reach or self._organs is None:
            return
        with self.watch("reach"):
            where = self._organs.where
            part = _part(self.volume.grid, where)
            self._labels[where] = cut_at_reach(self._labels[where], gland[where], part)

    def _confidence_of(self, structure: Structure) -> float | None:
        """Mean probability of a structure's voxels in the finished map."""
        if structure is GLAND:
            return self._gland_confidence
        if self._organs is None:
            return None
        own = self._labels[self._organs.where] == structure.value
        return float(self._organs.confidence[own].mean())

    def finished(self, structures: tuple[Structure, ...]) -> PreLabel:
        """The pre-label with its report."""
        grid = self._grid
        # Where step 2 ran, everything lies in its region; counting there saves a whole pass.
        region = self._labels if self._organs is None else self._labels[self._organs.where]
        counts = np.bincount(region.ravel(), minlength=8)
        reports = {}
        for structure in structures:
            voxels = int(counts[structure.value])
            confidence = self._confidence_of(structure) if voxels else None
            reports[structure.name] = StructureReport(
                voxels,
                round(voxels * grid.voxel_ml, 3),
                None if confidence is None else round(confidence, 3),
            )
        if counts[GLAND.value] and len(structures) > 1:
            empty = [s.name for s in ORGANS_AT_RISK if not counts[s.value]]
            if empty:
                self._warnings.append(f"nothing labelled as: {', '.join(empty)}")
        report = Report(
            case=self.volume.case,
            task=self._task,
            side=self._side.value if self._side else None,
            side_source=self._source.value,
            gland_ml_by_side=self._gland_ml,
            models={model.version.step.value: model.version.name for model in self._models},
            seconds=self.watch.seconds,
            structures=reports,
            kept_beyond_reach=self._options.keep_beyond_reach,
            warnings=tuple(self._warnings),
        )
        return PreLabel(self.turn.back(self._labels), grid, report)
