from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from parotid_brachy.lib.segmentation.augmentation import (
    Augmentations,
    Channel,
    FieldOfViewCrop,
    Intensities,
    MaskStrands,
    MetalStreaks,
    OpaqueMastoid,
    VirtualSurgery,
    strong_transforms,
)
from parotid_brachy.lib.segmentation.presets import Step, preset_for

WINDOWS = preset_for("compact", Step.GLAND).windows
BOTH_WINDOWS = Intensities(tuple(Channel.of_window(window) for window in WINDOWS))
CT_SCHEME = Intensities(
    (
        Channel.of_ct_scheme(
            {"percentile_00_5": -900.0, "percentile_99_5": 1500.0, "mean": 60.0, "std": 250.0}
        ),
    )
)
ALL = Augmentations(appearance=True, virtual_surgery=True, field_of_view=True)
SHAPE = (24, 32, 28)
GLAND, MASTOID, SKIN = 1, 2, 3
SEEDS = range(12)


def patch(intensities=BOTH_WINDOWS):
    """Image and labels: air in front, tissue with noise, a gland, a mastoid full of air cells."""
    rng = np.random.default_rng(0)
    hu = torch.from_numpy(rng.normal(40, 15, SHAPE).astype(np.float32))
    labels = torch.zeros(SHAPE, dtype=torch.int16)
    labels[6:18, 8:20, 8:20] = GLAND
    labels[6:18, 22:28, 8:16] = MASTOID
    labels[:, 4, :] = SKIN
    hu[labels == MASTOID] = torch.from_numpy(
        rng.choice([-700.0, 900.0], int((labels == MASTOID).sum())).astype(np.float32)
    )
    hu[:, :4] = -1000
    image = torch.zeros(len(intensities.channels), *SHAPE)
    intensities.paint(image, torch.ones(SHAPE, dtype=torch.bool), hu.reshape(-1))
    return image, labels


def changed_by(transform, seed, intensities=BOTH_WINDOWS):
    image, labels = patch(intensities)
    np.random.seed(seed)  # noqa: NPY002  (what nnU-Net seeds)
    result = transform(image=image.clone(), segmentation=labels[None].clone())
    return image, labels, result["image"], result["segmentation"][0]


TRANSFORMS = {
    "field of view": lambda p: FieldOfViewCrop(p, BOTH_WINDOWS),
    "surgery": lambda p: VirtualSurgery(p, BOTH_WINDOWS, GLAND),
    "mastoid": lambda p: OpaqueMastoid(p, BOTH_WINDOWS, MASTOID),
    "mask": lambda p: MaskStrands(p, BOTH_WINDOWS),
    "streaks": lambda p: MetalStreaks(p, BOTH_WINDOWS),
}
every_transform = pytest.mark.parametrize("make", TRANSFORMS.values(), ids=TRANSFORMS.keys())


@every_transform
def test_probability_0_is_identity(make):
    for seed in SEEDS:
        image, labels, new_image, new_labels = changed_by(make(0.0), seed)
        assert torch.equal(image, new_image)
        assert torch.equal(labels, new_labels)


@every_transform
def test_probability_1_changes_the_image_and_keeps_it_sound(make):
    changed = 0
    for seed in SEEDS:
        image, labels, new_image, new_labels = changed_by(make(1.0), seed)
        changed += not torch.equal(image, new_image)
        assert new_image.shape == image.shape
        assert new_labels.dtype == labels.dtype
        assert torch.isfinite(new_image).all()
        for number, window in enumerate(WINDOWS):
            low, high = window.low_hu / window.scale_hu, window.high_hu / window.scale_hu
            assert low - 1e-5 <= new_image[number].min() <= new_image[number].max() <= high + 1e-5
        # Labels may vanish, never appear or change into others.
        assert ((new_labels == labels) | (new_labels == 0)).all()
    assert changed >= len(SEEDS) - 2


@every_transform
def test_the_global_seed_decides(make):
    first, second, third = (changed_by(make(1.0), seed)[2] for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


@pytest.mark.parametrize("intensities", [BOTH_WINDOWS, CT_SCHEME], ids=["windows", "CT scheme"])
def test_intensities_round_trip_inside_their_range(intensities):
    channel = intensities.channels[0]
    hu = torch.linspace(channel.low_hu, channel.high_hu, 500).reshape(5, 10, 10)
    image = torch.zeros(len(intensities.channels), 5, 10, 10)
    intensities.paint(image, torch.ones(5, 10, 10, dtype=torch.bool), hu.reshape(-1))
    torch.testing.assert_close(intensities.to_hu(image), hu, atol=1e-3, rtol=0)


def test_painting_fills_every_channel_as_its_window_would():
    image = torch.zeros(2, 1, 1, 5)
    hu = torch.tensor([-2000.0, -100.0, 30.0, 400.0, 3000.0])
    BOTH_WINDOWS.paint(image, torch.ones(1, 1, 5, dtype=torch.bool), hu)
    for number, window in enumerate(WINDOWS):
        np.testing.assert_allclose(image[number, 0, 0], window.apply(hu.numpy()), rtol=1e-6)


def test_adding_leaves_voxels_alone_to_which_nothing_is_added():
    image = torch.zeros(2, 1, 1, 2)
    image[1] = 7.0  # not what the first channel would say
    BOTH_WINDOWS.add(image, torch.tensor([[[0.0, 100.0]]]))
    assert image[:, 0, 0, 0].tolist() == [0.0, 7.0]
    assert image[:, 0, 0, 1].tolist() == pytest.approx([0.2, 1.0])


def test_a_field_of_view_crop_leaves_air_and_background_at_one_end():
    shares = []
    for seed in range(30):
        image, labels, new_image, new_labels = changed_by(FieldOfViewCrop(1.0, BOTH_WINDOWS), seed)
        beyond = (new_image != image).any(dim=0) | (new_labels != labels)
        if not beyond.any():  # what was cut off was air
            continue
        hu = BOTH_WINDOWS.to_hu(new_image)
        index = torch.nonzero(beyond)
        low, high = index.min(dim=0).values, index.max(dim=0).values + 1
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        # The window keeps no more of air than its lower end.
        assert (hu[box] == -1000).all()
        assert not new_labels[box].any()
        touched = [(a == 0) or (b == n) for a, b, n in zip(low, high, SHAPE, strict=True)]
        assert any(touched)
        outside = torch.ones(SHAPE, dtype=torch.bool)
        outside[box] = False
        assert torch.equal(new_labels[outside], labels[outside])
        shares.append(float((~outside).float().mean()))
    assert len(shares) > 20
    assert min(shares) < 0.25 < max(shares) <= 0.5


@pytest.mark.parametrize("intensities", [BOTH_WINDOWS, CT_SCHEME], ids=["windows", "CT scheme"])
def test_virtual_surgery_takes_10_to_90_percent_of_the_gland_and_nothing_else(intensities):
    surgery = VirtualSurgery(1.0, intensities, GLAND)
    shares, clips = [], 0
    for seed in range(40):
        image, labels, new_image, new_labels = changed_by(surgery, seed, intensities)
        gland = labels == GLAND
        removed = gland & (new_labels == 0)
        shares.append(float(removed.sum() / gland.sum()))
        assert torch.equal(new_labels[~gland], labels[~gland])
        other = (new_image != image).any(dim=0) & ~removed
        # Beside the bed there may be metal clips, of a few voxels each, and no other change.
        assert other.sum() <= 4 * 3
        assert (intensities.to_hu(new_image)[other] == intensities.channels[0].high_hu).all()
        clips += int(other.sum())
    assert 0.09 <= min(shares) < 0.25
    assert 0.75 < max(shares) <= 0.91
    assert clips > 0


def test_virtual_surgery_leaves_a_patch_with_next_to_no_gland_alone():
    image, labels = patch()
    labels[labels == GLAND] = 0
    labels[6, 8, 8:20] = GLAND
    result = VirtualSurgery(1.0, BOTH_WINDOWS, GLAND)(
        image=image.clone(), segmentation=labels[None].clone()
    )
    assert torch.equal(result["image"], image)
    assert torch.equal(result["segmentation"][0], labels)


def test_an_opaque_mastoid_changes_its_cells_only_and_they_get_denser():
    for seed in SEEDS:
        image, labels, new_image, new_labels = changed_by(
            OpaqueMastoid(1.0, BOTH_WINDOWS, MASTOID), seed
        )
        before, after = BOTH_WINDOWS.to_hu(image), BOTH_WINDOWS.to_hu(new_image)
        cells = (labels == MASTOID) & (before < 0)
        assert torch.equal(after[~cells], before[~cells])
        assert (after[cells] > before[cells]).all()
        assert torch.equal(new_labels, labels)


def test_mask_strands_lie_on_the_skin_outside_of_the_body():
    painted = 0
    for seed in SEEDS:
        image, labels, new_image, new_labels = changed_by(MaskStrands(1.0, BOTH_WINDOWS), seed)
        changed = (new_image != image).any(dim=0)
        painted += int(changed.sum())
        assert (BOTH_WINDOWS.to_hu(image)[changed] < -300).all()
        assert not labels[changed].any()
        assert torch.equal(new_labels, labels)
    assert painted > 0


def test_streaks_spare_air_and_labels_and_stay_in_a_few_slices():
    for seed in SEEDS:
        image, labels, new_image, new_labels = changed_by(MetalStreaks(1.0, BOTH_WINDOWS), seed)
        difference = (BOTH_WINDOWS.to_hu(new_image) - BOTH_WINDOWS.to_hu(image)).abs()
        assert not difference[BOTH_WINDOWS.to_hu(image) < -700].any()
        assert torch.equal(new_labels, labels)
        strong = difference.amax(dim=(1, 2)) > difference.max() / 2
        assert strong.sum() < SHAPE[0]


@pytest.mark.parametrize(
    ("gland", "mastoid", "names"),
    [
        (1, None, ["VirtualSurgery"]),
        (7, 4, ["VirtualSurgery", "OpaqueMastoid"]),
        (None, None, []),
    ],
)
def test_what_a_network_does_not_label_is_not_operated_on(gland, mastoid, names):
    found = strong_transforms(BOTH_WINDOWS, ALL, gland_value=gland, mastoid_value=mastoid)
    rest = ["MetalStreaks", "MaskStrands", "FieldOfViewCrop"]
    assert [type(transform).__name__ for transform in found] == [*names, *rest]


@pytest.mark.parametrize(
    ("switched", "names"),
    [
        ({"virtual_surgery": False}, {"VirtualSurgery"}),
        ({"field_of_view": False}, {"FieldOfViewCrop"}),
        ({"appearance": False}, {"OpaqueMastoid", "MetalStreaks", "MaskStrands"}),
    ],
)
def test_each_augmentation_is_switched_by_itself(switched, names):
    values = {"gland_value": GLAND, "mastoid_value": MASTOID}
    everything = strong_transforms(BOTH_WINDOWS, ALL, **values)
    found = strong_transforms(BOTH_WINDOWS, replace(ALL, **switched), **values)
    assert {type(t).__name__ for t in everything} - {type(t).__name__ for t in found} == names


def test_the_document_states_the_probabilities_in_use():
    text = (Path(__file__).parents[2] / "docs" / "augmentation.md").read_text()
    for transform in strong_transforms(BOTH_WINDOWS, ALL, gland_value=1, mastoid_value=2):
        row = f"| `{type(transform).__name__}` | {transform.probability} |"
        assert row in text, row
