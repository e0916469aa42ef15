"""Which components are kept, and in which order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from autoweak.prompts import get_policy
from autoweak.prompts.components import keep_components

PLAIN: dict[str, Any] = {
    "peak": 0.0,
    "minimum_area": 0.0,
    "relative_area": 0.0,
    "components": 8,
    "fill_holes": False,
    "connectivity": 8,
    "keep": "area",
}


@pytest.fixture
def three() -> npt.NDArray[np.float64]:
    """Three regions of 100, 36 and 4 pixels; the smallest has the highest probability."""
    probability = np.zeros((50, 50))
    probability[0:10, 0:10] = 0.6
    probability[20:26, 20:26] = 0.7
    probability[40:42, 40:42] = 0.9
    return probability


def _areas(probability: npt.NDArray[np.float64], **options: Any) -> list[int]:
    policy = get_policy("box", **{**PLAIN, **options})
    return [int(mask.sum()) for mask in keep_components(probability >= 0.5, probability, policy=policy)]


def test_the_largest_come_first(three: npt.NDArray[np.float64]) -> None:
    assert _areas(three) == [100, 36, 4]
    assert _areas(three, components=2) == [100, 36]


def test_the_most_probable_come_first_when_asked(three: npt.NDArray[np.float64]) -> None:
    assert _areas(three, keep="probability") == [4, 36, 100]


def test_all_are_one_when_asked(three: npt.NDArray[np.float64]) -> None:
    assert _areas(three, keep="all", components=1) == [140]
    assert _areas(three, keep="all", minimum_area=0.01) == [136]
    assert _areas(np.zeros((9, 9)), keep="all") == []


def test_small_ones_are_dropped_against_the_slice_and_against_the_largest(three: npt.NDArray[np.float64]) -> None:
    assert _areas(three, minimum_area=0.01) == [100, 36]
    assert _areas(three, relative_area=0.5) == [100]


def test_each_component_needs_its_own_peak(three: npt.NDArray[np.float64]) -> None:
    assert _areas(three, peak=0.65) == [36, 4]


def test_a_dropped_component_does_not_set_the_relative_floor(three: npt.NDArray[np.float64]) -> None:
    assert _areas(three, peak=0.65, relative_area=0.1) == [36, 4]


def test_diagonal_neighbours_join_by_8_and_not_by_4() -> None:
    probability = np.eye(5)
    assert _areas(probability) == [5]
    assert _areas(probability, connectivity=4) == [1] * 5


def test_of_equal_components_the_first_row_by_row_comes_first() -> None:
    probability = np.zeros((20, 20))
    probability[10:13, 2:5] = 0.8
    probability[2:5, 10:13] = 0.8
    policy = get_policy("box", **{**PLAIN, "components": 1})
    (first,) = keep_components(probability >= 0.5, probability, policy=policy)
    assert first[3, 11]


def test_holes_are_filled_when_asked() -> None:
    probability = np.zeros((20, 20))
    probability[5:15, 5:15] = 0.8
    probability[8:12, 8:12] = 0.0
    assert _areas(probability) == [84]
    assert _areas(probability, fill_holes=True) == [100]
