"""S3's way from a coarse map to prompts: clean each label's mask, then box, centre, and the other labels' centres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from autoweak.experiments.arms.arm import Array
from autoweak.experiments.spec import ArmEntry, Footprint
from autoweak.prompts import Keep, Prompt, PromptKind, PromptPolicy
from autoweak.prompts.box import tight_box
from autoweak.prompts.components import keep_components
from autoweak.prompts.points import Location, negative_points
from autoweak.prompts.prompt import BoolArray

# One component, the likeliest; box first, then points with the first pass's logits; nothing widened or filled.
S3_POLICY = PromptPolicy(
    name="s3_published",
    kind=PromptKind.BOX_POINTS,
    thresholds=(0.5,),
    peak=0.0,
    minimum_area=0.0,
    components=1,
    relative_area=0.0,
    keep=Keep.PROBABILITY,
    fill_holes=False,
    negatives=2,
    passes=2,
)
_MOST_NEGATIVES = 16


@dataclass(frozen=True)
class Refining:
    """What an arm may change in S3's refining.

    Attributes:
        policy: which component is kept, and one pass (the box alone) or two.
        grow: the kept component is dilated by so many pixels of the image, or eroded where it is below 0.
        footprint: by what.
    """

    policy: PromptPolicy = S3_POLICY
    grow: int = 0
    footprint: Footprint = "square"

    @classmethod
    def of(cls, entry: ArmEntry) -> Refining:
        """As the options of an arm say; as published where they say nothing."""
        policy = S3_POLICY
        if entry.keep is not None:
            policy = replace(policy, keep=Keep.AREA if entry.keep == "largest" else Keep.PROBABILITY)
        if entry.passes == 1:
            policy = replace(policy, kind=PromptKind.BOX, passes=1)
        return cls(policy, entry.grow or 0, entry.footprint or "square")


PUBLISHED = Refining()


def footprint(name: Footprint, radius: int) -> BoolArray:
    """A structuring element (2 r + 1, 2 r + 1) bool."""
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    if name == "square":
        return np.ones(rows.shape, dtype=bool)
    distance = np.abs(rows) + np.abs(columns) if name == "diamond" else np.hypot(rows, columns)
    return np.asarray(distance <= radius, dtype=bool)


def cleaned(maps: Array, how: Refining = PUBLISHED) -> tuple[BoolArray, ...]:
    """Of each label the component with the highest mean probability, or the largest, at 0.5; empty where there is none.

    Args:
        maps: (K, H, W), 0 to 1.
        how: which component, and what is done to it.
    """
    nothing = np.zeros(maps.shape[1:], dtype=bool)
    kept = (next(iter(keep_components(one >= 0.5, one, policy=how.policy)), nothing) for one in maps)
    return tuple(_grown(one, how) for one in kept)


def _grown(mask: BoolArray, how: Refining) -> BoolArray:
    if not how.grow or not mask.any():
        return mask
    element = footprint(how.footprint, abs(how.grow))
    change = ndimage.binary_dilation if how.grow > 0 else ndimage.binary_erosion
    return np.asarray(change(mask, structure=element), dtype=bool)


def s3_prompts(
    maps: Array, *, labels: Sequence[int], slice_index: int, seed: int, how: Refining = PUBLISHED
) -> tuple[Prompt, ...]:
    """The prompts of a slice: tight box, centre of mass as positive, centres of the other labels as negatives.

    The centre is that of the pixels which no other label claims; a label without such pixels gets no prompt. Where no
    other label is there to say no, two low-probability places near the object do, as in this project's own policies.

    Args:
        maps: (K, H, W), 0 to 1; `labels`: their K values.
        slice_index: of the slice.
        seed: of the negatives of a label that is alone.
        how: which component of a label, and what is done to it.
    """
    found = cleaned(maps, how)
    claims = np.sum(found, axis=0)
    centres = {label: _centre(one & (claims < 2)) for label, one in zip(labels, found, strict=True)}
    prompts = []
    for label, one, probability in zip(labels, found, maps, strict=True):
        centre = centres[label]
        if centre is None:
            continue
        area = int(one.sum())
        others = [place for other, place in centres.items() if place is not None and other != label][:_MOST_NEGATIVES]
        negatives = others or negative_points(
            probability,
            one,
            threshold=0.5,
            area=area,
            others=(),
            count=S3_POLICY.negatives,
            rng=np.random.default_rng([seed, slice_index, label]),
        )
        points = ((*centre, True), *((x, y, False) for x, y in negatives))
        prompts.append(Prompt(label, slice_index, tight_box(one), points, 0.5, area))
    return tuple(prompts)


def _centre(mask: BoolArray) -> Location | None:
    if not mask.any():
        return None
    rows, columns = np.nonzero(mask)
    return float(np.round(columns.mean())), float(np.round(rows.mean()))
