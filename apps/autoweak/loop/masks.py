"""From probability maps to masks, and how a model does on the gold it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autoweak.experiments.metrics import score_image
from autoweak.prompts import PromptPolicy
from autoweak.prompts.components import keep_components
from autoweak.tasks import Task
from autoweak.weak_labels.merge import merge_masks

if TYPE_CHECKING:
    from autoweak.loop.gold import Gold
    from autoweak.training import TrainedModel


def mask_of(probabilities: npt.NDArray[Any], task: Task) -> npt.NDArray[Any]:
    """Label mask (S, H, W) uint8 of a probability map (S, K, H, W).

    A pixel gets the likeliest label where it reaches 0.5; of each label's connected components in a slice only as many
    stay as the task allows, the likeliest first.
    """
    policy = _components_policy(task)
    best = probabilities.argmax(axis=1)
    mask = np.zeros(best.shape, dtype=np.uint8)
    for channel, value in enumerate(task.labels.values()):
        probability = probabilities[:, channel]
        claimed = (best == channel) & (probability >= 0.5)
        for index in np.flatnonzero(claimed.any(axis=(1, 2))):
            for component in keep_components(claimed[index], probability[index], policy=policy):
                mask[index][component] = value
    return mask


def prompted_mask(logits: npt.NDArray[Any], task: Task) -> npt.NDArray[Any]:
    """Label mask (S, H, W) uint8 of the logits (S, K, H, W) of weak labels: the highest above 0 wins."""
    labels = tuple(task.labels.values())
    return np.stack([merge_masks(of_slice, of_slice > 0, labels) for of_slice in logits])


def _components_policy(task: Task) -> PromptPolicy:
    """Which components of a label are kept: by the rule that chooses what is prompted, without its limits."""
    return PromptPolicy(
        name="prediction", thresholds=(0.5,), peak=0.0, minimum_area=0.0, components=task.components, fill_holes=False
    )


def held_out_dice(model: TrainedModel, gold: Sequence[Gold], task: Task) -> dict[str, float]:
    """Mean Dice over the labels of each gold image, predicted by the network that never saw it."""
    scores = {}
    for item in gold:
        image_id = item.study.image_id
        mask = mask_of(model.predict_out_of_fold(image_id, item.view), task)
        scores[image_id] = score_image(mask, item.mask, labels=tuple(task.labels.values())).dice
    return scores
