"""Choosing few items that stand for many."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autoweak.weak_labels.coverage import greedy_cover, squared_distances


def _items(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 2)).astype(np.float32)
    return rng.uniform(0, 1, count).astype(np.float32), np.exp(-squared_distances(points, points)).astype(np.float32)


def _covered(weights: np.ndarray, similarity: np.ndarray, chosen: list[int]) -> float:
    return float(weights @ similarity[:, chosen].max(axis=1))


@given(seed=st.integers(0, 10_000), count=st.integers(3, 8))
def test_what_is_gained_is_what_is_covered_and_near_the_best_possible(seed: int, count: int) -> None:
    weights, similarity = _items(seed, count)
    found = greedy_cover(weights, similarity, np.zeros(count, np.float32), count=3)
    assert sorted(index for index, _ in found) == list(range(count))
    chosen = [index for index, _ in found[:3]]
    gained = sum(gain for _, gain in found[:3])
    assert np.isclose(gained, _covered(weights, similarity, chosen), atol=1e-4)
    best = max(_covered(weights, similarity, list(three)) for three in combinations(range(count), 3))
    assert gained >= (1 - 1 / np.e) * best - 1e-4


@given(seed=st.integers(0, 10_000), count=st.integers(1, 12), steps=st.integers(0, 12))
def test_gains_never_rise(seed: int, count: int, steps: int) -> None:
    weights, similarity = _items(seed, count)
    gains = [gain for _, gain in greedy_cover(weights, similarity, np.zeros(count, np.float32), count=steps)]
    assert all(before >= after - 1e-4 for before, after in pairwise(gains))


def test_what_is_covered_already_gains_nothing() -> None:
    weights, similarity = np.ones(2, np.float32), np.eye(2, dtype=np.float32)
    assert greedy_cover(weights, similarity, np.array([1, 0.25], np.float32), count=2) == [(1, 0.75), (0, 0.0)]


def test_squared_distances_are_those_of_the_vectors() -> None:
    first, second = np.array([[0, 0], [3, 4]], np.float32), np.array([[3, 4]], np.float32)
    assert squared_distances(first, second).tolist() == [[25.0], [0.0]]
