"""The threshold cascade: the first threshold that leaves something to prompt with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from autoweak.prompts.components import keep_components
from autoweak.prompts.policy import PromptPolicy
from autoweak.prompts.prompt import BoolArray, FloatArray


@dataclass(frozen=True)
class Found:
    """What the cascade found of one class in one slice.

    Attributes:
        components: (h, w) bool each, the first to keep first; empty if nothing was found.
        threshold: the probability at which they were found; 0 if nothing was.
    """

    components: tuple[BoolArray, ...] = ()
    threshold: float = 0.0

    @property
    def union(self) -> BoolArray:
        """All kept components together, (h, w) bool; there must be at least one."""
        union: BoolArray = np.logical_or.reduce(self.components)
        return union


def cascade(probability: FloatArray, *, policy: PromptPolicy) -> Found:
    """Try the policy's thresholds in order until one leaves a component to keep.

    Args:
        probability: (h, w), 0 to 1.
        policy: its thresholds, and what makes a component count.
    """
    if probability.max(initial=0.0) < policy.floor:
        return Found()
    for threshold in policy.thresholds:
        components = keep_components(probability >= threshold, probability, policy=policy)
        if components:
            return Found(components, threshold)
    return Found()


def to_canvas(probability: FloatArray, size: int) -> npt.NDArray[np.float64]:
    """Resample a map bilinearly to a square and cut it to 8 bits, as S1 stores its coarse maps.

    Args:
        probability: (H, W), 0 to 1.
        size: side of the square, in pixels.

    Returns:
        (size, size), multiples of 1/255; fractions are cut off, not rounded.
    """
    height, width = probability.shape
    square = probability.astype(np.float64)
    if (height, width) != (size, size):
        square = ndimage.zoom(square, (size / height, size / width), order=1, mode="nearest", grid_mode=True)
    levels: npt.NDArray[np.float64] = np.floor(np.clip(square, 0.0, 1.0) * 255)
    return levels / 255
