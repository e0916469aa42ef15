"""What phantoms are drawn with."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autoweak.phantoms.canvas import blob, coordinates, polygon, smooth_noise, soft_inside, to_pixels


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), octaves=st.integers(1, 4))
def test_smooth_noise_has_mean_0_and_deviation_1_and_is_smooth(seed: int, octaves: int) -> None:
    field = smooth_noise(np.random.default_rng(seed), (60, 80), rows=4, columns=4, octaves=octaves)
    assert field.shape == (60, 80)
    assert abs(float(field.mean())) < 1e-3
    assert abs(float(field.std()) - 1) < 1e-3
    assert float(np.abs(np.diff(field, axis=1)).mean()) < 0.5


def test_coordinates_are_in_units_of_the_shorter_side() -> None:
    y, x = coordinates((50, 100))
    assert np.isclose(y[-1, 0], 0.99)
    assert np.isclose(x[0, -1], 1.99)


def test_a_smooth_blob_has_the_area_of_its_ellipse_wherever_it_points() -> None:
    y, x = coordinates((200, 200))
    for angle in (0.0, 0.7, 2.0):
        rng = np.random.default_rng(0)
        level = blob(rng, y, x, centre=(0.5, 0.5), radius=0.2, aspect=1.8, angle=angle, roughness=0.0)
        assert np.isclose((level < 0).mean(), np.pi * 0.2**2, rtol=0.02)


def test_soft_inside_falls_from_one_to_nought_through_a_half_at_the_outline() -> None:
    values = soft_inside(np.asarray([-1, 0, 1], np.float32), 0.1)
    assert np.allclose(values, [1, 0.5, 0], atol=1e-3)


def test_a_polygon_is_filled_in_x_y_order() -> None:
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    mask = polygon(np.stack([60 + 20 * np.cos(angle), 30 + 20 * np.sin(angle)], 1), (64, 128))
    assert mask[30, 60]
    assert not mask[60, 30]
    assert np.isclose(mask.sum(), np.pi * 20**2, rtol=0.05)


def test_to_pixels_clips_and_rounds() -> None:
    assert to_pixels(np.asarray([-0.2, 0.0, 0.5, 1.0, 1.7], np.float32)).tolist() == [0, 0, 128, 255, 255]
