"""The arms that others are measured against: gold alone, the coarse map as it is, the ellipse, and the truth."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from autoweak.errors import ExperimentError
from autoweak.experiments.arms.arm import ON_WEAK, Arm, Array, Predict, Role
from autoweak.experiments.arms.bench import Bench, Scene
from autoweak.loop.masks import mask_of
from autoweak.prompts import Box, Prompt, get_policy, make_prompts
from autoweak.weak_labels.merge import merge_masks


def ellipses(prompts: tuple[Prompt, ...], shape: tuple[int, ...]) -> Array:
    """Label mask (S, H, W) uint8 of the ellipses inscribed in the prompts' boxes.

    Args:
        prompts: with boxes, in order of slice.
        shape: (S, H, W).
    """
    mask = np.zeros(shape, dtype=np.uint8)
    for index, of_slice in groupby(prompts, key=lambda prompt: prompt.slice_index):
        members = [prompt for prompt in of_slice if prompt.box is not None]
        depth = np.stack([ellipse(prompt.box, mask.shape[1:]) for prompt in members if prompt.box is not None])
        mask[index] = merge_masks(depth, depth >= 0, [prompt.label for prompt in members])
    return mask


def ellipse(box: Box, size: tuple[int, ...]) -> Array:
    """How deep each pixel (H, W) lies in the ellipse inscribed in a box: 1 in its middle, 0 on its edge."""
    x0, y0, x1, y1 = box
    rows, columns = np.mgrid[: size[0], : size[1]]
    across = (columns - (x0 + x1) / 2) / ((x1 - x0 + 1) / 2)
    down = (rows - (y0 + y1) / 2) / ((y1 - y0 + 1) / 2)
    return np.asarray(1 - across**2 - down**2, np.float32)


def _gold_only(bench: Bench) -> Predict:
    return bench.predictor(bench.coarse) if bench.length == 1 else bench.fit((), gold=True)


def _coarse_as_weak(bench: Bench) -> Predict:
    model, task = bench.coarse, bench.context.task
    return bench.train(bench.weak_samples(lambda scene: mask_of(model.predict(scene.view), task)), gold=True)


def _ellipse(bench: Bench) -> Predict:
    model, policy = bench.coarse, get_policy("box", components=bench.context.task.components)

    def weak(scene: Scene) -> Array:
        prompts = make_prompts(model.predict(scene.view), policy=policy, labels=bench.labels, seed=bench.context.seed)
        return ellipses(prompts, scene.view.shape[:3])

    return bench.train(bench.weak_samples(weak), gold=True)


def true_mask(scene: Scene) -> Array:
    """The truth of a scene.

    Raises:
        ExperimentError: it is not known.
    """
    if scene.truth is None:
        raise ExperimentError(f"The truth of {scene.image_id} is not known, and this arm needs it.")
    return scene.truth


def _full_truth(bench: Bench) -> Predict:
    return bench.train(bench.weak_samples(true_mask), gold=True)


ARMS = (
    Arm(
        "gold_only",
        "The coarse model: trained on the gold labels alone.",
        "S1 row 1, the 25 + 0 of its tables",
        _gold_only,
        role=Role.REFERENCE,
        takes=frozenset({"length"}),
        uses_weak=False,
        trains=False,
    ),
    Arm(
        "coarse_as_weak",
        "Gold + the coarse model's own masks as weak labels; no promptable model.",
        "ground",
        _coarse_as_weak,
        role=Role.GROUND,
        takes=ON_WEAK | {"synthetic"},
    ),
    Arm(
        "ellipse",
        "Gold + the ellipse inscribed in the box around what the coarse model found; no promptable model.",
        "ground",
        _ellipse,
        role=Role.GROUND,
        takes=ON_WEAK | {"synthetic"},
    ),
    Arm(
        "full_truth",
        "Gold + the truth of the same unlabelled images.",
        "bound",
        _full_truth,
        role=Role.BOUND,
        takes=frozenset({"length"}),
        needs_truth=True,
    ),
)
