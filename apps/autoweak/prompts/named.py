"""The prompt policies that have a name, S1's published ones among them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from autoweak.errors import PromptError
from autoweak.prompts.policy import PromptPolicy
from autoweak.prompts.prompt import Keep, Positive, PromptKind

_S1_BOX_LEVELS = (120, 168, 100, 50, 25)
_S1_POINT_LEVELS = (225, 168, 100, 50, 25)


def _published(name: str, kind: PromptKind, levels: Sequence[int], *, keep: Keep = Keep.AREA) -> PromptPolicy:
    """A policy that does what the released code of S1 does, its weaknesses included.

    Its maps are 8-bit images of 256 × 256, so a level is a count out of 255; coordinates are scaled to
    the slice and rounded. One component, the largest, of 4 neighbours (or all, see `keep`); no margin, no smallest
    area: one pixel of probability 0.1 makes a prompt, so an image with nothing in it gets one as well. The box
    cascade's second level lies above its first, and so never decides. The point policy's "negative"
    point is drawn from the whole image, has row and column exchanged and carries SAM's label -1, which
    marks padding: its place has no effect on the mask, so none is made here (the only trace it could
    leave in SAM is a second padding token, equal to the one that SAM always adds).
    """
    return PromptPolicy(
        name=name,
        kind=kind,
        thresholds=tuple(level / 255 for level in levels),
        peak=0.0,
        minimum_area=0.0,
        components=1,
        relative_area=0.0,
        keep=keep,
        connectivity=4,
        fill_holes=False,
        positive=Positive.MEDIAN,
        canvas=256,
    )


def _named(*policies: PromptPolicy) -> dict[str, PromptPolicy]:
    return {policy.name: policy for policy in policies}


POLICIES: Mapping[str, PromptPolicy] = _named(
    # A box is what every promptable model was trained with, MedSAM with nothing else. It is tight: on held-out gold,
    # mean Dice of the small model without and with 2 % more on each side was 0.496, 0.496 (breast ultrasound), 0.878,
    # 0.872 (skin lesions), 0.890, 0.888 (chest X-rays), 0.867, 0.866 (two lungs), 0.657, 0.650 (hippocampus).
    # The likeliest component is prompted, as in S3, not the largest, as in S1: on held-out gold of breast ultrasound
    # that raised the mean Dice of the weak labels from 0.497 to 0.551 (25 images, small model).
    PromptPolicy(name="default", kind=PromptKind.BOX),
    # What `auto` begins from: the mean over jittered boxes, half of it the coarse map's. A higher first threshold keeps
    # the box of a map that fades out slowly from growing too large.
    PromptPolicy(name="fused", kind=PromptKind.BOX, thresholds=(0.65, 0.5, 0.39, 0.2), jitter=0.1, coarse_share=0.5),
    PromptPolicy(name="box", kind=PromptKind.BOX),
    PromptPolicy(name="points", kind=PromptKind.POINTS, negatives=2),
    PromptPolicy(name="box_points", kind=PromptKind.BOX_POINTS, negatives=2),
    PromptPolicy(name="two_pass", kind=PromptKind.BOX_POINTS, negatives=2, passes=2),
    _published("s1_box_published", PromptKind.BOX, _S1_BOX_LEVELS),
    # As another copy of the notebook has it, and as S1's own weak labels of lungs are: a box around both.
    _published("s1_box_all_published", PromptKind.BOX, _S1_BOX_LEVELS, keep=Keep.ALL),
    _published("s1_points_published", PromptKind.POINTS, _S1_POINT_LEVELS),
)


def get_policy(name: str, **overrides: Any) -> PromptPolicy:
    """The policy of that name, with single fields replaced.

    Args:
        name: a key of `POLICIES`.
        overrides: fields of `PromptPolicy` other than its name.

    Raises:
        PromptError: no policy has that name, no field that name, or a value is not valid.

    Example:
        >>> get_policy("default", components=2).components
        2
    """
    if name not in POLICIES:
        raise PromptError(f"There is no prompt policy named {name!r}; the known ones are {', '.join(POLICIES)}.")
    options = [field.name for field in dataclasses.fields(PromptPolicy) if field.name != "name"]
    for option in overrides:
        if option not in options:
            raise PromptError(f"A prompt policy has no option {option!r}; the known ones are {', '.join(options)}.")
    return dataclasses.replace(POLICIES[name], **overrides)
