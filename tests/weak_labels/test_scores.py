"""The signs of quality."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoweak.dice import dice
from autoweak.weak_labels.scores import Decoded, Scores, score_class, stability


def test_a_steep_edge_is_stable_and_a_shallow_one_is_not() -> None:
    ramp = np.abs(np.arange(-50.0, 51.0))[None]
    assert stability(100 * (20.5 - ramp)) == 1.0
    assert stability(0.1 * (20 - ramp)) == pytest.approx(19 / 59)


@given(seed=st.integers(0, 1000), shift=st.floats(-3, 3))
@settings(max_examples=30, deadline=None)
def test_stability_is_the_iou_of_the_masks_at_plus_and_minus_one(seed: int, shift: float) -> None:
    logits = np.random.default_rng(seed).normal(shift, 2, (9, 9))
    high, low = logits > 1, logits > -1
    union = (high | low).sum()
    assert stability(logits) == ((high & low).sum() / union if union else 0.0)


def test_nothing_is_stable_where_nothing_is() -> None:
    assert stability(np.full((4, 4), -9.0)) == 0.0


def test_dice_of_masks() -> None:
    one = np.array([True, True, False, False])
    assert dice(one, one) == 1.0
    assert dice(one, ~one) == 0.0
    assert dice(one, np.array([True, False, False, False])) == pytest.approx(2 / 3)
    assert dice(~one & one, ~one & one) == 1.0


def test_scores_of_a_volume_are_weighted_by_area() -> None:
    mask = np.zeros((2, 10, 10), dtype=bool)
    mask[0, :5] = True
    mask[1, 0] = True
    probability = np.where(mask, 0.75, 0.1)
    decoded = [Decoded(1, 30, 1.0, 0.9), Decoded(1, 10, 0.6, 0.5), Decoded(1, 0, 0.0, 0.0)]
    scores = score(mask, probability, decoded)
    assert scores is not None
    # Close around the mask the map says 0.1: as sharp as 0.8 there, and 0.5 in the mask.
    near = (0.5 * 60 + 0.8 * 60) / 120
    assert astuple(scores) == pytest.approx((0.9, 0.8, 1.0, 0.75, near, 1.0, 1.0, 0.0))


def test_agreement_is_nothing_where_the_coarse_map_stays_below_a_half() -> None:
    mask = np.ones((1, 4, 4), dtype=bool)
    scores = score(mask, np.full((1, 4, 4), 0.4), [Decoded(1, 16, 1.3, 1.0)])
    assert scores is not None
    assert scores.agreement == 0.0
    assert scores.confidence == pytest.approx(0.4)
    assert scores.predicted_iou == 1.0


def test_a_predicted_iou_that_is_no_number_counts_as_worst() -> None:
    mask = np.ones((1, 4, 4), dtype=bool)
    scores = score(mask, np.full((1, 4, 4), 0.9), [Decoded(1, 16, float("nan"), 1.0)])
    assert scores is not None
    assert scores.predicted_iou == 0.0


def test_an_empty_class_has_no_scores() -> None:
    assert score(np.zeros((1, 4, 4), dtype=bool), np.ones((1, 4, 4)), [Decoded(1, 16, 1.0, 1.0)]) is None


def test_a_mask_that_stands_out_has_contrast_whichever_is_brighter() -> None:
    mask = np.zeros((1, 20, 20), dtype=bool)
    mask[0, 6:14, 6:14] = True
    bright = np.where(mask, 200, 50).astype(np.uint8)[..., None]

    found = [score(mask, mask * 0.9, [Decoded(1, 64, 1, 1)], view=view) for view in (bright, 255 - bright)]

    assert found[0] is not None
    assert found[1] is not None
    assert found[0].contrast == pytest.approx(found[1].contrast)
    assert found[0].contrast > 0.9


def test_an_undecided_map_is_not_sharp() -> None:
    mask = np.ones((1, 8, 8), dtype=bool)

    sharp, undecided = (score(mask, np.full((1, 8, 8), p), [Decoded(1, 64, 1, 1)]) for p in (1.0, 0.55))

    assert sharp is not None
    assert undecided is not None
    assert sharp.sharpness == 1.0
    assert undecided.sharpness == pytest.approx(0.1)


def test_agreement_is_that_of_the_promptable_model_alone() -> None:
    mask = np.ones((1, 4, 4), dtype=bool)

    scores = score(mask, np.ones((1, 4, 4)), [Decoded(1, 0, 1, 1)], own=np.zeros_like(mask))

    assert scores is not None
    assert scores.agreement == 0.0


def score(mask: np.ndarray, probability: np.ndarray, decoded: list[Decoded], **options: np.ndarray) -> Scores | None:
    """The scores on an image of one grey value, where the promptable model alone says the same."""
    view = np.full((*mask.shape, 1), 100, dtype=np.uint8)
    return score_class(mask, probability, decoded, **{"own": mask, "view": view, **options})
