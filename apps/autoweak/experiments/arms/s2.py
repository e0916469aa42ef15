"""S2: prompts simulated from the truth, as an annotator would give them; a network trained on the weak labels alone.

Häkkinen et al., Medical Image Segmentation with SAM-generated Annotations, ECCV 2024 workshop. Its prompt list, box
construction and tables could not be read: what is here is a declared superset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from autoweak.experiments.arms.arm import ASKS, ON_WEAK, Arm, Array, Predict, Role
from autoweak.experiments.arms.bench import Bench, Maker, Scene
from autoweak.experiments.arms.ground import ellipses, true_mask
from autoweak.prompts import Box, Prompt, PromptKind, PromptPolicy
from autoweak.prompts.box import tight_box, widen
from autoweak.prompts.points import negative_points, positive_point
from autoweak.prompts.prompt import BoolArray, Positive
from autoweak.training.seeds import derive_seed
from autoweak.weak_labels.decode import decode_prompts
from autoweak.weak_labels.merge import merge_masks

_TAKES = ON_WEAK | {"per", "margin", "jitter", "keep_gold"}


@dataclass(frozen=True)
class _Box:
    """How an annotator draws boxes: wider than tight by `margin`, sides off by up to `jitter`, shares of the box."""

    margin: float
    jitter: float

    def around(self, part: BoolArray, *, rng: np.random.Generator) -> Box:
        """A box around a part of a slice (H, W), never outside the slice and never turned inside out."""
        box = widen(tight_box(part), margin=self.margin, size=(part.shape[0], part.shape[1]))
        if self.jitter == 0:
            return box
        spans = np.tile([box[2] - box[0] + 1, box[3] - box[1] + 1], 2)
        moved = np.round(np.array(box) + rng.uniform(-self.jitter, self.jitter, 4) * spans)
        x0, y0, x1, y1 = np.clip(moved, 0, np.tile([part.shape[1] - 1, part.shape[0] - 1], 2))
        return float(min(x0, x1)), float(min(y0, y1)), float(max(x0, x1)), float(max(y0, y1))


def simulated(
    truth: Array,
    *,
    labels: tuple[int, ...],
    policy: PromptPolicy,
    per: str,
    jitter: float,
    seed: int,
    margin: float = 0,
) -> tuple[Prompt, ...]:
    """The prompts an annotator would give, slice by slice; slices without a label get none.

    Args:
        truth: (S, H, W) label values.
        labels: which of them to prompt.
        policy: its kind and number of negative points.
        per: "class" for one prompt around all of a label in a slice, "component" for one around each connected part.
        jitter: each side of a box moves by up to this share of the box's width or height, inside the slice.
        seed: of jitter and negative points.
        margin: boxes are this share of their width or height larger on each side, inside the slice, before they move.
    """
    prompts = []
    for index, of_slice in enumerate(truth):
        rng = np.random.default_rng([seed, index])
        for label in labels:
            whole = of_slice == label
            for part in _parts(whole, per):
                prompts.append(_prompt(part, whole, label, index, policy=policy, box=_Box(margin, jitter), rng=rng))
    return tuple(prompts)


def _parts(mask: BoolArray, per: str) -> Iterator[BoolArray]:
    if not mask.any():
        return
    if per == "class":
        yield mask
    else:
        numbered, count = ndimage.label(mask, structure=np.ones((3, 3)))
        yield from (numbered == number for number in range(1, count + 1))


def _prompt(
    part: BoolArray,
    whole: BoolArray,
    label: int,
    index: int,
    *,
    policy: PromptPolicy,
    box: _Box,
    rng: np.random.Generator,
) -> Prompt:
    """The prompt of a part of a label in a slice; negative points lie outside the whole of it."""
    area = int(part.sum())
    points: tuple[tuple[float, float, bool], ...] = ()
    if policy.kind.has_points:
        outside = negative_points(
            whole.astype(np.float32), whole, threshold=1.0, area=area, others=(), count=policy.negatives, rng=rng
        )
        inside = positive_point(part, rule=Positive.INTERIOR)
        points = ((*inside, True), *((x, y, False) for x, y in outside))
    drawn = box.around(part, rng=rng) if policy.kind.has_box else None
    return Prompt(label, index, drawn, points, 1.0, area)


def _answered(bench: Bench, policy: PromptPolicy) -> Maker:
    """Weak labels: what the promptable model makes of simulated prompts."""
    model, cache = bench.promptable

    def weak(scene: Scene) -> Array:
        prompts = simulated(true_mask(scene), policy=policy, **_how(bench, scene))
        bench.asked.note(prompts, policy=policy)
        mask = np.zeros(scene.view.shape[:3], dtype=np.uint8)
        for index in sorted({prompt.slice_index for prompt in prompts}):
            members = [prompt for prompt in prompts if prompt.slice_index == index]
            result = decode_prompts(model, cache.get(model, scene.view[index]), members, policy=policy)
            mask[index] = merge_masks(result.logits, result.masks, [prompt.label for prompt in members])
        return mask

    return weak


def _how(bench: Bench, scene: Scene) -> dict[str, Any]:
    return {
        "labels": bench.labels,
        "per": bench.entry.per or "class",
        "margin": bench.entry.margin or 0.0,
        "jitter": bench.entry.jitter or 0.0,
        "seed": derive_seed(bench.context.seed, "annotator", scene.image_id),
    }


def _trained(bench: Bench, maker: Maker) -> Predict:
    return bench.train(bench.weak_samples(maker), gold=bool(bench.entry.keep_gold))


def _arm(name: str, prompts: str, policy: PromptPolicy) -> Arm:
    return Arm(
        name,
        f"Trained on what the promptable model makes of {prompts}, simulated from the truth; no gold.",
        "S2 rows 1 to 6",
        lambda bench: _trained(bench, _answered(bench, policy)),
        takes=_TAKES | ASKS,
        uses_gold=False,
        needs_truth=True,
    )


def _ellipse(bench: Bench) -> Predict:
    policy = PromptPolicy(name="box")

    def weak(scene: Scene) -> Array:
        prompts = simulated(true_mask(scene), policy=policy, **_how(bench, scene))
        return ellipses(prompts, scene.view.shape[:3])

    return _trained(bench, weak)


ARMS = (
    _arm("s2_box", "boxes", PromptPolicy(name="box")),
    _arm("s2_point", "one point inside", PromptPolicy(name="point", kind=PromptKind.POINTS)),
    _arm(
        "s2_points",
        "one point inside and two outside",
        PromptPolicy(name="points", kind=PromptKind.POINTS, negatives=2),
    ),
    _arm("s2_box_point", "boxes with one point inside", PromptPolicy(name="box_point", kind=PromptKind.BOX_POINTS)),
    _arm(
        "s2_box_points",
        "boxes with one point inside and two outside",
        PromptPolicy(name="box_points", kind=PromptKind.BOX_POINTS, negatives=2),
    ),
    Arm(
        "s2_ellipse",
        "Trained on the ellipses inscribed in boxes simulated from the truth; no promptable model, no gold.",
        "ground",
        _ellipse,
        role=Role.GROUND,
        takes=_TAKES,
        uses_gold=False,
        needs_truth=True,
    ),
    Arm(
        "s2_truth",
        "The same network trained on the truth of the same images; no gold.",
        "S2 row 5, bound",
        lambda bench: _trained(bench, true_mask),
        role=Role.BOUND,
        takes=frozenset({"length"}),
        uses_gold=False,
        needs_truth=True,
    ),
)
