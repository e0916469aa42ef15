"""Losses that need only a tight box around the object.

Emptiness, tightness and size as in Gaillochet et al. (MedAGI 2024), after the box constraints of Kervadec et al.
(MIDL 2020), each inequality as a log-barrier extension (Kervadec et al. 2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from autoweak.training.tight_boxes import GridBox


@dataclass(frozen=True)
class BoxLoss:
    """Weights and bounds; a weight of 0 switches its term off. Defaults are the paper's.

    Attributes:
        emptiness: weight of the cross-entropy outside the boxes.
        tightness: weight of the bands across the boxes.
        size: weight of the bounds on the object's size.
        band: width of a band, in pixels of the square of `side` pixels that the losses see.
        smallest: least share of the boxes' area that the object fills; `largest`: greatest.
        steepness: t of the barrier.
        side: of that square. The paper counts in pixels of its images, 256 to 640 wide; here it is 256 for all, so
            that a band is 2 % of the image's side whatever the image's size.
    """

    emptiness: float = 1.0
    tightness: float = 1e-4
    size: float = 1e-2
    band: int = 5
    smallest: float = 0.5
    largest: float = 0.9
    steepness: float = 5.0
    side: int = 256

    def __call__(self, logits: Tensor, boxes: Sequence[tuple[GridBox, ...] | None]) -> Tensor:
        """The mean over labels of images of which something is known.

        Args:
            logits: (N, h, w) of one label in each of N images, at the decoder's size.
            boxes: of each, in the square of `side` pixels: none where the label is not there, None where nothing is
                known of it.
        """
        known = [index for index, found in enumerate(boxes) if found is not None]
        if not known:
            return logits.sum() * 0.0
        full = functional.interpolate(logits[known, None], size=(self.side, self.side), mode="bilinear")[:, 0]
        terms = [self.one(image, boxes[index] or ()) for image, index in zip(full, known, strict=True)]
        return torch.stack(terms).mean()

    def one(self, logits: Tensor, boxes: tuple[GridBox, ...]) -> Tensor:
        """Loss of one label in one image: logits (side, side) and its boxes."""
        total = logits.new_zeros(())
        if self.emptiness:
            total = total + self.emptiness * emptiness(logits, boxes)
        if not boxes or not (self.tightness or self.size):
            return total
        probability = logits.sigmoid()
        if self.tightness:
            lacking = torch.cat([band_deficits(probability, box, width=self.band) for box in boxes])
            total = total + self.tightness * barrier(lacking, steepness=self.steepness).sum()
        if self.size:
            area = int((~outside(boxes, like=logits)).sum())
            excess = size_excess(probability, area, smallest=self.smallest, largest=self.largest)
            total = total + self.size * barrier(excess, steepness=self.steepness).sum() / area
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
    return torch.where(excess <= edge, inside, beyond)


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
    """By how many pixels an object (H, W) is larger and smaller than these shares of `area`; (2,), 0 or less if not."""
    size = probability.sum()
    return torch.stack([size - largest * area, smallest * area - size])
