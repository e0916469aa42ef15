"""S1: gold + weak labels made by a promptable model from the coarse map, and its comparisons without prompts.

Deshpande et al., Auto-Generating Weak Labels for Real & Synthetic Data to Improve Label-Scarce Medical Image
Segmentation, MIDL 2024.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from autoweak.experiments.arms.arm import ASKS, ON_WEAK, Arm, Array, Predict
from autoweak.experiments.arms.bench import Bench, Scene
from autoweak.loop.coarse import load_model, train_coarse
from autoweak.loop.context import policy_of
from autoweak.loop.label import Labeller, calibrated
from autoweak.loop.rounds import improve
from autoweak.weak_labels import generate
from autoweak.weak_labels.scores import stability

if TYPE_CHECKING:
    from autoweak.promptable import Embedding, Promptable

# A grid of 16 × 16 points, a quarter of the automatic mask generator's own 32 × 32, and its limits.
_GRID = 16
_PREDICTED_IOU, _STABILITY = 0.88, 0.95


def _prompted(bench: Bench, policy_name: str | None) -> Predict:
    coarse, context = bench.coarse, bench.context
    model, cache = bench.promptable
    policy = policy_of(context.task, policy_name, options=bench.entry.policy_options)

    def weak(scene: Scene) -> Array:
        made = generate(
            scene.view,
            coarse.predict(scene.view),
            model=model,
            cache=cache,
            policy=policy,
            labels=bench.labels,
            seed=context.seed,
        )
        bench.asked.note(made.prompts, policy=policy)
        return made.mask

    return bench.train(bench.weak_samples(weak), gold=True)


def _autoweak(bench: Bench) -> Predict:
    """The loop of `autoweak run`: weak labels by fold, weighted by quality, rejected ones left out."""
    version = train_coarse(bench.context, bench.gold)
    first = calibrated(Labeller.load(bench.context, version), bench.gold)
    improved = improve(bench.context, bench.gold, *first)
    bench.weak.offered = len(bench.draw.pool)
    if not improved.retrained:
        bench.context.notes.append(f"{bench.entry.name}: no weak label was good enough to train on.")
        return bench.predictor(bench.coarse)
    final = improved.decision.final
    bench.weak.used = int(bench.context.workspace.record(final)["weak"])
    return bench.predictor(load_model(final))


def _slice_by_slice(bench: Bench, ask: Callable[[Promptable, Embedding, tuple[int, ...]], Array]) -> Predict:
    """Weak labels of one mask (H, W) a slice, which the promptable model is asked for without a coarse map."""
    model, cache = bench.promptable

    def weak(scene: Scene) -> Array:
        masks = [ask(model, cache.get(model, one), one.shape[:2]) for one in scene.view]
        return np.asarray(masks, np.uint8) * np.uint8(bench.labels[0])

    return bench.train(bench.weak_samples(weak), gold=True)


def _unprompted(model: Promptable, embedding: Embedding, _: tuple[int, ...]) -> Array:
    mask: Array = model.decode_unprompted(embedding).masks[0]
    return mask


def _whole_image(model: Promptable, embedding: Embedding, size: tuple[int, ...]) -> Array:
    height, width = size
    mask: Array = model.decode(embedding, boxes=[[0, 0, width - 1, height - 1]]).masks[0]
    return mask


def surest_mask(model: Promptable, embedding: Embedding, size: tuple[int, ...]) -> Array:
    """The mask (H, W) bool that a promptable model itself holds for the best, prompted by a grid of single points.

    Of masks that pass the limits of SAM's automatic mode (predicted IoU 0.88, stability 0.95), or of all where none
    does, the one with the highest predicted IoU.

    Args:
        model: the promptable model; `embedding`: of the slice.
        size: (H, W) of the slice.
    """
    best, rank = np.zeros(size, dtype=bool), (-1, -np.inf)
    steps = (np.arange(_GRID) + 0.5) / _GRID
    for y in steps * size[0] - 0.5:
        points = [[(float(x), float(y), True)] for x in steps * size[1] - 0.5]
        result = model.decode(embedding, points=points)
        for mask, logits, iou in zip(result.masks, result.logits, result.predicted_iou, strict=True):
            found = (int(iou >= _PREDICTED_IOU and stability(logits) >= _STABILITY), float(iou))
            if found > rank and mask.any():
                best, rank = mask, found
    return best


ARMS = (
    Arm(
        "s1_box",
        "Gold + weak labels, boxes as S1's released code makes them.",
        "S1 rows 2 to 10",
        lambda bench: _prompted(bench, "s1_box_published"),
        takes=ON_WEAK | ASKS | {"synthetic"},
    ),
    Arm(
        "s1_box_all",
        "Gold + weak labels, one box around all that was found, as in another copy of S1's released code.",
        "S1 rows 2 to 10, an object of several parts",
        lambda bench: _prompted(bench, "s1_box_all_published"),
        takes=ON_WEAK | ASKS | {"synthetic"},
    ),
    Arm(
        "s1_points",
        "Gold + weak labels, points as S1's released code makes them.",
        "S1 rows 2 to 10",
        lambda bench: _prompted(bench, "s1_points_published"),
        takes=ON_WEAK | ASKS | {"synthetic"},
    ),
    Arm(
        "s1_automatic",
        "Gold + weak labels without prompts: the mask the promptable model is surest of on a grid of points.",
        "S1 row 10, Auto",
        lambda bench: _slice_by_slice(bench, surest_mask),
        takes=ON_WEAK | ASKS,
        one_label=True,
    ),
    Arm(
        "s1_no_prompt",
        "Gold + weak labels without prompts: what the promptable model makes of an image by itself.",
        "S1 row 10, MedSAM without prompts",
        lambda bench: _slice_by_slice(bench, _unprompted),
        takes=ON_WEAK | ASKS,
        one_label=True,
    ),
    Arm(
        "s1_whole_image",
        "Gold + weak labels without prompts: the whole image as the box.",
        "S1 row 10",
        lambda bench: _slice_by_slice(bench, _whole_image),
        takes=ON_WEAK | ASKS,
        one_label=True,
    ),
    Arm(
        "prompted",
        "Gold + weak labels by the task's prompt policy or another, joined as S1 joins them.",
        "S1 with another policy",
        lambda bench: _prompted(bench, bench.entry.policy),
        takes=ON_WEAK | ASKS | {"policy", "policy_options", "synthetic"},
    ),
    Arm(
        "autoweak",
        "Gold + weak labels as `autoweak run` uses them: by fold, weighted by quality, rejected ones left out.",
        "this project's own way",
        _autoweak,
        takes=ASKS,
    ),
)
