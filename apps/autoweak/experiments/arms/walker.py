"""The random walker (Grady 2006) on the image, between what a mask is sure of inside and outside."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from autoweak.experiments.arms.arm import Array

# How wide the band around an outline is that the walker decides, in square roots of the object's area.
_BAND = 0.15
_NARROWEST = 2.0
_BETA = 130.0  # skimage's own
_TOLERANCE = 1e-5  # with its 1e-3, probabilities leave 0 to 1 and it warns


def walked(view: Array, mask: Array) -> Array:
    """Move the outlines of a mask to where the image has its edges.

    Args:
        view: (S, H, W, C) uint8.
        mask: (S, H, W) label values.

    Returns:
        (S, H, W) uint8; slices without a label, or without a band to decide, stay as they are.
    """
    return np.stack([_slice(pixels, labels) for pixels, labels in zip(view, mask, strict=True)])


def _slice(pixels: Array, mask: Array) -> Array:
    from skimage.segmentation import random_walker

    values = [int(value) for value in np.unique(mask) if value]
    if not values:
        return mask
    background = len(values) + 1
    seeds = _seeds(mask, values, background)
    if (seeds > 0).all() or not (seeds == background).any():
        return mask
    grey = pixels.astype(np.float64).mean(axis=2) / 255
    numbers = random_walker(grey, seeds, beta=_BETA, mode="cg_j", tol=_TOLERANCE)
    table = np.array([0, *values, 0], dtype=np.uint8)
    moved: Array = table[np.clip(numbers, 0, background)]
    return moved


def _seeds(mask: Array, values: list[int], background: int) -> Array:
    """Seed numbers (H, W): 1 and on for the labels, the last for background, 0 in the bands between."""
    seeds = np.full(mask.shape, background, dtype=np.int32)
    for value in values:
        inside = mask == value
        band = max(_NARROWEST, _BAND * math.sqrt(int(inside.sum())))
        seeds[(ndimage.distance_transform_edt(~inside) <= band) & (mask == 0)] = 0
    for number, value in enumerate(values, start=1):
        inside = mask == value
        depth = ndimage.distance_transform_edt(inside)
        band = min(max(_NARROWEST, _BAND * math.sqrt(int(inside.sum()))), 0.9 * float(depth.max()))
        seeds[inside] = np.where(depth[inside] > band, number, 0)
    return seeds
