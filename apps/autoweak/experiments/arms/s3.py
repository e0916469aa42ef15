"""S3: coarse maps of many labels refined by two passes of a promptable model, and a network trained on the result.

Keuth et al., SAM Carries the Burden, MICCAI ADSMI workshop 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autoweak.experiments.arms.arm import ASKS, ON_WEAK, Arm, Array, Predict
from autoweak.experiments.arms.bench import Asked, Bench, Estimate
from autoweak.experiments.arms.s3_prompts import Refining, s3_prompts
from autoweak.experiments.arms.walker import walked
from autoweak.loop.coarse import gold_folds
from autoweak.loop.masks import mask_of
from autoweak.weak_labels.decode import decode_prompts
from autoweak.weak_labels.merge import merge_masks

if TYPE_CHECKING:
    from autoweak.training import TrainedModel

# Cracks between refined labels up to this many pixels wide are closed.
_CRACK = 2


def refined(bench: Bench, view: Array, coarse_map: Array) -> Array:
    """The coarse map (S, K, H, W) of a view (S, H, W, C) refined into a label mask (S, H, W) uint8.

    Labels that get no prompt stay as the coarse map has them, where no refined label lies.
    """
    model, cache = bench.promptable
    how = Refining.of(bench.entry)
    mask: Array = mask_of(coarse_map, bench.context.task)
    for index, maps in enumerate(coarse_map):
        prompts = s3_prompts(maps, labels=bench.labels, slice_index=index, seed=bench.context.seed, how=how)
        if not prompts:
            continue
        result = decode_prompts(model, cache.get(model, view[index]), prompts, policy=how.policy)
        bench.asked.note(prompts, policy=how.policy)
        prompted = [prompt.label for prompt in prompts]
        bench.asked.estimates.extend(
            Estimate(label, index, float(2 * iou / (1 + iou)))
            for label, iou in zip(prompted, np.clip(result.predicted_iou, 0, 1), strict=True)
        )
        merged = merge_masks(result.logits, result.masks, prompted)
        left = np.where(np.isin(mask[index], prompted), 0, mask[index])
        mask[index] = without_cracks(np.where(merged > 0, merged, left), mask[index], maps, bench.labels)
    return mask


def without_cracks(merged: Array, raw: Array, maps: Array, labels: Sequence[int]) -> Array:
    """Close the cracks that refining labels one by one leaves between them.

    A pixel that no refined label claims, that the raw mask did, and that lies in a crack between two labels, gets the
    likelier one of these. Wider gaps and outer edges stay as the promptable model drew them.

    Args:
        merged: (H, W), refined; `raw`: (H, W), of the coarse map.
        maps: (K, H, W), 0 to 1; `labels`: their K values.
    """
    from scipy import ndimage

    present = [value for value in labels if (merged == value).any()]
    if len(present) < 2:
        return merged
    away = np.stack([ndimage.distance_transform_cdt(merged != value, metric="taxicab") for value in present])
    # From one side of a crack to the other it is a pixel further than the crack is wide.
    nearest, second = np.sort(away, axis=0)[:2]
    is_nearest = away.argmin(axis=0) == np.arange(len(present))[:, None, None]
    others = np.where(is_nearest, second, nearest)
    beside = away + others <= _CRACK + 1
    chosen = maps[[tuple(labels).index(value) for value in present]]
    likelier = np.asarray(present, dtype=merged.dtype)[np.where(beside, chosen, -1).argmax(axis=0)]
    return np.where((merged == 0) & (raw > 0) & beside.any(axis=0), likelier, merged)


def _post_processed(bench: Bench) -> Predict:
    model = bench.coarse

    def predict(view: Array) -> Array:
        bench.asked = Asked()
        mask = refined(bench, view, model.predict(view))
        bench.weak.estimated.extend(one.dice for one in bench.asked.estimates)
        return mask

    return predict


def _random_walker(bench: Bench) -> Predict:
    model, task = bench.coarse, bench.context.task
    return lambda view: walked(view, mask_of(model.predict(view), task))


def _trained_raw(bench: Bench) -> Predict:
    model, task = bench.coarse, bench.context.task
    samples = bench.weak_samples(lambda scene: mask_of(model.predict(scene.view), task))
    return bench.train(samples, gold=bool(bench.entry.keep_gold))


def _trained_refined(bench: Bench) -> Predict:
    model = bench.coarse
    samples = bench.weak_samples(lambda scene: refined(bench, scene.view, model.predict(scene.view)))
    return bench.train(samples, gold=bool(bench.entry.keep_gold))


def _mean_teacher(bench: Bench) -> Predict:
    from autoweak.experiments.arms.mean_teacher import train_mean_teachers

    context, gold = bench.context, bench.gold
    unlabelled = bench.unlabelled_samples()

    def train(folder: Path) -> TrainedModel:
        return train_mean_teachers(
            [item.sample() for item in gold],
            unlabelled,
            task=context.task,
            folds=gold_folds(context, gold),
            seed=context.seed,
            run_folder=folder,
            progress=context.progress.update,
        )

    return bench.trained(unlabelled, "mean teacher", train, gold=gold)


_REFINED = ASKS | {"keep", "grow", "footprint", "passes"}
_TRAINED = ON_WEAK | {"keep_gold"}

ARMS = (
    Arm(
        "s3_refined",
        "The coarse model's masks refined by two passes, as post-processing; nothing is trained on them.",
        "S3 rows 2 to 7, 9",
        _post_processed,
        takes=_REFINED,
        uses_weak=False,
        trains=False,
    ),
    Arm(
        "s3_random_walker",
        "The coarse model's masks refined by a random walker on the image, as post-processing.",
        "S3 row 9",
        _random_walker,
        uses_weak=False,
        trains=False,
    ),
    Arm(
        "s3_mean_teacher",
        "Gold, and agreement with the average of the network's own past on the unlabelled images; no weak label.",
        "S3 row 9",
        _mean_teacher,
        needs_coarse=False,
    ),
    Arm(
        "s3_trained_raw",
        "Trained on the coarse model's masks of the unlabelled images alone.",
        "S3 row 9, raw pseudo labels",
        _trained_raw,
        takes=_TRAINED,
    ),
    Arm(
        "s3_trained_refined",
        "Trained on the refined masks of the unlabelled images alone.",
        "S3 rows 2 to 9",
        _trained_refined,
        takes=_TRAINED | _REFINED,
    ),
)
