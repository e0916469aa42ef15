"""Coarse maps to make prompts of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

Map = npt.NDArray[np.float32]


@pytest.fixture
def map_of() -> Callable[..., Map]:
    """Builds a map of one slice and one class from rectangles (row, column, height, width, probability)."""

    def build(*rectangles: tuple[int, int, int, int, float], size: tuple[int, int] = (64, 80)) -> Map:
        probability = np.zeros((1, 1, *size), dtype=np.float32)
        for row, column, height, width, value in rectangles:
            probability[0, 0, row : row + height, column : column + width] = value
        return probability

    return build
