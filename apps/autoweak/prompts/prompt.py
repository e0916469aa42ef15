"""What a prompt is, and the kinds of prompt there are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]

Box = tuple[float, float, float, float]
Point = tuple[float, float, bool]


class PromptKind(str, Enum):
    """Which parts of a prompt the promptable model is given."""

    BOX = "box"
    POINTS = "points"
    BOX_POINTS = "box_points"

    @property
    def has_box(self) -> bool:
        """Whether prompts of this kind carry a box."""
        return self is not PromptKind.POINTS

    @property
    def has_points(self) -> bool:
        """Whether prompts of this kind carry points."""
        return self is not PromptKind.BOX


class Keep(str, Enum):
    """What makes a component worth keeping when a class has more of them than the policy allows."""

    AREA = "area"
    """The largest, as S1 does."""
    PROBABILITY = "probability"
    """The highest mean probability, as S3 does."""
    ALL = "all"
    """None is left out: all together are one, as in a second copy of S1's code."""


class Positive(str, Enum):
    """Where the positive point of a component goes."""

    INTERIOR = "interior"
    """The pixel of the component farthest from its edge: always inside."""
    MEDIAN = "median"
    """(median column, median row), as S1 does: may lie outside a concave component."""


@dataclass(frozen=True)
class Prompt:
    """One prompt, for one component of one class in one slice.

    Attributes:
        label: value of the class in the mask, 1 or more.
        slice_index: index of the slice in its stack.
        box: (x0, y0, x1, y1), pixel indices of the slice with inclusive corners; None for points alone.
        points: (x, y, is_positive) each, pixel indices of the slice; empty for a box alone.
        threshold: probability of the cascade at which the component was found, 0 to 1.
        area: pixels of the component, at the size of the slice.
    """

    label: int
    slice_index: int
    box: Box | None
    points: tuple[Point, ...]
    threshold: float
    area: int
