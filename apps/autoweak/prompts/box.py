"""Boxes around components."""

from __future__ import annotations

import numpy as np

from autoweak.prompts.prompt import BoolArray, Box


def tight_box(component: BoolArray) -> Box:
    """The smallest box around a component.

    Args:
        component: (h, w) bool with at least one pixel set.

    Returns:
        (x0, y0, x1, y1), pixel indices with inclusive corners.
    """
    rows = np.flatnonzero(component.any(axis=1))
    columns = np.flatnonzero(component.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])


def widen(box: Box, *, margin: float, size: tuple[int, int]) -> Box:
    """Widen a box on each side by a fraction of its width and height, keeping it inside the slice.

    Args:
        box: (x0, y0, x1, y1), inclusive corners.
        margin: fraction of the box's own width and height, 0 or more.
        size: (H, W) of the slice.
    """
    x0, y0, x1, y1 = box
    height, width = size
    aside, above = margin * (x1 - x0 + 1), margin * (y1 - y0 + 1)
    return max(0.0, x0 - aside), max(0.0, y0 - above), min(width - 1.0, x1 + aside), min(height - 1.0, y1 + above)
