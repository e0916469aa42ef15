"""Tiny pictures to learn from: bright discs on noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from autoweak.synthesis.train import TrainingImage

SIDE = 16


def draw_disc(index: int, *, side: int = SIDE) -> NDArray[np.uint8]:
    """A bright disc on noise, (side, side) uint8."""
    rng = np.random.default_rng(index)
    rows, columns = np.mgrid[:side, :side] / side
    centre, radius = rng.uniform(0.25, 0.75, size=2), rng.uniform(0.1, 0.3)
    mask = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
    return np.clip(60 + 130 * mask + rng.normal(0, 12, mask.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def discs() -> list[TrainingImage]:
    """Ten discs (16, 16, 1)."""
    return [TrainingImage(f"disc{index}", draw_disc(index)[..., None], f"{index:064x}") for index in range(10)]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with ten discs as PNG."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(10):
        Image.fromarray(draw_disc(index)).save(folder / f"disc{index}.png")
    return folder
