"""What the numbers of a mask mean."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from autoweak.errors import LabelError
from autoweak.studies.label_values import decode

ONE, TWO, THREE = ("lesion",), ("right", "left"), ("a", "b", "c")
SHAPE = np.zeros((60, 80), dtype=np.uint8)
SHAPE[20:45, 30:60] = 1


@pytest.mark.parametrize("value", [1, 2, 7, 128, 255, 65535, 0.5])
def test_with_one_label_any_value_is_the_label(value: float) -> None:
    mask, note = decode(SHAPE * np.float64(value), ONE, volume=False)
    assert np.array_equal(mask, SHAPE)
    assert note is None or value == 0.5


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_values_of_any_type_are_labels(dtype: type) -> None:
    mask, _ = decode(SHAPE.astype(dtype), TWO, volume=True)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, SHAPE)


def test_numbered_objects_of_one_label_are_all_kept_in_pictures() -> None:
    objects = SHAPE.astype(np.uint16)
    objects[:10, :10] = 2
    objects[50:, 70:] = 3
    assert np.array_equal(decode(objects, ONE, volume=False)[0], objects > 0)
    many = (np.arange(4800) % 200).reshape(60, 80)
    assert np.array_equal(decode(many, ONE, volume=False)[0], many > 0)


def test_a_volume_of_many_organs_is_no_label_of_one() -> None:
    organs = SHAPE.astype(np.uint8)
    organs[:10, :10] = 5
    with pytest.raises(LabelError, match=r"not in the task \(5\); save labels as 0 background, 1 lesion"):
        decode(organs, ONE, volume=True)


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_jpeg_is_cut_at_half(quality: int) -> None:
    stream = io.BytesIO()
    Image.fromarray(SHAPE * 255).save(stream, format="JPEG", quality=quality)
    mask, note = decode(np.asarray(Image.open(stream)), ONE, volume=False)
    assert (mask != SHAPE).sum() <= 4
    assert note is not None or quality == 95


def test_smooth_edges_are_cut_at_half() -> None:
    large = Image.fromarray(np.kron(SHAPE * 255, np.ones((4, 4), dtype=np.uint8)))
    small = np.asarray(large.rotate(10).resize((80, 60), Image.Resampling.BOX))
    mask, note = decode(small, ONE, volume=False)
    assert np.array_equal(mask, small > 127)
    assert "half the largest" in str(note)


@pytest.mark.parametrize(
    ("values", "labels"), [((127, 255), TWO), ((128, 255), TWO), ((85, 170, 255), THREE), ((100, 200), TWO)]
)
def test_even_greys_are_counted_in_order(values: tuple[int, ...], labels: tuple[str, ...]) -> None:
    stored = np.array([[0, *values], [values[-1], 0, *values[:-1]]], dtype=np.uint8)
    mask, note = decode(stored, labels, volume=False)
    wanted = range(1, len(values) + 1)
    assert mask.tolist() == [[0, *wanted], [len(values), 0, *wanted[:-1]]]
    assert "in this order" in str(note)
    with pytest.raises(LabelError):
        decode(stored, labels, volume=True)


@pytest.mark.parametrize(
    ("values", "labels", "named"),
    [
        ((3,), TWO, r"\(3\)"),
        ((1, 255), TWO, r"\(255\)"),
        ((255,), TWO, r"\(255\)"),
        ((50, 60), TWO, r"\(50, 60\)"),
        ((1, 2, 3, 4), THREE, r"\(4\)"),
        ((1.5,), TWO, r"\(1.5\)"),
        (tuple(range(1, 20)), TWO, r"\(3, 4, 5, 6, 7, 8 and 11 more\); it looks smoothed"),
        ((-1, 1), ONE, r"\(-1\)"),
        ((np.inf,), ONE, r"no labels \(inf\)"),
    ],
)
def test_values_of_no_label_are_named(values: tuple[float, ...], labels: tuple[str, ...], named: str) -> None:
    with pytest.raises(LabelError, match=named):
        decode(np.array([0, *values]), labels, volume=False)


def test_an_empty_mask_is_a_label() -> None:
    for labels in (ONE, TWO):
        assert not decode(np.zeros((3, 4), dtype=np.uint16), labels, volume=True)[0].any()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.booleans())
def test_label_values_are_read_as_they_are(values: list[int], volume: bool) -> None:
    mask, note = decode(np.array(values, dtype=np.uint8), THREE, volume=volume)
    assert mask.tolist() == values
    assert note is None
