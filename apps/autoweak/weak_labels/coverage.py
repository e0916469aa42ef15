"""Choosing few images that stand for many: weighted coverage, greedily."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def squared_distances(first: Floats, second: Floats) -> Floats:
    """Squared Euclidean distances (N, M) of vectors (N, D) and (M, D), 0 or more."""
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None]
    return np.asarray(np.maximum(squares - 2 * first @ second.T, 0.0), np.float32)


def greedy_cover(weights: Floats, similarity: Floats, covered: Floats, *, count: int) -> list[tuple[int, float]]:
    """Choose one item after the other, each time the one that covers most of what is not covered yet.

    An item covers another as much as they are similar, and an item is covered as much as the best of the chosen covers
    it (facility location). The first n choices gain at least 1 - 1/e of what any n items could (Nemhauser 1978).

    Args:
        weights: (N,) what covering each item is worth, 0 or more.
        similarity: (N, N) how much the item of a column covers that of a row, 0 to 1.
        covered: (N,) how much each is covered at the beginning, 0 to 1.
        count: items chosen like this; the others follow by what each would gain after them.

    Returns:
        index and gain of each item once, in falling order of gain; of equal gains the first item comes first.
    """
    left = list(range(len(weights)))
    chosen: list[tuple[int, float]] = []
    gains = _gains(weights, similarity, covered)
    while left and len(chosen) < count:
        best = max(left, key=lambda index: (gains[index], -index))
        chosen.append((best, float(gains[best])))
        left.remove(best)
        covered = np.maximum(covered, similarity[:, best])
        gains = _gains(weights, similarity, covered)
    rest = sorted(left, key=lambda index: (-gains[index], index))
    return chosen + [(index, float(gains[index])) for index in rest]


def _gains(weights: Floats, similarity: Floats, covered: Floats) -> Floats:
    return np.asarray(weights @ np.maximum(similarity - covered[:, None], 0.0), np.float32)
