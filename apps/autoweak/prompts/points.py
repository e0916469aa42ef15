"""Points in components (positive) and well outside them (negative)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from autoweak.prompts.prompt import BoolArray, FloatArray, Positive

# Negative points keep this far from what was found, and stay this near to it, both in square roots of its
# area: nearer the coarse map's own edge error is met, farther the point says nothing about that edge.
_GAP = 0.2
_REACH = 0.8
_SMALLEST_GAP = 2.0
_SMALLEST_REACH = 8.0
# A negative point lies where the map is below this fraction of the threshold that found the component.
_LOW = 0.5
# Enough candidates for points spread on all sides; more would only cost time.
_CANDIDATES = 64

Location = tuple[float, float]


def positive_point(component: BoolArray, *, rule: Positive) -> Location:
    """The positive point of a component.

    Args:
        component: (h, w) bool with at least one pixel set.
        rule: the pixel farthest from the edge, or (median column, median row) as S1 has it.

    Returns:
        (x, y) in pixel indices.
    """
    if rule is Positive.MEDIAN:
        rows, columns = np.nonzero(component)
        return float(np.median(columns)), float(np.median(rows))
    # A frame of background: the edge of the slice is an edge of the component too.
    depth = ndimage.distance_transform_edt(np.pad(component, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(np.argmax(depth), depth.shape)
    return float(column), float(row)


def negative_points(
    probability: FloatArray,
    kept: BoolArray,
    *,
    threshold: float,
    area: int,
    others: Sequence[Location],
    count: int,
    rng: np.random.Generator,
) -> tuple[Location, ...]:
    """Places that are not of the class: inside other classes first, then low-probability places around.

    Args:
        probability: (h, w), 0 to 1, of the class itself.
        kept: (h, w) bool, all kept components of the class together.
        threshold: probability at which they were found.
        area: pixels of the component the points are for; it sets how near they lie.
        others: (x, y) of points inside components of other classes (S3's negatives).
        count: at most this many points.
        rng: draws the candidates.

    Returns:
        (x, y) each, outside `kept` by at least two pixels; fewer than `count`, or none, where the
        slice has no such place.
    """
    if count == 0:
        return ()
    distance = ndimage.distance_transform_edt(~kept)
    gap = max(_SMALLEST_GAP, _GAP * math.sqrt(area))
    allowed = (distance >= gap) & (probability < _LOW * threshold)
    chosen = [(x, y) for x, y in others if allowed[int(y), int(x)]][:count]
    near = allowed & (distance <= gap + max(_SMALLEST_REACH, _REACH * math.sqrt(area)))
    candidates = _candidates(near if near.any() else allowed, rng)
    return tuple(_spread(chosen, candidates, count))


def _candidates(allowed: BoolArray, rng: np.random.Generator) -> list[Location]:
    rows, columns = np.nonzero(allowed)
    drawn = rng.permutation(len(rows))[:_CANDIDATES]
    return [(float(columns[index]), float(rows[index])) for index in drawn]


def _spread(chosen: list[Location], candidates: list[Location], count: int) -> list[Location]:
    """Add candidates to the chosen points, each time the one farthest from all chosen so far."""
    spread = list(chosen)
    while candidates and len(spread) < count:
        best = max(candidates, key=lambda place: min((math.dist(place, other) for other in spread), default=0.0))
        candidates = [place for place in candidates if place != best]
        spread.append(best)
    return spread
