"""The cascade, and the 8-bit canvas of S1."""

from __future__ import annotations

import numpy as np
import pytest

from autoweak.prompts import get_policy
from autoweak.prompts.threshold import cascade, to_canvas

BOX = get_policy("box", thresholds=(0.5, 0.39, 0.2), peak=0.0, minimum_area=0.0)


@pytest.mark.parametrize(("peak", "threshold"), [(0.9, 0.5), (0.5, 0.5), (0.45, 0.39), (0.21, 0.2), (0.19, 0.0)])
def test_the_first_threshold_that_leaves_something_is_taken(peak: float, threshold: float) -> None:
    probability = np.zeros((32, 32))
    probability[4:9, 4:9] = peak
    found = cascade(probability, policy=BOX)
    assert found.threshold == threshold
    assert len(found.components) == (threshold > 0)


def test_a_speck_at_a_high_threshold_does_not_hide_a_region_at_a_lower_one() -> None:
    probability = np.zeros((100, 100))
    probability[5, 5] = 0.9
    probability[40:60, 40:60] = 0.45
    found = cascade(probability, policy=get_policy("box", peak=0.35, minimum_area=0.001))
    assert found.threshold == 0.39
    assert found.union[50, 50]
    assert not found.union[5, 5]


def test_the_peak_decides_whether_and_the_threshold_how_far() -> None:
    probability = np.zeros((100, 100))
    probability[40:60, 40:60] = 0.25
    policy = get_policy("box", thresholds=(0.5, 0.2), peak=0.35)
    assert cascade(probability, policy=policy).components == ()
    probability[50, 50] = 0.36
    assert cascade(probability, policy=policy).union.sum() == 400


def test_the_canvas_cuts_to_8_bits_without_rounding() -> None:
    probability = np.array([[0.9999, 0.5], [120 / 255, 0.0]])
    np.testing.assert_array_equal(to_canvas(probability, 2) * 255, [[254, 127], [120, 0]])


def test_the_canvas_keeps_places_where_they_are() -> None:
    probability = np.zeros((100, 200))
    probability[25:50, 100:150] = 1.0
    rows, columns = np.nonzero(to_canvas(probability, 256) >= 0.5)
    assert (rows.min(), rows.max()) == (64, 127)
    assert (columns.min(), columns.max()) == (128, 191)


def test_the_canvas_takes_pixels_as_areas_not_as_points() -> None:
    probability = np.zeros((64, 64))
    probability[10, 10] = 1.0
    levels = to_canvas(probability, 256)
    # Pixel 10 of 64 covers pixels 40 to 43 of 256.
    assert np.average(np.arange(256), weights=levels.sum(axis=0)) == pytest.approx(41.5, abs=0.05)
