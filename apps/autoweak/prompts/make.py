"""From a coarse map to prompts, class by class and slice by slice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from autoweak.errors import PromptError
from autoweak.prompts.box import tight_box, widen
from autoweak.prompts.points import Location, negative_points, positive_point
from autoweak.prompts.policy import PromptPolicy
from autoweak.prompts.prompt import BoolArray, Box, FloatArray, Point, Prompt
from autoweak.prompts.threshold import Found, cascade, to_canvas


def make_prompts(
    coarse_map: FloatArray, *, policy: PromptPolicy, labels: Sequence[int], seed: int
) -> tuple[Prompt, ...]:
    """Make the prompts of an image from its coarse map.

    Random choices depend on the seed, the slice and the label alone, so neither the order nor the number
    of slices matters. A class gets no prompt in a slice where its map stays below the policy's demands.

    Args:
        coarse_map: (S, K, H, W) probabilities, 0 to 1, rows first; one class for each label.
        policy: see `PromptPolicy`; S1's published behaviour is among the named ones.
        labels: the K label values, in the order of the map's classes.
        seed: 0 or more.

    Returns:
        Prompts in the order of slice, label and component; in pixel indices of the slice.

    Raises:
        PromptError: the map has another shape, is not finite or leaves 0 to 1; the seed is negative.

    Example:
        >>> from autoweak.prompts import get_policy
        >>> blob = np.zeros((1, 1, 64, 64)); blob[0, 0, 10:20, 30:40] = 0.9
        >>> make_prompts(blob, policy=get_policy("box"), labels=(1,), seed=0)[0].box
        (30.0, 10.0, 39.0, 19.0)
    """
    check_map(coarse_map, labels)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise PromptError(f"The seed must be a whole number of 0 or more; got {seed!r}.")
    prompts: list[Prompt] = []
    for slice_index, maps in enumerate(coarse_map):
        by_label = dict(zip(labels, maps, strict=True))
        prompts.extend(_slice_prompts(by_label, slice_index, policy, seed))
    return tuple(prompts)


def check_map(coarse_map: FloatArray, labels: Sequence[int]) -> None:
    """Refuse a coarse map that is not (S, K, H, W) of finite probabilities with K labels.

    Raises:
        PromptError: what was wrong, in one sentence.
    """
    if coarse_map.ndim != 4 or coarse_map.shape[1] != len(labels) or 0 in coarse_map.shape:
        raise PromptError(
            f"A coarse map needs the shape (slices, {len(labels)} classes, rows, columns), none of them 0; "
            f"got {coarse_map.shape}."
        )
    if len(set(labels)) != len(labels) or min(labels) < 1 or max(labels) > 255:
        raise PromptError(f"Labels must be different whole numbers from 1 to 255; got {tuple(labels)}.")
    lowest, highest = float(coarse_map.min()), float(coarse_map.max())
    # NaN fails both comparisons, and so is refused here as well.
    if not (lowest >= 0.0 and highest <= 1.0):
        raise PromptError(f"A coarse map holds probabilities from 0 to 1; got {lowest:g} to {highest:g}.")


def _slice_prompts(
    maps: Mapping[int, FloatArray], slice_index: int, policy: PromptPolicy, seed: int
) -> Iterator[Prompt]:
    worked = {label: _working_map(probability, policy) for label, probability in maps.items()}
    found = {label: cascade(probability, policy=policy) for label, probability in worked.items()}
    places = {label: _places(found[label], policy) for label in found}
    for label, probability in maps.items():
        others = [place for other in places if other != label for place in places[other]]
        rng = np.random.default_rng([seed, slice_index, label])
        for index, component in enumerate(found[label].components):
            box: Box | None = None
            points: tuple[Point, ...] = ()
            area = int(component.sum())
            if policy.kind.has_box:
                box = _box(component, probability.shape, policy)
            if policy.kind.has_points:
                negatives = _negatives(worked[label], found[label], area, others, policy, rng)
                points = _points(places[label][index], negatives, component.shape, probability.shape, policy)
            native_area = max(1, round(area * probability.size / component.size))
            yield Prompt(label, slice_index, box, points, found[label].threshold, native_area)


def _working_map(probability: FloatArray, policy: PromptPolicy) -> FloatArray:
    return probability if policy.canvas is None else to_canvas(probability, policy.canvas)


def _places(found: Found, policy: PromptPolicy) -> list[Location]:
    """One positive point for each component, where the policy wants points."""
    if not policy.kind.has_points:
        return []
    return [positive_point(component, rule=policy.positive) for component in found.components]


def _negatives(
    probability: FloatArray,
    found: Found,
    area: int,
    others: Sequence[Location],
    policy: PromptPolicy,
    rng: np.random.Generator,
) -> tuple[Location, ...]:
    return negative_points(
        probability,
        found.union,
        threshold=found.threshold,
        area=area,
        others=others,
        count=policy.negatives,
        rng=rng,
    )


def _box(component: BoolArray, size: tuple[int, ...], policy: PromptPolicy) -> Box:
    x0, y0, x1, y1 = tight_box(component)
    left, top = _to_slice((x0, y0), component.shape, size, policy)
    right, bottom = _to_slice((x1, y1), component.shape, size, policy)
    if policy.margin == 0:
        return left, top, right, bottom
    return widen((left, top, right, bottom), margin=policy.margin, size=(size[0], size[1]))


def _points(
    positive: Location,
    negatives: Sequence[Location],
    canvas: tuple[int, ...],
    size: tuple[int, ...],
    policy: PromptPolicy,
) -> tuple[Point, ...]:
    placed = [_to_slice(place, canvas, size, policy) for place in (positive, *negatives)]
    return tuple((x, y, index == 0) for index, (x, y) in enumerate(placed))


def _to_slice(place: Location, canvas: tuple[int, ...], size: tuple[int, ...], policy: PromptPolicy) -> Location:
    """From the canvas to the slice as S1 does: scaled, rounded half to even, and not held inside the slice."""
    if policy.canvas is None:
        return place
    return float(np.round(place[0] * (size[1] / canvas[1]))), float(np.round(place[1] * (size[0] / canvas[0])))
