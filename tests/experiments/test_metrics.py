"""Scores of a mask against the truth, their summary, and the comparison of two arms."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_dice, compute_iou
from numpy.typing import NDArray

from autoweak.experiments.metrics import (
    MetricsError,
    compare,
    rank_correlation,
    roc_area,
    score_image,
    summarise,
)

Mask = NDArray[np.uint8]


def square(top: int, left: int, side: int, *, label: int = 1, slices: int = 1) -> Mask:
    mask = np.zeros((slices, 40, 40), np.uint8)
    mask[:, top : top + side, left : left + side] = label
    return mask


EMPTY = square(0, 0, 0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), density=st.floats(0, 1), other=st.floats(0, 1))
def test_dice_and_iou_are_those_of_monai(seed: int, density: float, other: float) -> None:
    rng = np.random.default_rng(seed)
    first, second = (rng.random((2, 5, 5)) < density), (rng.random((2, 5, 5)) < other)
    score = score_image(first.astype(np.uint8), second.astype(np.uint8), labels=[1]).labels[0]
    pair = [torch.from_numpy(mask)[None, None] for mask in (first, second)]
    assert score.dice == pytest.approx(compute_dice(*pair, ignore_empty=False).item(), abs=1e-6)
    assert score.iou == pytest.approx(compute_iou(*pair, ignore_empty=False).item(), abs=1e-6)


def test_both_empty_is_right_and_one_empty_is_wrong() -> None:
    assert score_image(EMPTY, EMPTY, labels=[1]).dice == 1
    for pair in ((EMPTY, square(3, 3, 5)), (square(3, 3, 5), EMPTY)):
        score = score_image(*pair, labels=[1])
        assert (score.dice, score.iou) == (0, 0)


def test_the_score_of_an_image_is_the_mean_over_its_labels() -> None:
    truth = np.maximum(square(2, 2, 6), square(20, 20, 6, label=2))
    score = score_image(square(2, 2, 6), truth, labels=[1, 2], image_id="a")
    assert [label.dice for label in score.labels] == [1, 0]
    assert score.dice == score.iou == 0.5
    assert json.loads(json.dumps(score.to_dict()))["labels"][1]["label"] == 2


@pytest.mark.parametrize(("spacing", "expected"), [(None, 3.0), ((5.0, 0.5, 2.0), 6.0)])
def test_hd95_of_a_shift_is_the_shift_in_the_units_of_the_spacing(
    spacing: tuple[float, float, float] | None, expected: float
) -> None:
    for slices in (1, 4):
        pair = square(5, 5, 20, slices=slices), square(5, 8, 20, slices=slices)
        score = score_image(*pair, labels=[1], spacing=spacing, hausdorff=True)
        assert score.labels[0].hd95 == pytest.approx(expected)


def test_hd95_has_no_value_where_one_mask_is_empty_and_is_nought_where_both_are() -> None:
    assert score_image(EMPTY, square(5, 5, 9), labels=[1], hausdorff=True).labels[0].hd95 is None
    assert score_image(EMPTY, EMPTY, labels=[1], hausdorff=True).labels[0].hd95 == 0
    assert score_image(EMPTY, EMPTY, labels=[1]).labels[0].hd95 is None


@pytest.mark.parametrize(
    ("predicted", "truth", "labels", "said"),
    [
        (EMPTY, EMPTY[:, :20], [1], r"shape \(1, 40, 40\).*shape \(1, 20, 40\)"),
        (EMPTY[0], EMPTY[0], [1], "slices, rows, columns"),
        (EMPTY, EMPTY, [], "at least one label"),
    ],
)
def test_masks_that_do_not_fit_are_refused(predicted: Mask, truth: Mask, labels: list[int], said: str) -> None:
    with pytest.raises(MetricsError, match=said):
        score_image(predicted, truth, labels=labels)


@settings(max_examples=20, deadline=None)
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=40), seed=st.integers(0, 1000))
def test_the_interval_holds_the_mean_of_the_sample_and_is_the_same_for_the_same_seed(
    values: list[float], seed: int
) -> None:
    found = summarise(values, seed=seed, resamples=200)
    assert found == summarise(values, seed=seed, resamples=200)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert found.count == len(values)
    wider = summarise(values, seed=seed, resamples=200, confidence=0.999)
    assert wider.low <= found.low <= found.high <= wider.high


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [summarise(list(rng.normal(0.7, 0.1, 30)), resamples=300, seed=run) for run in range(200)]
    covered = np.mean([found.low <= 0.7 <= found.high for found in intervals])
    assert 0.87 <= covered <= 0.99


@pytest.mark.parametrize("values", [[], [0.5, float("nan")]])
def test_a_summary_of_nothing_or_of_nan_is_refused(values: list[float]) -> None:
    with pytest.raises(MetricsError, match="at least one value and finite ones"):
        summarise(values)


def test_comparison_is_second_minus_first_image_by_image() -> None:
    first = {f"i{k}": 0.5 + 0.01 * k for k in range(20)}
    second = {name: value + 0.1 for name, value in reversed(first.items())}
    found = compare(first, second)
    assert found.difference.mean == pytest.approx(0.1)
    assert (found.wins, found.losses, found.ties) == (20, 0, 0)
    assert found.p_value is not None
    assert found.p_value < 1e-4
    back = compare(second, first)
    assert back.difference.mean == pytest.approx(-0.1)
    assert (back.wins, back.losses) == (0, 20)
    assert json.loads(json.dumps(found.to_dict()))["difference"]["count"] == 20


def test_equal_arms_tie_with_no_p_value() -> None:
    arm = {"a": 0.3, "b": 0.1 + 0.2}
    found = compare(arm, {"a": 0.1 + 0.2, "b": 0.3})
    assert (found.wins, found.losses, found.ties, found.p_value) == (0, 0, 2, None)


def test_arms_on_other_images_are_refused() -> None:
    with pytest.raises(MetricsError, match=r"2 images, 'b' among them"):
        compare({"a": 1, "b": 1}, {"a": 1, "c": 1})


def test_roc_area_is_how_often_a_bad_one_has_the_lower_score() -> None:
    assert roc_area([0.1, 0.2, 0.8, 0.9], [True, True, False, False]) == 1.0
    assert roc_area([0.9, 0.8, 0.2, 0.1], [True, True, False, False]) == 0.0
    assert roc_area([0.5, 0.5], [True, False]) == 0.5
    assert roc_area([0.1, 0.6, 0.5], [True, True, False]) == 0.5
    assert roc_area([0.5, 0.6], [False, False]) is None


def test_rank_correlation_is_of_ranks_and_none_where_there_are_none() -> None:
    assert rank_correlation([1, 2, 3], [1, 10, 100]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3], [9, 5, 1]) == pytest.approx(-1.0)
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert rank_correlation([1], [1]) is None
