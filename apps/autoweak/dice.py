"""The Dice coefficient, which choosing, calibrating and reporting rest on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dice(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Dice (1945) of two masks of one shape, 0 to 1; 1 where both are empty."""
    total = int(prediction.sum()) + int(truth.sum())
    if total == 0:
        return 1.0
    return 2.0 * int(np.logical_and(prediction, truth).sum()) / total


def mean_dice(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Mean over the classes of the Dice of (S, K, H, W) masks; all slices of a volume count as one object."""
    return float(np.mean([dice(prediction[:, k], truth[:, k]) for k in range(truth.shape[1])]))
