"""Losses that need only a tight box around the object.

Emptiness, tightness and size as in Gaillochet et al. (MedAGI 2024), after the box constraints of Kervadec et al.
(MIDL 2020), each inequality as a log-barrier extension (Kervadec et al. 2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from autoweak.training.prompt_recipe import BoxTerms
from autoweak.training.tight_boxes import GridBox


def box_loss(logits: Tensor, boxes: Sequence[tuple[GridBox, ...] | None], *, terms: BoxTerms) -> Tensor:
    """The mean of the three terms over the images of which something is known.

    Args:
        logits: (N, h, w) of one label in each of N images, at the decoder's size.
        boxes: of each, in the square of `terms.side` pixels: none where the label is not there, None where nothing is
            known of it.
        terms: weights and bounds.
    """
    known = [index for index, found in enumerate(boxes) if found is not None]
    if not known:
        return logits.sum() * 0.0
    full = functional.interpolate(logits[known, None], size=(terms.side, terms.side), mode="bilinear")[:, 0]
    return torch.stack([_of_one(one, boxes[index] or (), terms) for one, index in zip(full, known, strict=True)]).mean()


def _of_one(logits: Tensor, boxes: tuple[GridBox, ...], terms: BoxTerms) -> Tensor:
    """Of one label in one image: logits (side, side) and its boxes."""
    total = logits.new_zeros(())
    if terms.emptiness:
        total = total + terms.emptiness * emptiness(logits, boxes)
    if not boxes or not (terms.tightness or terms.size):
        return total
    probability = logits.sigmoid()
    if terms.tightness:
        lacking = torch.cat([band_deficits(probability, box, width=terms.band) for box in boxes])
        total = total + terms.tightness * barrier(lacking, steepness=terms.steepness).sum()
    if terms.size:
        inside = ~outside(boxes, like=logits)
        counted = probability if terms.size_everywhere else probability * inside
        excess = size_excess(counted, int(inside.sum()), smallest=terms.smallest, largest=terms.largest)
        total = total + terms.size * barrier(excess, steepness=terms.steepness).sum() / inside.sum()
    return total


def barrier(excess: Tensor, *, steepness: float) -> Tensor:
    """Penalty of inequalities z <= 0, finite and with a steady slope everywhere (log-barrier extension).

    -log(-z) / t where z <= -1/t², and from there on the tangent, whose slope is t.

    Args:
        excess: z, any shape.
        steepness: t; the larger, the closer to a wall.
    """
    edge = -1 / steepness**2
    inside = -torch.log(-excess.clamp(max=edge)) / steepness
    beyond = steepness * (excess - edge) - math.log(-edge) / steepness
    return torch.where(excess < edge, inside, beyond)


def outside(boxes: Sequence[GridBox], *, like: Tensor) -> Tensor:
    """(H, W) bool, on the pixels that no box covers."""
    mask = torch.ones(like.shape, dtype=torch.bool, device=like.device)
    for box in boxes:
        mask[box.top : box.bottom, box.left : box.right] = False
    return mask


def emptiness(logits: Tensor, boxes: Sequence[GridBox]) -> Tensor:
    """Mean over the pixels outside all boxes of the cross-entropy with background; 0 where there are none."""
    mask = outside(boxes, like=logits)
    return (functional.softplus(logits) * mask).sum() / mask.sum().clamp_min(1)


def band_deficits(probability: Tensor, box: GridBox, *, width: int) -> Tensor:
    """How many pixels are lacking in each band across a tight box.

    An object that touches all four sides of its box, in one piece, has a pixel in each of its rows and columns: so a
    band of w rows (or columns) has at least w. The last band is as wide as what remains.

    Args:
        probability: (H, W) of the object, 0 to 1.
        box: its tight box.
        width: w of a band.

    Returns:
        (bands,): w less the band's sum, for all horizontal and then all vertical bands; 0 or less where enough.
    """
    inside = probability[box.top : box.bottom, box.left : box.right]
    return torch.cat([_deficits(inside.sum(1), width), _deficits(inside.sum(0), width)])


def _deficits(lines: Tensor, width: int) -> Tensor:
    """Width less sum of groups of `width` neighbouring entries of (L,)."""
    count = math.ceil(len(lines) / width)
    return functional.pad(1 - lines, (0, count * width - len(lines))).reshape(count, width).sum(1)


def size_excess(probability: Tensor, area: int, *, smallest: float, largest: float) -> Tensor:
    """By how many pixels an object is larger and smaller than it may be.

    Args:
        probability: (H, W) of the object, 0 to 1, where it is counted. Counted over the whole image and not inside its
            boxes alone, a faint object everywhere is large enough.
        area: of its boxes, pixels.
        smallest: least share of it that the object fills; `largest`: greatest.

    Returns:
        (2,): its size less the largest, and the smallest less its size; 0 or less where it is neither.
    """
    size = probability.sum()
    return torch.stack([size - largest * area, smallest * area - size])
