"""The varied phantoms that the start weights are learned from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from autoweak.phantoms.varied_dermoscopy import draw_varied_dermoscopy
from autoweak.phantoms.varied_ultrasound import draw_varied_ultrasound

Draw = Callable[[np.random.Generator, tuple[int, int]], tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]
SIZE = (72, 88)
KINDS = pytest.mark.parametrize(
    ("draw", "channels"), [(draw_varied_ultrasound, ()), (draw_varied_dermoscopy, (3,))], ids=["ultrasound", "skin"]
)


def _many(draw: Draw, count: int = 60) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    return [draw(np.random.default_rng((3, number)), SIZE) for number in range(count)]


@KINDS
def test_images_and_masks_have_the_asked_size_and_plain_values(draw: Draw, channels: tuple[int, ...]) -> None:
    for image, mask in _many(draw, 12):
        assert (image.shape, image.dtype) == ((*SIZE, *channels), np.uint8)
        assert (mask.shape, mask.dtype) == (SIZE, np.uint8)
        assert set(np.unique(mask).tolist()) <= {0, 1}
        assert image.std() > 3


@KINDS
def test_the_same_seed_draws_the_same_and_another_seed_another(draw: Draw, channels: tuple[int, ...]) -> None:
    first, again, other = (draw(np.random.default_rng(seed), SIZE) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


@KINDS
def test_objects_are_small_and_large(draw: Draw, channels: tuple[int, ...]) -> None:
    shares = [float(mask.mean()) for _, mask in _many(draw) if mask.any()]

    assert min(shares) < 0.02
    assert max(shares) > 0.2


def test_some_ultrasound_images_hold_no_lesion() -> None:
    empty = np.mean([not mask.any() for _, mask in _many(draw_varied_ultrasound)])

    assert 0.05 < empty < 0.45


@KINDS
def test_most_objects_can_be_told_from_what_is_around_them(draw: Draw, channels: tuple[int, ...]) -> None:
    contrasts = []
    for image, mask in _many(draw):
        inside = mask > 0
        around = binary_dilation(inside, iterations=6) & ~inside
        if inside.any() and around.any():
            contrasts.append(abs(float(image[inside].mean()) - float(image[around].mean())))

    assert np.median(contrasts) > 8
