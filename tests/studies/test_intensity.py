"""The 8-bit view: windows, percentiles, and images that leave nothing to scale."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autoweak.errors import ImageError
from autoweak.studies import StudyImage, intensity, to_channels, to_uint8
from autoweak.studies.geometry import picture_geometry
from autoweak.tasks import Intensity, IntensityKind, load_task

PERCENTILE = Intensity(kind=IntensityKind.PERCENTILE, lower=0, upper=100)
AS_IS = Intensity(kind=IntensityKind.AS_IS)


def image_of(pixels: np.ndarray) -> StudyImage:
    return StudyImage("a", Path("a.png"), pixels, picture_geometry(pixels.shape[1:3]), sha256="0" * 64)


def test_a_window_maps_its_ends_to_0_and_255() -> None:
    hounsfield = np.array([-1000, -160, 40, 240, 3000], dtype=np.int16).reshape(1, 1, 5, 1)
    view = to_uint8(image_of(hounsfield), load_task("ct_spleen").intensity)
    assert view.ravel().tolist() == [0, 0, 128, 255, 255]


def test_percentiles_are_of_the_whole_image() -> None:
    volume = np.concatenate([np.zeros((1, 4, 4, 1)), np.full((1, 4, 4, 1), 500), np.full((1, 4, 4, 1), 1000)])
    view = to_uint8(image_of(volume.astype(np.uint16)), PERCENTILE)
    assert [int(slice_.max()) for slice_ in view] == [0, 128, 255]


def test_outliers_do_not_darken_the_image() -> None:
    pixels = np.tile(np.arange(100, dtype=np.float32), 100).reshape(1, 100, 100, 1)
    pixels[0, 0, 0] = 1e9
    view = to_uint8(image_of(pixels), Intensity(lower=0.5, upper=99.5))
    assert view[0, 0, 50] == pytest.approx(128, abs=4)


def test_8_bit_values_and_colours_stay() -> None:
    grey = np.arange(50, 74, dtype=np.uint8).reshape(1, 4, 6, 1)
    colour = np.repeat(grey, 3, axis=-1)
    assert np.array_equal(to_uint8(image_of(grey), AS_IS), grey)
    assert np.array_equal(to_uint8(image_of(colour), PERCENTILE), colour)
    assert to_uint8(image_of(grey), PERCENTILE).max() == 255


def test_16_bits_go_through_percentiles_where_they_cannot_stay() -> None:
    pixels = (np.arange(101, dtype=np.uint16) * 600).reshape(1, 1, 101, 1)
    view = to_uint8(image_of(pixels), AS_IS)
    assert view.dtype == np.uint8
    assert view[0, 0, 0, 0] == 0
    assert view[0, 0, -1, 0] == 255
    assert (np.diff(view.ravel().astype(int)) >= 0).all()


def test_a_small_object_on_black_is_seen() -> None:
    pixels = np.zeros((1, 100, 100, 1), dtype=np.uint16)
    pixels[0, 4, 4] = 900
    view = to_uint8(image_of(pixels), Intensity(lower=0.5, upper=99.5))
    assert view[0, 4, 4, 0] == 255
    assert view.sum() == 255


@settings(max_examples=40, deadline=None)
@given(
    pixels=hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int16, np.int32, np.float32]), (2, 3, 4, 1), fill=st.nothing()
    ).filter(lambda array: np.isfinite(array).all()),
    settings_=st.sampled_from([PERCENTILE, AS_IS, Intensity(), load_task("ct_spleen").intensity]),
)
def test_any_image_gives_a_view_that_keeps_the_order_of_values(pixels: np.ndarray, settings_: Intensity) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        view = to_uint8(image_of(pixels), settings_)
    assert (view.shape, view.dtype) == (pixels.shape, np.uint8)
    order = np.argsort(pixels.ravel(), kind="stable")
    assert (np.diff(view.ravel()[order].astype(int)) >= 0).all()


@pytest.mark.parametrize("value", [0, 7, -3.5])
def test_an_image_of_one_value_becomes_zeros(value: float) -> None:
    assert not to_uint8(image_of(np.full((1, 4, 4, 1), value, dtype=np.float32)), Intensity()).any()


def test_percentiles_of_large_images_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).normal(size=(1, 200, 200, 1)).astype(np.float32)
    exact = to_uint8(image_of(pixels), Intensity()).astype(int)
    monkeypatch.setattr(intensity, "_PERCENTILE_VALUES", 10_000)
    assert np.abs(to_uint8(image_of(pixels), Intensity()) - exact).mean() < 6


def test_channels_follow_the_task() -> None:
    grey = np.arange(24, dtype=np.uint8).reshape(1, 4, 6, 1)
    colour = to_channels(grey, 3)
    assert colour.shape == (1, 4, 6, 3)
    assert np.array_equal(to_channels(colour, 1), grey)
    assert to_channels(np.array([[255, 0, 0]], dtype=np.uint8), 1).tolist() == [[76]]
    assert to_channels(grey, 1) is grey
    with pytest.raises(ImageError, match="got 2 and 3"):
        to_channels(np.zeros((1, 2, 2, 2), dtype=np.uint8), 3)
