"""The signs by which the quality of a weak label is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating[Any]]
Unit = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]

# SAM's own offset around a logit of 0 (its automatic mask generator's `stability_score_offset`).
_STABILITY_OFFSET = 1.0


@dataclass(frozen=True)
class Scores:
    """Signs of quality of one class of a weak label, each 0 (bad) to 1 (good).

    Attributes:
        predicted_iou: what the promptable model's own IoU head says; not trained in MedSAM.
        stability: IoU of the mask at a logit of +1 and of -1.
        agreement: Dice of the mask with the coarse map at 0.5; 0 where the coarse map stays below.
        confidence: mean probability of the coarse map in the mask.

    The first two are means over the prompts' masks, weighted by area, so over the slices of a volume as well.
    """

    predicted_iou: Unit
    stability: Unit
    agreement: Unit
    confidence: Unit

    def as_tuple(self) -> tuple[float, ...]:
        """The four in the order above."""
        return astuple(self)


@dataclass(frozen=True)
class LabelScores:
    """Scores of one class of a weak label.

    Attributes:
        label: value of the class in the mask.
        area: its pixels in the final mask; 0 if other classes took them all.
        scores: None where the area is 0.
        quality: expected Dice of the class, 0 to 1; 0 where the area is 0.
    """

    label: int
    area: int
    scores: Scores | None
    quality: Unit


@dataclass(frozen=True)
class Decoded:
    """What one prompt gave: its class, the pixels of its mask, and the first two scores."""

    label: int
    area: int
    predicted_iou: float
    stability: float


def stability(logits: FloatArray) -> float:
    """SAM's stability score: how little the mask changes when its limit moves.

    Args:
        logits: (H, W), the mask is where they are above 0.

    Returns:
        IoU of the masks above +1 and above -1, 0 to 1; 0 if the larger is empty.
    """
    outer = int((logits > -_STABILITY_OFFSET).sum())
    return int((logits > _STABILITY_OFFSET).sum()) / outer if outer else 0.0


def dice(first: BoolArray, second: BoolArray) -> float:
    """Dice of two masks of one shape; 1 if both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else 1.0


def score_class(mask: BoolArray, probability: FloatArray, decoded: Sequence[Decoded]) -> Scores | None:
    """The scores of one class.

    Args:
        mask: (S, H, W) bool, the class in the final mask.
        probability: (S, H, W), 0 to 1, the class in the coarse map.
        decoded: what the prompts of this class gave.

    Returns:
        None if the mask is empty.
    """
    areas = [part.area for part in decoded]
    if not mask.any() or sum(areas) == 0:
        return None
    return Scores(
        predicted_iou=_unit(np.average([part.predicted_iou for part in decoded], weights=areas)),
        stability=_unit(np.average([part.stability for part in decoded], weights=areas)),
        agreement=dice(mask, probability >= 0.5),
        confidence=_unit(probability[mask].mean(dtype=np.float64)),
    )


def _unit(value: Any) -> float:
    """Into 0 to 1: the IoU head is a regression and may leave it. What is no number counts as worst."""
    return float(np.clip(np.nan_to_num(value, nan=0.0), 0.0, 1.0))
