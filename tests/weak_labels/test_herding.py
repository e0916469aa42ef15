"""Choosing few items whose mixture is that of all."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from autoweak.weak_labels.herding import herd


def _similarity(seed: int, count: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
    return np.exp(-cdist(points, points, "sqeuclidean") / 2)


def _apart(similarity: np.ndarray, chosen: list[int]) -> float:
    """Squared distance between the mean embeddings of the chosen items and of all (maximum mean discrepancy)."""
    return float(similarity.mean() - 2 * similarity[:, chosen].mean() + similarity[np.ix_(chosen, chosen)].mean())


@given(seed=st.integers(0, 10_000), count=st.integers(0, 12), some=st.integers(0, 4))
def test_every_item_that_is_not_taken_comes_once(seed: int, count: int, some: int) -> None:
    taken = np.arange(count) < some
    order = herd(np.ones(count), _similarity(seed, count), taken=taken)
    assert sorted(order) == list(range(min(some, count), count))


def test_the_first_items_are_more_like_all_than_random_ones() -> None:
    rng = np.random.default_rng(0)
    for seed in range(5):
        similarity = _similarity(seed, 60)
        chosen = herd(np.ones(60), similarity, taken=np.zeros(60, bool))[:8]
        random = [_apart(similarity, list(rng.permutation(60)[:8])) for _ in range(50)]
        assert _apart(similarity, chosen) < min(random)


def test_what_counts_more_comes_first() -> None:
    assert herd(np.array([1.0, 3.0, 2.0]), np.eye(3), taken=np.zeros(3, bool)) == [1, 2, 0]


def test_what_is_like_a_taken_item_comes_last() -> None:
    similarity = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    assert herd(np.ones(3), similarity, taken=np.array([True, False, False])) == [2, 1]
