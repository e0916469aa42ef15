"""Tiny tasks and samples: a bright rectangle on noise, learnable in a few steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from autoweak.tasks import Coarse, Mirror, Task
from autoweak.training.recipe import Recipe
from autoweak.training.sample import Sample


@pytest.fixture
def task() -> Task:
    return Task(
        name="rectangles",
        description="bright rectangles on noise",
        modality="US",
        dimension=2,
        channels=1,
        labels={"rectangle": 1},
        mirror=(Mirror.HORIZONTAL,),
        coarse=Coarse(size=32, epochs=2, folds=2, batch_size=4),
    )


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(steps_per_epoch=4, checkpoint_seconds=0.0)


def draw_sample(number: int, *, slices: int = 1, labels: int = 1, channels: int = 1, weight: float = 1.0) -> Sample:
    """Image `number`: (slices, 40, 52, channels), one rectangle a label, in the first half of the slices only."""
    random = np.random.default_rng(number)
    view = random.integers(0, 80, (slices, 40, 52, channels), dtype=np.uint8)
    mask = np.zeros((slices, 40, 52), np.uint8)
    for label in range(1, labels + 1):
        row, column = random.integers(2, 24, 2)
        mask[: (slices + 1) // 2, row : row + 12, column : column + 16] = label
    view += (mask[..., None] > 0).astype(np.uint8) * 120
    return Sample(f"image-{number}", view, mask, weight)


@pytest.fixture
def draw() -> Callable[..., Sample]:
    return draw_sample


@pytest.fixture
def gold() -> list[Sample]:
    return [draw_sample(number) for number in range(5)]
