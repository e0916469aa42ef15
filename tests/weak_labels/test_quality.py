"""Quality: what it says when scores tell something, when they tell nothing, and when there is too little gold."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoweak.errors import LabelError
from autoweak.weak_labels import FEWEST_GOLD, QualityModel, Scores


def _gold(count: int, *, seed: int = 0, noise: float = 0.02) -> tuple[list[Scores], list[float]]:
    """Gold labels whose Dice follows the agreement; the other scores are chance."""
    rng = np.random.default_rng(seed)
    scores = [Scores(*rng.uniform(0.3, 1.0, 4).tolist()) for _ in range(count)]
    dice = [float(np.clip(0.1 + 0.8 * one.agreement + rng.normal(0, noise), 0, 1)) for one in scores]
    return scores, dice


def test_with_too_little_gold_it_is_the_plain_mean_as_high_as_golds_dice_and_says_so() -> None:
    scores, dice = _gold(FEWEST_GOLD - 1)
    model = QualityModel.fit(scores, [one / 2 for one in dice])
    assert not model.calibrated
    assert model.gold == FEWEST_GOLD - 1
    assert np.mean([model.predict(one) for one in scores]) == pytest.approx(np.mean(dice) / 2, abs=0.01)
    better, worse = Scores(0.9, 0.9, 0.9, 0.0), Scores(0.6, 0.6, 0.6, 0.0)
    assert model.predict(better) == pytest.approx(model.predict(worse) + 0.3)
    assert 0 <= QualityModel(shift=-1).predict(worse) <= QualityModel(shift=1).predict(better) <= 1
    assert QualityModel.fit([], []) == QualityModel()
    assert QualityModel().predict(Scores(0.9, 0.6, 0.3, 1.0)) == pytest.approx(0.6)


def test_scores_that_tell_the_dice_are_used() -> None:
    model = QualityModel.fit(*_gold(25))
    assert model.calibrated
    assert model.error is not None
    assert model.mean_error is not None
    assert model.error < 0.5 * model.mean_error
    scores, dice = _gold(200, seed=1)
    assert np.corrcoef([model.predict(one) for one in scores], dice)[0, 1] > 0.9


def test_scores_that_tell_nothing_give_the_mean_of_gold() -> None:
    rng = np.random.default_rng(3)
    scores = [Scores(*rng.uniform(0.3, 1.0, 4).tolist()) for _ in range(25)]
    dice = rng.permutation(np.linspace(0.5, 0.9, 25)).tolist()
    model = QualityModel.fit(scores, dice)
    predicted = [model.predict(one) for one in scores]
    assert np.ptp(predicted) < 0.15
    assert np.mean(predicted) == pytest.approx(0.7, abs=0.02)


def test_equal_gold_scores_give_the_mean() -> None:
    model = QualityModel.fit([Scores(0.9, 0.9, 0.9, 0.9)] * 10, [0.6, 0.8] * 5)
    assert model.predict(Scores(0.1, 0.1, 0.1, 0.1)) == pytest.approx(0.7)


unit = st.floats(0, 1)


@given(seed=st.integers(0, 50), low=st.tuples(unit, unit, unit, unit), rise=st.tuples(unit, unit, unit, unit))
@settings(max_examples=30, deadline=None)
def test_better_scores_never_lower_the_quality_and_it_stays_within_0_and_1(
    seed: int, low: tuple[float, ...], rise: tuple[float, ...]
) -> None:
    model = QualityModel.fit(*_gold(12, seed=seed, noise=0.3))
    high = tuple(min(1.0, one + more) for one, more in zip(low, rise, strict=True))
    assert 0.0 <= model.predict(Scores(*low)) <= model.predict(Scores(*high)) + 1e-9 <= 1.0 + 2e-9


def test_the_error_it_reports_is_that_on_labels_it_never_saw() -> None:
    reported, real = [], []
    for seed in range(30):
        model = QualityModel.fit(*_gold(FEWEST_GOLD, seed=seed, noise=0.1))
        scores, dice = _gold(100, seed=seed + 100, noise=0.1)
        reported.append(model.error)
        real.append(np.mean([abs(model.predict(one) - true) for one, true in zip(scores, dice, strict=True)]))
    assert np.mean(reported) == pytest.approx(np.mean(real), rel=0.1)


@pytest.mark.parametrize("count", [3, 20])
def test_it_survives_the_way_through_json(count: int) -> None:
    model = QualityModel.fit(*_gold(count))
    again = QualityModel.from_dict(json.loads(json.dumps(model.to_dict())))
    assert again == model
    assert again.sha256 == model.sha256


def test_another_fit_has_another_sha256() -> None:
    assert QualityModel.fit(*_gold(20)).sha256 != QualityModel.fit(*_gold(21)).sha256


@pytest.mark.parametrize("fields", [{"calibrated": "perhaps"}, {"gold": -1}, {"weight": 1}, {"mean": 2.0}])
def test_a_stored_model_that_is_not_valid_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(LabelError, match=next(iter(fields))):
        QualityModel.from_dict(fields)


@pytest.mark.parametrize("dice", [[0.5], [0.5, 1.5], [0.5, float("nan")]])
def test_gold_that_does_not_fit_its_scores_is_refused(dice: list[float]) -> None:
    with pytest.raises(LabelError, match="calibrated on one Dice"):
        QualityModel.fit([Scores(1, 1, 1, 1)] * 2, dice)


def test_where_all_gold_is_good_the_signs_count_alike() -> None:
    """A couple of dozen good labels cannot say which sign tells a bad one; none may be left out by chance."""
    rng = np.random.default_rng(5)
    scores = [Scores(*rng.uniform(0.8, 1.0, 8).tolist()) for _ in range(25)]
    dice = [float(0.5 + 0.5 * np.mean(astuple(one)[1:4]) + rng.normal(0, 0.03)) for one in scores]

    model = QualityModel.fit(scores, np.clip(dice, 0, 1).tolist())

    assert model.weights is not None
    assert min(model.weights) > 0.2 * max(model.weights)


def test_a_model_of_an_older_version_still_predicts() -> None:
    fields = {"calibrated": True, "gold": 9, "mean": 0.5, "centre": [0.5] * 4, "weights": [0.1, 0.2, 0.3, 0.4]}

    model = QualityModel.from_dict(fields)

    assert model.predict(Scores(1.0, 0.5, 0.5, 0.5)) == pytest.approx(0.55)


@pytest.mark.parametrize(
    "fields", [{"signs": ["__class__"]}, {"centre": [0.5]}, {"weights": [0.1] * 5}], ids=["name", "centre", "weights"]
)
def test_signs_that_there_are_not_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(LabelError, match="fit it again"):
        QualityModel.from_dict(fields)


def test_classes_of_one_image_are_left_out_together() -> None:
    """Two classes that share their image's Dice: with the other class to learn from, the error would be flattered."""
    rng = np.random.default_rng(3)
    dice = np.repeat(rng.uniform(0.2, 0.9, 10), 2)
    # Each image has a sign of its own that only its other class reveals.
    scores = [Scores(*rng.uniform(0, 1, 4)) for _ in range(10) for _ in range(2)]
    images = np.repeat(np.arange(10), 2).tolist()
    alone, together = QualityModel.fit(scores, dice), QualityModel.fit(scores, dice, groups=images)
    assert alone.mean_error is not None
    assert together.mean_error is not None
    assert together.mean_error > alone.mean_error
    with pytest.raises(LabelError):
        QualityModel.fit(scores, dice, groups=images[:-1])
