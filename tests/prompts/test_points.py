"""Positive and negative points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from autoweak.prompts import Positive
from autoweak.prompts.points import Location, negative_points, positive_point


@pytest.fixture
def crescent() -> npt.NDArray[np.bool_]:
    """A U shape whose centre lies outside of it."""
    shape = np.zeros((40, 40), dtype=bool)
    shape[5:35, 5:35] = True
    shape[5:28, 12:28] = False
    return shape


def test_the_interior_point_lies_inside_a_concave_component_where_the_median_does_not(
    crescent: npt.NDArray[np.bool_],
) -> None:
    x, y = positive_point(crescent, rule=Positive.INTERIOR)
    assert crescent[int(y), int(x)]
    x, y = positive_point(crescent, rule=Positive.MEDIAN)
    assert not crescent[int(y), int(x)]


def test_the_interior_point_counts_the_edge_of_the_slice_as_an_edge() -> None:
    everything = np.ones((21, 41), dtype=bool)
    x, y = positive_point(everything, rule=Positive.INTERIOR)
    assert y == 10
    assert 10 <= x <= 30


def _negatives(
    probability: npt.NDArray[np.float64], *, count: int, others: list[Location] | None = None
) -> list[Location]:
    kept = probability >= 0.5
    rng = np.random.default_rng(0)
    found = negative_points(
        probability, kept, threshold=0.5, area=int(kept.sum()), others=others or [], count=count, rng=rng
    )
    return list(found)


def test_negative_points_surround_the_component_where_the_map_is_low() -> None:
    probability = np.zeros((100, 100))
    probability[40:60, 40:60] = 0.9
    probability[:, 70:] = 0.3
    points = _negatives(probability, count=4)
    assert len(points) == 4
    for x, y in points:
        assert probability[int(y), int(x)] < 0.25
        assert 2 <= max(abs(x - 49.5), abs(y - 49.5)) - 9.5 <= 25
    assert max(abs(a[0] - b[0]) + abs(a[1] - b[1]) for a in points for b in points) > 30


def test_points_of_other_classes_come_first_unless_the_class_claims_the_place_too() -> None:
    probability = np.zeros((100, 100))
    probability[40:60, 40:60] = 0.9
    probability[90:, 90:] = 0.4
    assert _negatives(probability, count=2, others=[(10.0, 10.0), (95.0, 95.0)])[0] == (10.0, 10.0)
    assert (95.0, 95.0) not in _negatives(probability, count=5, others=[(10.0, 10.0), (95.0, 95.0)])


def test_there_are_no_negative_points_where_the_map_is_low_nowhere() -> None:
    probability = np.full((30, 30), 0.4)
    probability[10:20, 10:20] = 0.9
    assert _negatives(probability, count=3) == []


def test_far_places_serve_when_there_is_none_near() -> None:
    probability = np.full((100, 100), 0.4)
    probability[10:14, 10:14] = 0.9
    probability[90:, 90:] = 0.0
    points = _negatives(probability, count=1)
    assert len(points) == 1
    assert min(points[0]) >= 90


def test_a_place_next_to_the_component_is_too_near() -> None:
    probability = np.full((40, 40), 0.4)
    probability[9:31, 9:31] = 0.0
    probability[10:30, 10:30] = 0.9
    assert _negatives(probability, count=3) == []
