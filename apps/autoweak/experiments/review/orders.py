"""The orders of review that are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from autoweak.experiments.review.simulate import Order, Waiting
from autoweak.weak_labels.review_queue import doubt_of, review_order

RANDOM = "random"
_BAND = 0.1


def at_random(waiting: Waiting) -> Sequence[str]:
    """In any order: what every other order must beat."""
    return [waiting.ids[place] for place in waiting.rng.permutation(len(waiting.ids))]


def lowest_quality(waiting: Waiting) -> Sequence[str]:
    """The most doubtful weak label first, whatever the image looks like."""
    doubts = {image_id: doubt_of(weak)[0] for image_id, weak in waiting.judge().items()}
    return sorted(waiting.ids, key=lambda image_id: (-doubts[image_id], image_id))


def doubt_bands(waiting: Waiting) -> Sequence[str]:
    """Doubts in bands of a tenth, and within a band what is least like any gold image: `weak_label` as it was once."""
    gold = np.stack([waiting.vectors[image_id] for image_id in waiting.known])

    def value(image_id: str, doubt: float) -> float:
        unlike = 1 - float((gold @ waiting.vectors[image_id]).max())
        return round(doubt / _BAND) * _BAND + 0.99 * _BAND * min(max(unlike, 0.0), 1.0)

    values = {image_id: value(image_id, doubt_of(weak)[0]) for image_id, weak in waiting.judge().items()}
    return sorted(waiting.ids, key=lambda image_id: (-values[image_id], image_id))


def weak_label(waiting: Waiting) -> Sequence[str]:
    """The order of the strategy `weak_label`."""
    weak = {image_id: waiting.judge()[image_id] for image_id in waiting.ids}
    ranked = review_order(weak, known=waiting.known, describe=waiting.vectors.get)
    return [one.image_id for one in ranked]


ORDERS: Mapping[str, Order] = MappingProxyType(
    {
        RANDOM: at_random,
        "lowest_quality": lowest_quality,
        "doubt_bands": doubt_bands,
        "weak_label": weak_label,
    }
)
