"""Calibrating quality on gold labels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from autoweak.dice import dice
from autoweak.weak_labels.generate import WeakLabel
from autoweak.weak_labels.quality import QualityModel
from autoweak.weak_labels.scores import Scores


def calibrate(pairs: Iterable[tuple[WeakLabel, npt.NDArray[np.uint8]]]) -> QualityModel:
    """Fit quality on weak labels made of gold images.

    A gold image in which nothing was found tells nothing about the quality of masks, and is passed over.

    Args:
        pairs: weak label, made with a coarse map by a network that never saw the image, and gold label,
            (S, H, W) uint8 of the same size.
    """
    scores: list[Scores] = []
    dices: list[float] = []
    images: list[int] = []
    for index, (weak, gold) in enumerate(pairs):
        for one in weak.scores:
            if one.scores is not None:
                scores.append(one.scores)
                dices.append(dice(weak.mask == one.label, gold == one.label))
                images.append(index)
    return QualityModel.fit(scores, dices, images=images)
