"""Calibrating quality on gold labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from autoweak.dice import dice
from autoweak.weak_labels.generate import WeakLabel
from autoweak.weak_labels.quality import QualityModel
from autoweak.weak_labels.scores import Scores


def calibrate(
    pairs: Iterable[tuple[WeakLabel, npt.NDArray[np.uint8]]], *, patients: Sequence[str] | None = None
) -> QualityModel:
    """Fit quality on weak labels made of gold images.

    A gold image in which nothing was found tells nothing about the quality of masks, and is passed over. One in which a
    label was not found beside others tells how often that is right.

    Args:
        pairs: weak label, made with a coarse map by a network that never saw the image, and gold label,
            (S, H, W) uint8 of the same size.
        patients: of each image, whose images are left out together; None where each is of a patient of its own.
    """
    scores: list[Scores] = []
    dices: list[float] = []
    groups: list[int] = []
    place: dict[str, int] = {}
    missed: dict[int, list[bool]] = {}
    for index, (weak, gold) in enumerate(pairs):
        group = index if patients is None else place.setdefault(patients[index], len(place))
        prompted = {prompt.label for prompt in weak.prompts}
        for one in weak.scores:
            if one.label not in prompted:
                missed.setdefault(one.label, []).append(not (gold == one.label).any())
            if one.scores is not None:
                scores.append(one.scores)
                dices.append(dice(weak.mask == one.label, gold == one.label))
                groups.append(group)
    absent = tuple((label, (1 + sum(right)) / (2 + len(right))) for label, right in sorted(missed.items()))
    return QualityModel.fit(scores, dices, groups=groups).model_copy(update={"absent": absent})
