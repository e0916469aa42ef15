from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data.meta_obj import get_track_meta

from autoweak.training.augmentation import Augmentation
from autoweak.training.objects import add_marks, erase_objects, paste_object


def disc(size: int, row: int, column: int, radius: int) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return (((rows - row) ** 2 + (columns - column) ** 2) <= radius**2).float()[None]


def build(channels: int = 1, **options: float) -> Augmentation:
    return Augmentation(size=64, channels=channels, mirror=("horizontal", "vertical"), rotation=20, **options)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_seed_gives_the_same_variants(channels: int) -> None:
    image, target = torch.rand(channels, 64, 64), disc(64, 30, 30, 9)
    donor = torch.rand(channels, 64, 64), disc(64, 20, 40, 6)
    runs = []
    for _ in range(2):
        augmentation = build(channels, paste=0.4, erase=0.2, marks=0.5)
        augmentation.reseed(5)
        runs.append([augmentation(image, target, donor=donor) for _ in range(8)])

    for (image_a, target_a), (image_b, target_b) in zip(*runs, strict=True):
        assert torch.equal(image_a, image_b)
        assert torch.equal(target_a, target_b)
    assert not torch.equal(runs[0][0][0], runs[0][1][0])


def test_image_and_target_move_together() -> None:
    """On an image that is its own mask, the bright part stays where the target is."""
    augmentation = build()
    target = disc(64, 30, 30, 14)
    overlaps = []
    for seed in range(10):
        augmentation.reseed(seed)
        image, moved = augmentation(target.clone(), target.clone(), donor=(target, target))
        inside, outside = image[moved > 0.5], image[moved < 0.5]
        overlaps.append(float(inside.mean() - outside.mean()))

    assert min(overlaps) > 0.2


def test_the_inputs_and_monais_switch_are_left_alone() -> None:
    image, target = torch.rand(1, 64, 64), disc(64, 30, 30, 9)
    kept, tracked = image.clone(), get_track_meta()

    build(paste=1.0)(image, target, donor=(image, target))

    assert torch.equal(image, kept)
    assert get_track_meta() == tracked


def test_erasing_leaves_an_empty_target_and_no_bright_spot() -> None:
    image = torch.full((1, 64, 64), 0.2) + disc(64, 30, 20, 6) * 0.7
    erased, target = erase_objects(image, disc(64, 30, 20, 6), random=np.random.RandomState(0))

    assert not bool(target.any())
    assert float(erased.max()) < 0.3


def test_an_object_that_fills_the_slice_cannot_be_erased() -> None:
    image, target = torch.rand(1, 64, 64), torch.ones(1, 64, 64)

    kept, still = erase_objects(image, target, random=np.random.RandomState(0))

    assert torch.equal(kept, image)
    assert torch.equal(still, target)


def test_a_pasted_object_is_in_image_and_target() -> None:
    image, target = torch.full((1, 64, 64), 0.2), disc(64, 50, 50, 5)
    donor, donor_target = torch.full((1, 64, 64), 0.2) + disc(64, 20, 20, 8) * 0.6, disc(64, 20, 20, 8)

    pasted, both = paste_object(image, target, donor, donor_target, random=np.random.RandomState(0))

    assert torch.equal(both, torch.maximum(target, donor_target))
    assert float(pasted[0, 20, 20]) == pytest.approx(0.8, abs=0.05)
    assert float(pasted[0, 60, 5]) == pytest.approx(0.2)


def test_marks_hide_what_they_cover() -> None:
    """Image and target are the same disc, and marks have any colour: the target only loses what was painted over."""
    target = disc(64, 32, 32, 28)
    changed = 0
    for seed in range(20):
        image, left = add_marks(torch.full((3, 64, 64), 0.5), target, random=np.random.RandomState(seed))
        hidden = (left < 0.5) & (target > 0.5)
        assert bool((left <= target).all())
        assert bool((image[:, hidden[0]] != 0.5).any(dim=0).all())
        changed += bool((image != 0.5).any())

    assert changed > 15
