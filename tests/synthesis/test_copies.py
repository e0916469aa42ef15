from __future__ import annotations

import numpy as np
import pytest

from autoweak.phantoms.demo import make_phantom
from autoweak.synthesis.copies import distances


def _phantoms(first: int, count: int) -> list[np.ndarray]:
    return [make_phantom("ultrasound", seed=first + index, size=(64, 64)).image[..., None] for index in range(count)]


@pytest.fixture(scope="module")
def training() -> list[np.ndarray]:
    return _phantoms(0, 40)


def _noisy(image: np.ndarray) -> np.ndarray:
    return np.clip(image + np.random.default_rng(0).normal(0, 15, image.shape), 0, 255).astype(np.uint8)


def _brighter(image: np.ndarray) -> np.ndarray:
    return np.clip(image * 1.2 + 20, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "disguise",
    [np.array, np.fliplr, _noisy, _brighter, lambda image: np.roll(image, 1, axis=1)],
    ids=["itself", "mirrored", "noisy", "brighter", "moved by a pixel"],
)
def test_a_disguised_training_image_is_a_near_copy(training: list[np.ndarray], disguise: object) -> None:
    found = distances([disguise(training[7])], training)  # type: ignore[operator]
    assert found.copies.all()
    assert found.which[0] == 7


def test_other_images_of_the_kind_are_no_copies(training: list[np.ndarray]) -> None:
    found = distances(_phantoms(100, 40), training)
    assert not found.copies.any()
    assert found.to_dict()["near_copies"] == 0


def test_a_blank_image_has_a_distance_too(training: list[np.ndarray]) -> None:
    found = distances([np.zeros((64, 64, 1), np.uint8)], training)
    assert np.isfinite(found.nearest).all()
    assert not found.copies.any()
