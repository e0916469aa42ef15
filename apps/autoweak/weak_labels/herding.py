"""Choosing few images whose mixture is that of all: kernel herding."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def herd(weights: Floats, similarity: Floats, *, taken: npt.NDArray[np.bool_]) -> list[int]:
    """Order the items that are not taken, so that taken and first items together look like all items.

    Each time the item is chosen that is most like all items, by their weights, less what it is like those taken or
    chosen before, on average (kernel herding, Chen 2010): the difference between the two mean embeddings falls about
    as 1 / n, while for random items it falls as 1 / sqrt(n). Common kinds come often and rare ones rarely, and
    none is missed.

    Args:
        weights: (N,) how much each item counts in the mixture that is aimed at; above 0.
        similarity: (N, N) positive semidefinite, 1 on the diagonal.
        taken: (N,) whether an item is in the set already.

    Returns:
        indices of all items that are not taken; of equally good ones the first item comes first.
    """
    aim = similarity @ (weights / weights.sum()) if weights.size else weights
    alike = similarity[:, taken].sum(axis=1)
    left, count, order = ~taken, int(taken.sum()), []
    while left.any():
        # Rounded, so that the order of sums does not decide between equally good ones.
        value = np.round(aim - alike / (count + 1), 9)
        chosen = int(np.argmax(np.where(left, value, -np.inf)))
        order.append(chosen)
        left[chosen] = False
        alike = alike + similarity[:, chosen]
        count += 1
    return order
