"""What simulated reviews gave: curves, how they differ from random order, and how many reviews a Dice takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from autoweak.experiments.metrics import Comparison, Summary, compare, summarise
from autoweak.experiments.review.orders import RANDOM

LEVELS = (0.5, 0.75, 1.0)
"""Dice levels, as shares of the way that random order comes from its first to its last training."""


@dataclass(frozen=True)
class Curve:
    """One order on one course.

    Attributes:
        data, seed: of the course; `order`: its name.
        reviews: how many images were reviewed before each training; `dice`: mean Dice on the evaluation images after.
        reviewed: ids of the reviewed images in their order.
    """

    data: str
    seed: int
    order: str
    reviews: tuple[int, ...]
    dice: tuple[float, ...]
    reviewed: tuple[str, ...]

    @property
    def mean(self) -> float:
        """Mean Dice over all trainings after the first, which no order has a part in."""
        return float(np.mean(self.dice[1:]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Curve:
        """The reverse of `to_dict`.

        Raises:
            KeyError, TypeError: the content is no curve.
        """
        lists = {key: tuple(content[key]) for key in ("reviews", "dice", "reviewed")}
        return cls(str(content["data"]), int(content["seed"]), str(content["order"]), **lists)


@dataclass(frozen=True)
class Line:
    """One order on one kind of data, over all seeds.

    Attributes:
        data, order: which; `seeds`: over how many courses.
        points: (reviews, summary of the mean Dice over seeds), in ascending order.
        against_random: mean Dice over the curve, seed by seed against random order; None for random order itself.
        needed: for each of `LEVELS` the Dice, and the reviews at which the mean curve reaches it; None where it
            does not.
    """

    data: str
    order: str
    seeds: int
    points: tuple[tuple[int, Summary], ...]
    against_random: Comparison | None
    needed: tuple[tuple[float, float | None], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "data": self.data,
            "order": self.order,
            "seeds": self.seeds,
            "points": [{"reviews": reviews, **summary.to_dict()} for reviews, summary in self.points],
            "against_random": None if self.against_random is None else self.against_random.to_dict(),
            "needed": [{"dice": dice, "reviews": reviews} for dice, reviews in self.needed],
        }


def lines_of(curves: Sequence[Curve]) -> tuple[Line, ...]:
    """One line for each kind of data and order, over the seeds that all orders of that data have."""
    lines: list[Line] = []
    for data in dict.fromkeys(curve.data for curve in curves):
        orders: dict[str, dict[int, Curve]] = {}
        for curve in curves:
            if curve.data == data:
                orders.setdefault(curve.order, {})[curve.seed] = curve
        common = sorted(set.intersection(*(set(found) for found in orders.values())))
        if common and RANDOM in orders:
            kept = {order: [found[seed] for seed in common] for order, found in orders.items()}
            lines.extend(_line(data, order, kept) for order in kept)
    return tuple(lines)


def reviews_to_reach(reviews: Sequence[int], dice: Sequence[float], level: float) -> float | None:
    """Where a curve, straight between its points, first reaches a Dice; None where it never does."""
    for place, value in enumerate(dice):
        if value >= level:
            if place == 0:
                return float(reviews[0])
            before = dice[place - 1]
            share = (level - before) / (value - before)
            return reviews[place - 1] + share * (reviews[place] - reviews[place - 1])
    return None


def _line(data: str, order: str, kept: Mapping[str, Sequence[Curve]]) -> Line:
    curves, base = kept[order], kept[RANDOM]
    reviews = curves[0].reviews
    mean, reference = _means(curves), _means(base)
    levels = [reference[0] + share * (reference[-1] - reference[0]) for share in LEVELS]
    return Line(
        data=data,
        order=order,
        seeds=len(curves),
        points=tuple(
            (count, summarise([curve.dice[place] for curve in curves])) for place, count in enumerate(reviews)
        ),
        against_random=None if order == RANDOM else compare(_by_seed(base), _by_seed(curves)),
        needed=tuple((level, reviews_to_reach(reviews, mean, level)) for level in levels),
    )


def _means(curves: Sequence[Curve]) -> list[float]:
    return [float(value) for value in np.mean([curve.dice for curve in curves], axis=0)]


def _by_seed(curves: Sequence[Curve]) -> dict[str, float]:
    return {str(curve.seed): curve.mean for curve in curves}
