"""The signs by which the quality of a weak label is judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from autoweak.dice import dice

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating[Any]]
Unit = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]

# SAM's own offset around a logit of 0 (its automatic mask generator's `stability_score_offset`).
_STABILITY_OFFSET = 1.0
# Pixels around a mask that its sharpness is judged by too; and how wide, in square roots of the mask's area, the ring
# is that its grey is compared with.
_NEAR = 3
_RING, _NEAREST_RING = 0.15, 2


@dataclass(frozen=True)
class Scores:
    """Signs of quality of one class of a weak label, each 0 (bad) to 1 (good).

    Attributes:
        predicted_iou: what the promptable model's own IoU head says; not trained in MedSAM.
        stability: IoU of the mask at a logit of +1 and of -1.
        agreement: Dice of the mask with the coarse map at 0.5; 0 where the coarse map stays below.
        confidence: mean probability of the coarse map in the mask.
        sharpness: how far, in the mask and close around it, the coarse map's probabilities p are from undecided: mean
            of |2 p - 1|.
        steadiness: mean Dice of the masks of jittered boxes with their joint one; 1 without jitter.
        symmetry: Dice of the coarse map at 0.5 with that of the image alone, without its mirror images.
        contrast: tanh of the difference in grey between the mask and its surroundings, in standard deviations of the
            image.

    Predicted IoU, stability and steadiness are means over the prompts' masks, weighted by area, so over the slices of a
    volume as well.
    """

    predicted_iou: Unit
    stability: Unit
    agreement: Unit
    confidence: Unit
    # Of labels made by versions that did not look at these, nothing bad is known.
    sharpness: Unit = 1.0
    steadiness: Unit = 1.0
    symmetry: Unit = 1.0
    contrast: Unit = 1.0


@dataclass(frozen=True)
class LabelScores:
    """Scores of one class of a weak label.

    Attributes:
        label: value of the class in the mask.
        area: its pixels in the final mask; 0 if it was not found, or other classes took them all.
        scores: None where the area is 0.
        quality: expected Dice of the class, 0 to 1; where it was not found, how likely it is truly absent; 0 where
            others took all of it.
    """

    label: int
    area: int
    scores: Scores | None
    quality: Unit


@dataclass(frozen=True)
class Decoded:
    """What one prompt gave: its class, the pixels of its mask, and the scores that come from it."""

    label: int
    area: int
    predicted_iou: float
    stability: float
    steadiness: float = 1.0


def stability(logits: FloatArray) -> float:
    """SAM's stability score: how little the mask changes when its limit moves.

    Args:
        logits: (H, W), the mask is where they are above 0.

    Returns:
        IoU of the masks above +1 and above -1, 0 to 1; 0 if the larger is empty.
    """
    outer = int((logits > -_STABILITY_OFFSET).sum())
    return int((logits > _STABILITY_OFFSET).sum()) / outer if outer else 0.0


def score_class(
    mask: BoolArray,
    probability: FloatArray,
    decoded: Sequence[Decoded],
    *,
    own: BoolArray,
    view: npt.NDArray[np.uint8],
    symmetry: float = 1.0,
) -> Scores | None:
    """The scores of one class.

    Args:
        mask: (S, H, W) bool, the class in the final mask.
        probability: (S, H, W), 0 to 1, the class in the coarse map.
        decoded: what the prompts of this class gave.
        own: (S, H, W) bool, the class as the promptable model alone has it.
        view: (S, H, W, C) uint8, the image.
        symmetry: see `Scores`.

    Returns:
        None if the mask is empty.
    """
    if not mask.any() or not decoded:
        return None
    areas = [part.area for part in decoded]
    # With a large share of the coarse map there is a mask even where the promptable model alone has none.
    weights = areas if any(areas) else None

    def mean(values: Sequence[float]) -> float:
        return _unit(np.average(values, weights=weights))

    return Scores(
        predicted_iou=mean([part.predicted_iou for part in decoded]),
        stability=mean([part.stability for part in decoded]),
        agreement=dice(own, probability >= 0.5),
        confidence=_unit(probability[mask].mean(dtype=np.float64)),
        sharpness=_unit(np.abs(2 * probability[_widened(mask, _NEAR)] - 1).mean(dtype=np.float64)),
        steadiness=mean([part.steadiness for part in decoded]),
        symmetry=_unit(symmetry),
        contrast=_contrast(mask, view),
    )


def _contrast(mask: BoolArray, view: npt.NDArray[np.uint8]) -> float:
    slices = mask.any(axis=(1, 2))
    reach = max(_NEAREST_RING, round(_RING * math.sqrt(int(mask.sum()) / int(slices.sum()))))
    ring = _widened(mask, reach) & ~mask
    grey = view[slices].astype(np.float32).mean(axis=3)
    inside, around = grey[mask[slices]], grey[ring[slices]]
    spread = float(grey.std())
    if not around.size or spread == 0:
        return 0.0
    return _unit(math.tanh(abs(float(inside.mean()) - float(around.mean())) / spread))


def _widened(mask: BoolArray, reach: int) -> BoolArray:
    """The mask (S, H, W) and all pixels within so many steps of it, slice by slice."""
    from scipy.ndimage import binary_dilation  # slow to import

    flat = np.zeros((3, 3, 3), dtype=bool)
    flat[1] = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    widened: BoolArray = binary_dilation(mask, flat, iterations=reach)
    return widened


def _unit(value: Any) -> float:
    """Into 0 to 1: the IoU head is a regression and may leave it. What is no number counts as worst."""
    return float(np.clip(np.nan_to_num(value, nan=0.0), 0.0, 1.0))
