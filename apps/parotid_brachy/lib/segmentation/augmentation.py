"""Strong augmentation for few patients: field of view, virtual surgery, appearance.

Each class is one of nnU-Net's (batchgeneratorsv2) transforms: it gets a patch after the spatial
augmentation, ``image`` of shape (channels, z, y, x) in network units and ``segmentation`` of shape
(1, z, y, x), and is switched off by its probability. They think in HU; ``Intensities`` translates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from torch.nn import functional

from parotid_brachy.lib.segmentation.presets import Window

VIRTUAL_SURGERY_CHANCE: Final = 0.35
FIELD_OF_VIEW_CHANCE: Final = 0.2
"""Probabilities that a patch is changed, where the preset wants it."""


@dataclass(frozen=True)
class Channel:
    """How one input channel is made from HU: ``(clip(hu, low, high) - mean) / scale``."""

    low_hu: float
    high_hu: float
    mean_hu: float
    scale_hu: float

    @classmethod
    def of_window(cls, window: Window) -> Channel:
        """A preset's window."""
        return cls(window.low_hu, window.high_hu, 0.0, window.scale_hu)

    @classmethod
    def of_ct_scheme(cls, properties: dict[str, float]) -> Channel:
        """nnU-Net's CT scheme: clipped to the foreground's percentiles, standardised."""
        return cls(
            properties["percentile_00_5"],
            properties["percentile_99_5"],
            properties["mean"],
            max(properties["std"], 1e-8),
        )


@dataclass(frozen=True)
class Intensities:
    """All input channels; the first is the one that HU are read back from."""

    channels: tuple[Channel, ...]

    def to_hu(self, image: torch.Tensor) -> torch.Tensor:
        """HU of a patch as far as the first channel's window keeps them, shape (z, y, x)."""
        first = self.channels[0]
        return image[0] * first.scale_hu + first.mean_hu

    def paint(self, image: torch.Tensor, where: torch.Tensor, hu: torch.Tensor | float) -> None:
        """Sets HU in place. ``hu`` is one value or one per voxel of ``where``."""
        values = torch.as_tensor(hu, dtype=image.dtype)
        for number, channel in enumerate(self.channels):
            clipped = values.clamp(channel.low_hu, channel.high_hu)
            image[number][where] = (clipped - channel.mean_hu) / channel.scale_hu

    def add(self, image: torch.Tensor, hu: torch.Tensor) -> None:
        """Adds HU in place, from what the first channel knows of each voxel."""
        total = self.to_hu(image) + hu
        changed = hu != 0
        self.paint(image, changed, total[changed])


class _Randomly(BasicTransform):
    """Applies ``change`` to a patch with a probability."""

    def __init__(self, probability: float, intensities: Intensities) -> None:
        super().__init__()
        self.probability = probability
        self.intensities = intensities

    def __call__(self, **data_dict: Any) -> dict[str, Any]:
        # Seeded from numpy's global state on purpose: nnU-Net seeds that per worker process.
        rng = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002
        if rng.random() < self.probability:
            self.change(data_dict["image"], data_dict["segmentation"][0], rng)
        return data_dict

    def change(self, image: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator) -> None:
        """Changes a patch in place."""
        raise NotImplementedError  # pragma: no cover


def _smooth_noise(
    shape: torch.Size | tuple[int, ...], cells: int, rng: np.random.Generator
) -> torch.Tensor:
    """Smooth noise of unit variance or a little less, from a coarse lattice."""
    lattice = torch.from_numpy(rng.standard_normal((1, 1, cells, cells, cells), dtype=np.float32))
    return functional.interpolate(lattice, tuple(shape), mode="trilinear", align_corners=True)[0, 0]


class FieldOfViewCrop(_Randomly):
    """Ends the scan inside the patch, as planning CTs end at the vertex, chin or shoulder.

    One end along z (three times in five), y or x goes, 5-50 % of the patch: it becomes air
    (-1024 HU) and background. Along x only the lateral end, where a field of view cuts arms and
    shoulders; the other is the midplane.
    """

    def change(self, image: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator) -> None:
        """Overwrites one end of the patch with air and background."""
        axis = int(rng.choice([0, 0, 0, 1, 2]))
        size = labels.shape[axis]
        depth = int(size * rng.uniform(0.05, 0.5))
        part: list[slice] = [slice(None)] * 3
        lateral = axis == 2
        at_end = lateral or rng.random() < 0.5
        part[axis] = slice(size - depth, None) if at_end else slice(0, depth)
        beyond = torch.zeros(labels.shape, dtype=torch.bool)
        beyond[tuple(part)] = True
        self.intensities.paint(image, beyond, -1024.0)
        labels[beyond] = 0


class VirtualSurgery(_Randomly):
    """Takes away part of the gland, as an operation does, and fills the bed.

    10-90 % of the gland in the patch goes, on one side of a bumpy plane of random direction that
    mostly takes the lateral part. The bed becomes fat, scar, fluid or (rarely) air, with texture
    (``BED_HU``: mean and spread, ``BED_CHANCE``); scar strands of 50-100 HU (two in five) and one
    to four metal clips (three in ten) may lie in it. What is taken away is background from then
    on; the other structures stay, and so does a patch with fewer than 50 voxels of gland.
    """

    BED_HU = (
        (-100.0, 20.0),
        (65.0, 20.0),
        (12.0, 8.0),
        (-40.0, 40.0),
        (55.0, 10.0),
        (-900.0, 60.0),
    )
    BED_CHANCE = (0.3, 0.25, 0.15, 0.15, 0.1, 0.05)

    def __init__(self, probability: float, intensities: Intensities, gland_value: int) -> None:
        super().__init__(probability, intensities)
        self.gland_value = gland_value

    def change(self, image: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator) -> None:
        """Removes one part of the gland and fills the bed."""
        gland = labels == self.gland_value
        voxels = torch.nonzero(gland).float()
        if len(voxels) < 50:
            return
        normal = torch.from_numpy(rng.standard_normal(3).astype(np.float32))
        # The superficial (lateral) part is the one that is mostly removed.
        normal[2] += 1.0
        normal /= torch.linalg.norm(normal)
        size = voxels.std(dim=0).mean()
        bumps = _smooth_noise(gland.shape, 5, rng)[gland] * size * 0.5
        height = voxels @ normal + bumps
        removed = torch.zeros_like(gland)
        removed[gland] = height > torch.quantile(height, float(rng.uniform(0.1, 0.9)))
        mean, spread = self.BED_HU[int(rng.choice(len(self.BED_HU), p=self.BED_CHANCE))]
        texture = _smooth_noise(gland.shape, 16, rng)
        grain = torch.from_numpy(rng.standard_normal(gland.shape, dtype=np.float32)) * 12.0
        bed = mean + spread * texture + grain
        self.intensities.paint(image, removed, bed[removed])
        if rng.random() < 0.4:
            strands = removed & (_smooth_noise(gland.shape, 14, rng).abs() < 0.12)
            self.intensities.paint(image, strands, float(rng.uniform(50, 100)))
        if rng.random() < 0.3:
            places = torch.nonzero(removed)
            for _ in range(int(rng.integers(1, 5))):
                z, y, x = places[int(rng.integers(len(places)))].tolist()
                clip = torch.zeros_like(gland)
                clip[z : z + 1, y : y + 2, x : x + 2] = True
                self.intensities.paint(image, clip, 2500.0)
        labels[removed] = 0


class OpaqueMastoid(_Randomly):
    """Fills the mastoid's air cells with bone or fluid, as in sclerosis and mastoiditis."""

    def __init__(self, probability: float, intensities: Intensities, mastoid_value: int) -> None:
        super().__init__(probability, intensities)
        self.mastoid_value = mastoid_value

    def change(self, image: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator) -> None:
        """Moves the HU of the mastoid's air cells towards bone or fluid."""
        hu = self.intensities.to_hu(image)
        target = float(rng.choice([30.0, 300.0, 600.0]))
        cells = (labels == self.mastoid_value) & (hu < target)
        share = float(rng.uniform(0.5, 1.0))
        texture = 120.0 * _smooth_noise(labels.shape, 20, rng)
        filled = hu * (1 - share) + (target + texture) * share
        self.intensities.paint(image, cells, filled[cells])


class MaskStrands(_Randomly):
    """Lays the strands of a thermoplastic mask on the skin."""

    def change(self, image: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator) -> None:
        """Lays strands of plastic on the body's surface, where nothing is labelled."""
        body = (self.intensities.to_hu(image) > -300.0).float()[None, None]
        gap = int(rng.integers(0, 2))
        thick = int(rng.integers(1, 3))

        def grown(voxels: int) -> torch.Tensor:
            size = 2 * voxels + 1
            return functional.max_pool3d(body, (1, size, size), 1, (0, voxels, voxels))[0, 0] > 0

        inner = grown(gap) if gap else body[0, 0] > 0
        net = _smooth_noise(labels.shape, 12, rng).abs() < float(rng.uniform(0.2, 0.8))
        strands = grown(gap + thick) & ~inner & net & (labels == 0)
        self.intensities.paint(image, strands, float(rng.uniform(-150.0, 120.0)))


class MetalStreaks(_Randomly):
    """Radial bright and dark streaks from a dental filling outside or inside the patch."""

    def change(self, image: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator) -> None:
        """Adds streaks to everything denser than air, in a few slices."""
        z, y, x = labels.shape
        centre_y, centre_x = rng.uniform(-0.4, 0.6) * y, rng.uniform(-0.6, 0.3) * x
        rows = torch.arange(y, dtype=torch.float32)[:, None] - float(centre_y)
        columns = torch.arange(x, dtype=torch.float32)[None, :] - float(centre_x)
        angle = (torch.atan2(rows, columns) / (2 * torch.pi) + 0.5) * 360.0
        rays = torch.from_numpy(rng.standard_normal(361).astype(np.float32))
        rays = functional.avg_pool1d(rays[None, None], 3, 1, 1)[0, 0]
        streaks = rays[angle.long().clamp(0, 360)] * float(rng.uniform(60.0, 300.0))
        streaks = streaks / (1 + torch.hypot(rows, columns) / 40.0)
        middle, half = rng.uniform(0, z), rng.uniform(2, 8)
        profile = torch.exp(-(((torch.arange(z) - middle) / half) ** 2)).float()
        hu = streaks[None] * profile[:, None, None]
        hu[self.intensities.to_hu(image) < -700.0] = 0.0
        self.intensities.add(image, hu)


@dataclass(frozen=True)
class Augmentations:
    """Which of the transforms are wanted.

    Attributes:
        appearance: opaque mastoids, metal streaks and mask strands.
        virtual_surgery: part of the gland is taken away.
        field_of_view: the scan ends inside the patch.
    """

    appearance: bool
    virtual_surgery: bool
    field_of_view: bool


def strong_transforms(
    intensities: Intensities,
    wanted: Augmentations,
    *,
    gland_value: int | None,
    mastoid_value: int | None,
) -> Sequence[BasicTransform]:
    """The transforms that are wanted, in order.

    Args:
        intensities: the network's input channels.
        wanted: which of them.
        gland_value: network value of the gland, None where it is not labelled: then there is
            nothing to operate on.
        mastoid_value: network value of the mastoid process, None where it is not labelled.
    """
    transforms: list[BasicTransform] = []
    if wanted.virtual_surgery and gland_value is not None:
        transforms.append(VirtualSurgery(VIRTUAL_SURGERY_CHANCE, intensities, gland_value))
    if wanted.appearance:
        if mastoid_value is not None:
            transforms.append(OpaqueMastoid(0.2, intensities, mastoid_value))
        transforms += [MetalStreaks(0.15, intensities), MaskStrands(0.2, intensities)]
    if wanted.field_of_view:
        transforms.append(FieldOfViewCrop(FIELD_OF_VIEW_CHANCE, intensities))
    return transforms
