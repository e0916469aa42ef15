"""What a model is trained on: an image's 8-bit view with its mask, and how much the mask counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoweak.errors import LabelError


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    Attributes:
        image_id: the image's id; unique among the samples of one training.
        view: (S, H, W, C) uint8, C 1 or 3; a 2D image has S = 1.
        mask: (S, H, W) uint8, 0 background, else the task's label values.
        weight: above 0; 1 for gold, the quality (0 to 1) for a weak label.

    Raises:
        LabelError: view and mask do not fit each other, or the weight is not above 0.
    """

    image_id: str
    view: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.view.ndim != 4 or self.view.shape[3] not in (1, 3) or self.view.shape[:3] != self.mask.shape:
            msg = (
                f"The mask of {self.image_id} must be (S, H, W) for a view (S, H, W, 1 or 3), got {self.mask.shape} "
                f"for {self.view.shape}; give both at the image's own size."
            )
            raise LabelError(msg)
        if not self.weight > 0:
            msg = f"The weight of {self.image_id} must be above 0, got {self.weight}; leave the sample out instead."
            raise LabelError(msg)


def class_masks(mask: NDArray[np.uint8], num_labels: int) -> NDArray[np.bool_]:
    """Split a label mask (S, H, W) with values 0 to K into one mask a class, (S, K, H, W) bool."""
    values = np.arange(1, num_labels + 1, dtype=mask.dtype)
    return np.equal(mask[:, None], values[None, :, None, None])
