from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from autoweak.training.augmentation import Augmentation
from autoweak.training.batches import Batch, Batches
from autoweak.training.recipe import Recipe
from autoweak.training.sample import Sample

Draw = Callable[..., Sample]


def build(gold: list[Sample], weak: list[Sample], *, seed: int = 0, recipe: Recipe | None = None) -> Batches:
    augmentation = Augmentation(size=32, channels=1, mirror=("horizontal",), rotation=10, paste=0.3, erase=0.2)
    return Batches(
        gold,
        weak,
        size=32,
        num_labels=1,
        batch_size=4,
        augmentation=augmentation,
        seed=seed,
        recipe=recipe or Recipe(steps_per_epoch=3),
    )


def collect(batches: Batches, epoch: int) -> list[Batch]:
    batches.epoch = epoch
    return list(batches)


def test_an_epoch_depends_on_seed_and_number_alone(gold: list[Sample]) -> None:
    batches = build(gold, [])
    first, second = collect(batches, 1), collect(batches, 2)

    again = collect(build(gold, []), 2)

    assert all(
        torch.equal(a.image, b.image) and torch.equal(a.target, b.target) for a, b in zip(second, again, strict=True)
    )
    assert not torch.equal(first[0].image, second[0].image)
    assert not torch.equal(first[0].image, collect(build(gold, [], seed=1), 1)[0].image)


def test_half_of_a_batch_is_gold_where_there_are_weak_labels(gold: list[Sample], draw: Draw) -> None:
    weak = [draw(number, weight=0.25) for number in range(10, 30)]

    for batch in collect(build(gold, weak), 1):
        assert batch.weight.tolist() == [1.0, 1.0, 0.25, 0.25]


def test_an_epoch_is_as_long_with_weak_labels_as_without(gold: list[Sample], draw: Draw) -> None:
    weak = [draw(number, weight=0.25) for number in range(10, 30)]

    assert len(collect(build(gold, weak), 1)) == len(collect(build(gold, []), 1)) == 3


def test_shapes_and_ranges(gold: list[Sample]) -> None:
    for batch in collect(build(gold, []), 1):
        assert batch.image.shape == batch.target.shape == (4, 1, 32, 32)
        assert batch.image.dtype == batch.target.dtype == torch.float32
        assert 0 <= float(batch.target.min()) <= float(batch.target.max()) <= 1


@pytest.mark.parametrize(("share", "expected"), [(1.0, 1.0), (0.0, 0.5)])
def test_empty_slices_are_drawn_too(share: float, expected: float, draw: Draw) -> None:
    volume = draw(1, slices=8)
    plain = Augmentation(size=32, channels=1, mirror=(), rotation=0)
    recipe = Recipe(steps_per_epoch=40, foreground_share=share)
    batches = Batches([volume], [], size=32, num_labels=1, batch_size=4, augmentation=plain, seed=0, recipe=recipe)

    shown = [bool(target.any()) for batch in collect(batches, 1) for target in batch.target]

    assert np.mean(shown) == pytest.approx(expected, abs=0.12)
