"""Connected components of a thresholded map: which of them are worth a prompt."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from autoweak.prompts.policy import PromptPolicy
from autoweak.prompts.prompt import BoolArray, FloatArray, Keep

_NEIGHBOURS = {
    4: np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool),
    8: np.ones((3, 3), dtype=bool),
}


def keep_components(binary: BoolArray, probability: FloatArray, *, policy: PromptPolicy) -> tuple[BoolArray, ...]:
    """The components of a thresholded map that count by the policy, the first to keep first.

    Args:
        binary: (h, w) bool, the map at one threshold.
        probability: (h, w), 0 to 1, the map itself.
        policy: smallest area, peak, how many, which first.

    Returns:
        (h, w) bool each; of equal ones, the one met first row by row comes first. One alone, of all that count
        together, where the policy keeps all.
    """
    numbered, count = ndimage.label(binary, structure=_NEIGHBOURS[policy.connectivity])
    if count == 0:
        return ()
    numbers = np.arange(1, count + 1)
    areas = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
    counts = areas >= max(1.0, policy.minimum_area * binary.size)
    if policy.peak > 0:
        counts &= ndimage.maximum(probability, numbered, numbers) >= policy.peak
    if not counts.any():
        return ()
    counts &= areas >= policy.relative_area * areas[counts].max()
    if policy.keep is Keep.ALL:
        masks = [np.isin(numbered, numbers[counts])]
    else:
        rank = areas if policy.keep is Keep.AREA else ndimage.mean(probability, numbered, numbers)
        kept = sorted(numbers[counts], key=lambda number: -rank[number - 1])[: policy.components]
        masks = [numbered == number for number in kept]
    return tuple(ndimage.binary_fill_holes(mask) if policy.fill_holes else mask for mask in masks)
