"""Joining the masks of all prompts of a slice into one mask of labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from autoweak.weak_labels.scores import BoolArray, FloatArray


def merge_masks(logits: FloatArray, masks: BoolArray, labels: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Merge the masks of a slice's prompts: the union within a class, the highest logit between classes.

    Args:
        logits: (N, H, W), one for each prompt.
        masks: (N, H, W) bool, where each prompt's object is.
        labels: the N prompts' classes, 1 to 255.

    Returns:
        (H, W) uint8: 0 where no mask is, else the class whose mask there has the highest logit; of equal
        ones, the lower label.
    """
    classes = sorted(set(labels))
    inside = np.where(masks, logits, -np.inf)
    of_class = [inside[[index for index, label in enumerate(labels) if label == one]].max(axis=0) for one in classes]
    best = np.asarray(classes, dtype=np.uint8)[np.argmax(of_class, axis=0)]
    merged: npt.NDArray[np.uint8] = np.where(masks.any(axis=0), best, 0).astype(np.uint8)
    return merged
