from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autoweak.errors import ImageError
from autoweak.synthesis.pixels import check_shape, network_shape, to_pixels, to_tensor

views = st.tuples(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3])).flatmap(
    lambda shape: arrays(np.uint8, shape)
)


@given(views)
def test_a_picture_comes_back_as_it_was(view: np.ndarray) -> None:
    tensor = to_tensor(view, view.shape[:2])
    assert np.array_equal(to_pixels(tensor[None])[0], view)


@given(views, st.sampled_from([(8, 8), (16, 24)]))
def test_network_input_lies_between_minus_one_and_one_at_any_shape(view: np.ndarray, shape: tuple[int, int]) -> None:
    tensor = to_tensor(view, shape)
    assert tensor.shape == (view.shape[2], *shape)
    assert float(tensor.min()) >= -1
    assert float(tensor.max()) <= 1


@given(arrays(np.float32, (2, 1, 3, 4), elements=st.floats(-9, 9, width=32)))
def test_what_a_network_draws_beyond_the_range_is_clipped(values: np.ndarray) -> None:
    pixels = to_pixels(torch.from_numpy(values))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (2, 3, 4, 1)
    assert np.all(pixels[values.transpose(0, 2, 3, 1) >= 1] == 255)
    assert np.all(pixels[values.transpose(0, 2, 3, 1) <= -1] == 0)


@given(
    st.lists(st.tuples(st.integers(8, 4000), st.integers(8, 4000)), min_size=1, max_size=9), st.sampled_from([16, 64])
)
def test_the_network_shape_keeps_to_size_and_steps(sizes: list[tuple[int, int]], size: int) -> None:
    rows, columns = network_shape([one[0] for one in sizes], [one[1] for one in sizes], size=size)
    assert max(rows, columns) == size
    assert check_shape((rows, columns)) == (rows, columns)


def test_landscape_images_get_a_landscape_shape() -> None:
    assert network_shape([300, 310], [400, 410], size=64) == (48, 64)


@pytest.mark.parametrize("shape", [(33, 33), (0, 8), (8,), (4096, 4096), (8.0, 8.0)])
def test_a_shape_that_the_network_cannot_have_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="multiples of 8"):
        check_shape(shape)
