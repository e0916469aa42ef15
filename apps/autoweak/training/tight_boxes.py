"""Tight boxes: what a learned prompt is trained on, and the square of pixels in which its losses are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autoweak.promptable.registry import PreprocessingContract, Resize
from autoweak.prompts.box import tight_box
from autoweak.studies.boxes import PixelBox
from autoweak.tasks import Mirror

_EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class GridBox:
    """A tight box in the square of the losses: rows `top` to `bottom` and columns `left` to `right`, ends exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        """In pixels of the square."""
        return (self.bottom - self.top) * (self.right - self.left)


def boxes_of_mask(mask: NDArray[np.bool_], *, components: bool) -> tuple[PixelBox, ...]:
    """The tight boxes of a mask, which are all that is learned of it.

    Args:
        mask: (H, W) bool.
        components: a box around each connected component (8 neighbours), or else one around all of them.

    Returns:
        no box where the mask is empty.
    """
    if not mask.any():
        return ()
    if not components:
        return (_pixel_box(mask),)
    numbered, count = ndimage.label(mask, structure=_EIGHT)
    return tuple(_pixel_box(numbered == number) for number in range(1, count + 1))


def _pixel_box(mask: NDArray[np.bool_]) -> PixelBox:
    x0, y0, x1, y1 = (int(value) for value in tight_box(mask))
    return PixelBox(x0, y0, x1, y1)


def mirror_boxes(boxes: Sequence[PixelBox], *, image_size: tuple[int, int], way: Mirror) -> tuple[PixelBox, ...]:
    """Where boxes lie in the mirrored image (H, W)."""
    height, width = image_size
    if way is Mirror.HORIZONTAL:
        return tuple(PixelBox(width - 1 - box.x1, box.y0, width - 1 - box.x0, box.y1) for box in boxes)
    return tuple(PixelBox(box.x0, height - 1 - box.y1, box.x1, height - 1 - box.y0) for box in boxes)


def to_grid(
    boxes: Sequence[PixelBox], *, image_size: tuple[int, int], contract: PreprocessingContract, side: int
) -> tuple[GridBox, ...]:
    """Bring boxes from pixels of an image to the square that the promptable model sees it as.

    A box covers the area of its pixels; in the square it covers the pixels that are nearest to that, at least one.

    Args:
        boxes: of one label.
        image_size: (H, W) of the image.
        contract: says how the image lies in the square.
        side: of the square, in pixels.
    """
    height, width = image_size
    if contract.resize is Resize.LONGEST_SIDE:
        down = across = side / max(height, width)
    else:
        down, across = side / height, side / width
    return tuple(GridBox(*_span(box.y0, box.y1, down, side), *_span(box.x0, box.x1, across, side)) for box in boxes)


def _span(first: int, last: int, factor: float, side: int) -> tuple[int, int]:
    """First pixel and the one after the last, of pixels `first` to `last` seen `factor` times as large."""
    start = min(side - 1, math.floor(first * factor + 0.5))
    return start, min(side, max(start + 1, math.floor((last + 1) * factor + 0.5)))
