"""From clicks to a mask, keeping what is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from autoweak.prompts.prompt import Point
from autoweak.server.clicks import Clicks, SliceClicks
from autoweak.weak_labels.merge import merge_masks

if TYPE_CHECKING:
    from autoweak.promptable import EmbeddingCache, Promptable

Mask = npt.NDArray[np.uint8]
View = npt.NDArray[np.uint8]


def segment(
    view: View, clicks: Clicks, *, base: Mask | None, model: Promptable, cache: EmbeddingCache, labels: tuple[int, ...]
) -> Mask:
    """Segment what was clicked.

    A slice without clicks keeps what `base` has there. In a slice with points, the point of the base farthest from its
    edge (and from what was clicked away) joins them as a positive one, so that the mask that is there is refined and
    not begun anew. Given as a mask prompt instead, the small model returns it unchanged, whatever is clicked.

    Args:
        view: (S, H, W, C) uint8.
        clicks: the prompts.
        base: (S, H, W) label values that are there already.
        model: the promptable model.
        cache: keeps its embeddings, so that the second click on a slice is fast.
        labels: the label values that the result holds; of others, the base is left out.

    Returns:
        (S, H, W) uint8, 0 or a label value.
    """
    mask = np.zeros(view.shape[:3], dtype=np.uint8)
    if base is not None:
        mask[np.isin(base, labels)] = base[np.isin(base, labels)]
    for index in sorted({index for of_slice in clicks.of_label.values() for index in of_slice}):
        _segment_slice(mask, index, view, clicks, model, cache)
    return mask


def _segment_slice(
    mask: Mask, index: int, view: View, clicks: Clicks, model: Promptable, cache: EmbeddingCache
) -> None:
    before = mask[index].copy()
    values, logits = [], []
    for value, of_slice in clicks.of_label.items():
        said = of_slice.get(index)
        if said is None:
            continue
        points = anchored(said, before == value)
        if said.box is None and not any(positive for _, _, positive in points):
            # Only negative points, and nothing there: there is nothing to take away from.
            continue
        result = model.decode(
            cache.get(model, view[index]),
            boxes=None if said.box is None else [said.box],
            points=[points] if points else None,
        )
        values.append(value)
        logits.append(result.logits[0])
    if values:
        stack = np.stack(logits)
        fresh = merge_masks(stack, stack > 0, values)
        mask[index] = np.where(fresh > 0, fresh, np.where(np.isin(before, values), 0, before))


def anchored(said: SliceClicks, there: npt.NDArray[np.bool_]) -> list[Point]:
    """The points of a slice, with one more inside of what is there, (H, W) bool."""
    if not said.points or not there.any():
        return said.points
    depth = ndimage.distance_transform_edt(np.pad(there, 1))[1:-1, 1:-1]
    rows, columns = np.indices(there.shape)
    for x, y, positive in said.points:
        if not positive:
            # Halfway to a negative point is as safe as halfway to the edge.
            depth = np.minimum(depth, np.hypot(columns - x, rows - y) / 2)
    row, column = np.unravel_index(np.argmax(np.where(there, depth, 0)), there.shape)
    return [(float(column), float(row), True), *said.points]
