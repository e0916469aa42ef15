"""Points and boxes as viewers send them, in the frame of the slices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoweak.prompts.prompt import Box, Point
from autoweak.server.errors import BadRequestError
from autoweak.studies import StudyImage
from autoweak.tasks import Task

# Far more than anyone clicks; each costs the decoder time.
MOST_POINTS = 1000
# A viewer may round the last half voxel outwards.
_SLACK = 1.0

Index = tuple[float, float, float]


@dataclass
class SliceClicks:
    """What was said about one label in one slice: points (x, y, is_positive) and a box, pixel indices."""

    points: list[Point] = field(default_factory=list)
    box: Box | None = None


@dataclass(frozen=True)
class Clicks:
    """All prompts of a request.

    Attributes:
        of_label: label value to slice index to what was said there.
        named: whether the client has said which label it means; OHIF does not.
    """

    of_label: Mapping[int, Mapping[int, SliceClicks]]
    named: bool


def read_clicks(request: Mapping[str, Any], *, image: StudyImage, task: Task) -> Clicks:
    """Read the prompts of a request.

    Understood are 3D Slicer's and OHIF's `foreground` and `background` for the label in `label`, Slicer's `roi`, and
    one list of points under each label's own name with `background` for none of them. A point is a voxel index
    [i, j, k] of the stored image, of a picture also [i, j]. A ROI is [i, i, j, j, k, k], each pair in any order: Slicer
    takes them from RAS, against which the axes of most images run.

    Raises:
        BadRequestError: a label is not in the task, or points or ROI are malformed or outside the image.
    """
    named = request.get("label")
    value = _label_value(named, task)
    said: dict[int, dict[int, SliceClicks]] = {}
    away = _points(request.get("background"), "background", image)
    positive = {value: _points(request.get("foreground"), "foreground", image)}
    for name, own in task.labels.items():
        if name in request:
            positive[own] = positive.get(own, []) + _points(request[name], name, image)
    for own, points in positive.items():
        of_slice = said.setdefault(own, {})
        _place(points, True, of_slice)
        if points or own == value:
            _place(away, False, of_slice)
    for index, box in _roi(request.get("roi"), image).items():
        said[value].setdefault(index, SliceClicks()).box = box
    return Clicks({own: of_slice for own, of_slice in said.items() if of_slice}, named=bool(named))


def _label_value(named: object, task: Task) -> int:
    if not named:
        return 1
    if not isinstance(named, str) or named not in task.labels:
        raise BadRequestError(
            f"There is no label {str(named)[:80]!r}; task {task.name} has {', '.join(task.label_names)}."
        )
    return task.labels[named]


def _points(given: object, name: str, image: StudyImage) -> list[Index]:
    if given is None:
        return []
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MOST_POINTS:
        raise BadRequestError(f"{name} must be a list of at most {MOST_POINTS} points [i, j, k].")
    return [_inside(_numbers(point, (3, 2), name), name, image) for point in given]


def _numbers(given: object, lengths: tuple[int, ...], name: str) -> list[float]:
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) not in lengths:
        raise BadRequestError(f"{name} must hold {' or '.join(map(str, lengths))} numbers each, got {str(given)[:80]}.")
    if any(isinstance(one, bool) or not isinstance(one, (int, float)) or not math.isfinite(one) for one in given):
        raise BadRequestError(f"{name} must hold finite numbers, got {str(given)[:80]}.")
    return [float(one) for one in given]


def _inside(point: list[float], name: str, image: StudyImage) -> Index:
    slices, height, width = image.pixels.shape[:3]
    if len(point) == 2 and slices > 1:
        raise BadRequestError(f"{name} needs points [i, j, k] in a volume, got {point}.")
    first, second, third = [*point, 0.0][:3]
    place = image.geometry.to_slice_index((first, second, third))
    clipped = []
    for one, length in zip(place, (slices, height, width), strict=True):
        if not -_SLACK <= one <= length - 1 + _SLACK:
            raise BadRequestError(f"{name} has the point {point}, which lies outside the image.")
        clipped.append(min(max(one, 0.0), length - 1.0))
    return clipped[0], clipped[1], clipped[2]


def _place(points: list[Index], positive: bool, of_slice: dict[int, SliceClicks]) -> None:
    for index, row, column in points:
        of_slice.setdefault(round(index), SliceClicks()).points.append((column, row, positive))


def _roi(given: object, image: StudyImage) -> dict[int, Box]:
    """The box, (x0, y0, x1, y1) with inclusive corners, in each slice that a ROI meets; cut at the image's border."""
    if not given:
        return {}
    numbers = _numbers(given, (6,), "roi")
    corners = [image.geometry.to_slice_index((numbers[0 + way], numbers[2 + way], numbers[4 + way])) for way in (0, 1)]
    low = [min(pair) for pair in zip(*corners, strict=True)]
    high = [max(pair) for pair in zip(*corners, strict=True)]
    lengths = image.pixels.shape[:3]
    if any(top < 0 or bottom > length - 1 for bottom, top, length in zip(low, high, lengths, strict=True)):
        raise BadRequestError(f"The roi {numbers} lies outside the image.")
    low = [max(bottom, 0.0) for bottom in low]
    high = [min(top, length - 1.0) for top, length in zip(high, lengths, strict=True)]
    box = (low[2], low[1], high[2], high[1])
    return dict.fromkeys(range(math.ceil(low[0]), math.floor(high[0]) + 1), box)
