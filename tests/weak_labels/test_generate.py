"""Generating weak labels with a model that needs no weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from autoweak.errors import LabelError, PromptError
from autoweak.prompts import get_policy
from autoweak.weak_labels import QualityModel, Scores, Status, Verdict, VerdictRule, WeakLabel, generate

Map = npt.NDArray[np.float32]


def _maps(*rectangles: tuple[int, int, int, int, int, int], slices: int = 1, classes: int = 1, low: float = 0.0) -> Map:
    """A coarse map of 60 × 80 with rectangles (slice, class, row, column, height, width) at 0.9."""
    coarse_map = np.full((slices, classes, 60, 80), low, dtype=np.float32)
    for index, channel, row, column, height, width in rectangles:
        coarse_map[index, channel, row : row + height, column : column + width] = 0.9
    return coarse_map


def _view(coarse_map: Map) -> npt.NDArray[np.uint8]:
    """An image for the map, each slice with grey values of its own."""
    slices, _, height, width = coarse_map.shape
    return np.broadcast_to(np.arange(slices, dtype=np.uint8)[:, None, None, None], (slices, height, width, 1)).copy()


def _generate(coarse_map: Map, model: Any, cache: Any, **options: Any) -> WeakLabel:
    policy = options.pop("policy", get_policy("box"))
    labels = options.pop("labels", tuple(range(1, coarse_map.shape[1] + 1)))
    return generate(
        _view(coarse_map), coarse_map, model=model, cache=cache, policy=policy, labels=labels, seed=0, **options
    )


def test_a_region_becomes_a_mask_with_scores(model: Any, cache: Any) -> None:
    weak = _generate(_maps((0, 0, 20, 30, 20, 30)), model, cache)
    assert weak.status is Status.LABELLED
    assert (weak.mask.shape, weak.mask.dtype) == ((1, 60, 80), np.uint8)
    assert weak.mask[0, 30, 45] == 1
    assert weak.mask[0, 20, 30] == 0
    assert weak.mask.sum() == pytest.approx(np.pi * 10 * 15, rel=0.05)
    (scores,) = weak.scores
    assert (scores.label, scores.area) == (1, weak.mask.sum())
    assert scores.scores is not None
    assert scores.scores.predicted_iou == pytest.approx(0.9)
    assert scores.scores.agreement == pytest.approx(2 * 471 / (471 + 600), abs=0.02)
    assert scores.scores.confidence == pytest.approx(0.9)
    # The edges of the masks at +1 and -1 are ellipses of 0.9 and 1.1 times the radius.
    assert scores.scores.stability == pytest.approx((0.9 / 1.1) ** 2, abs=0.03)
    assert weak.quality == scores.quality


def test_slices_without_prompts_are_never_encoded(model: Any, cache: Any) -> None:
    weak = _generate(_maps((1, 0, 20, 30, 20, 30), (4, 0, 10, 10, 20, 20), slices=6), model, cache)
    assert [int(image.max()) for image in cache.encoded] == [1, 4]
    assert [index for index in range(6) if weak.mask[index].any()] == [1, 4]


def test_all_prompts_of_a_slice_are_decoded_at_once(model: Any, cache: Any) -> None:
    coarse_map = _maps((0, 0, 5, 5, 15, 15), (0, 0, 40, 5, 15, 15), (0, 1, 20, 40, 20, 20), classes=2)
    weak = _generate(coarse_map, model, cache, policy=get_policy("box", components=2))
    (call,) = model.calls
    assert call["boxes"].shape == (3, 4)
    assert (call["points"], call["masks"]) == (None, None)
    assert len(cache.encoded) == 1
    assert [prompt.label for prompt in weak.prompts] == [1, 1, 2]
    assert weak.mask[0, 12, 12] == weak.mask[0, 47, 12] == 1
    assert weak.mask[0, 30, 50] == 2


def test_points_alone_give_the_model_no_box(model: Any, cache: Any) -> None:
    _generate(_maps((0, 0, 20, 30, 20, 30)), model, cache, policy=get_policy("points", negatives=3))
    (call,) = model.calls
    assert call["boxes"] is None
    assert [is_positive for *_, is_positive in call["points"][0]] == [True, False, False, False]


def test_two_passes_give_the_box_first_and_then_points_with_the_first_logits(model: Any, cache: Any) -> None:
    weak = _generate(_maps((0, 0, 20, 30, 20, 30)), model, cache, policy=get_policy("two_pass"))
    first, second = model.calls
    assert (first["points"], first["masks"]) == (None, None)
    assert second["boxes"] is None
    assert second["masks"].shape == (1, 15, 20)
    assert len(cache.encoded) == 1
    # The second pass's disc, not the first pass's ellipse.
    assert weak.mask.sum() == pytest.approx(np.pi * 36, rel=0.1)


def test_overlapping_classes_are_told_apart_by_their_logits(model: Any, cache: Any) -> None:
    coarse_map = _maps((0, 0, 20, 20, 20, 20), (0, 1, 20, 35, 20, 20), classes=2)
    weak = _generate(coarse_map, model, cache)
    assert weak.mask[0, 30, 35] == 1
    assert weak.mask[0, 30, 39] == 2
    assert {one.label: one.area for one in weak.scores} == {1: (weak.mask == 1).sum(), 2: (weak.mask == 2).sum()}


def test_labels_need_not_be_counted_from_one(model: Any, cache: Any) -> None:
    coarse_map = _maps((0, 0, 5, 5, 15, 15), (0, 1, 40, 40, 15, 15), classes=2)
    weak = _generate(coarse_map, model, cache, labels=(4, 9))
    assert np.unique(weak.mask).tolist() == [0, 4, 9]


def test_each_class_is_scored_against_its_own_map(model: Any, cache: Any) -> None:
    coarse_map = _maps((0, 0, 5, 5, 15, 15), (0, 1, 40, 40, 15, 15), classes=2)
    coarse_map[0, 1] *= 0.7
    first, second = _generate(coarse_map, model, cache).scores
    assert first.scores is not None
    assert second.scores is not None
    assert (first.scores.confidence, second.scores.confidence) == pytest.approx((0.9, 0.63))


@pytest.mark.parametrize(("low", "part"), [(0.0, "reached 0.35"), (0.3, "the highest is 0.30")])
def test_an_empty_map_ends_as_nothing_found_without_encoding(low: float, part: str, model: Any, cache: Any) -> None:
    weak = _generate(_maps(slices=2, low=low), model, cache)
    assert weak.status is Status.NOTHING_FOUND
    assert not weak.mask.any()
    assert (weak.quality, weak.verdict, weak.scores, weak.prompts) == (None, None, (), ())
    assert weak.note.startswith("nothing found: no pixel")
    assert part in weak.note
    assert cache.encoded == []


def test_a_region_too_small_is_nothing_found_and_the_note_says_so(model: Any, cache: Any) -> None:
    weak = _generate(_maps((0, 0, 10, 10, 2, 2)), model, cache, policy=get_policy("box", minimum_area=0.01))
    assert weak.note == "nothing found: no region of the coarse map covers 1.00% of its slice and reaches 0.35"


def test_empty_masks_of_the_model_are_nothing_found(model: Any, cache: Any) -> None:
    model.offset = -100.0
    weak = _generate(_maps((0, 0, 10, 10, 20, 20)), model, cache)
    assert weak.status is Status.NOTHING_FOUND
    assert "empty mask for each of the 1 prompts" in weak.note
    assert len(weak.prompts) == 1


def test_a_class_lost_to_another_counts_0_and_is_not_accepted(model: Any, cache: Any) -> None:
    coarse_map = _maps((0, 0, 20, 20, 20, 20), (0, 1, 20, 20, 20, 20), classes=2)
    gold = QualityModel(calibrated=True, gold=9, mean=0.9, centre=(0, 0, 0, 0), weights=(0, 0, 0, 0))
    weak = _generate(coarse_map, model, cache, quality_model=gold)
    kept, lost = weak.scores
    assert kept.quality == 0.9
    assert (lost.area, lost.scores, lost.quality) == (0, None, 0.0)
    assert weak.quality == pytest.approx(0.45)
    assert weak.verdict is Verdict.REJECT


@pytest.mark.parametrize(
    ("absent", "verdict"), [((), Verdict.REVIEW), (((2, 0.2),), Verdict.REJECT), (((2, 0.9),), Verdict.ACCEPT)]
)
def test_a_label_that_is_not_found_beside_others_is_doubted_as_gold_says(
    absent: tuple[tuple[int, float], ...], verdict: Verdict, model: Any, cache: Any
) -> None:
    coarse_map = _maps((0, 0, 20, 20, 20, 20), classes=2)
    gold = QualityModel(calibrated=True, gold=9, mean=0.9, centre=(0, 0, 0, 0), weights=(0, 0, 0, 0), absent=absent)
    weak = _generate(coarse_map, model, cache, quality_model=gold)
    found, missed = weak.scores
    assert (found.label, found.quality) == (1, 0.9)
    expected = dict(absent).get(2, 0.5)
    assert (missed.label, missed.area, missed.scores, missed.quality) == (2, 0, None, expected)
    assert weak.quality == pytest.approx((0.9 + expected) / 2)
    assert weak.verdict is verdict


def test_the_quality_model_is_asked_and_the_verdict_follows(model: Any, cache: Any) -> None:
    coarse_map = _maps((0, 0, 20, 30, 20, 30))
    uncalibrated = _generate(coarse_map, model, cache)
    assert not uncalibrated.calibrated
    assert uncalibrated.verdict is Verdict.REVIEW
    gold = QualityModel.fit([Scores(0.9, 0.8, 0.8, 0.8)] * 10, [0.85] * 10)
    calibrated = _generate(coarse_map, model, cache, quality_model=gold)
    assert calibrated.calibrated
    assert calibrated.quality == pytest.approx(0.85)
    assert calibrated.verdict is Verdict.ACCEPT
    strict = _generate(coarse_map, model, cache, quality_model=gold, rule=VerdictRule(accept=0.9))
    assert strict.verdict is Verdict.REVIEW


def test_a_mask_of_the_whole_image_is_rejected(model: Any, cache: Any) -> None:
    model.offset = 100.0
    assert _generate(_maps((0, 0, 20, 30, 20, 30)), model, cache).verdict is Verdict.REJECT


def test_the_same_inputs_give_the_same_label(model: Any, cache: Any) -> None:
    coarse_map = _maps((0, 0, 20, 30, 20, 30), (1, 0, 20, 30, 20, 30), slices=2)
    policy = get_policy("points", negatives=4)
    first, second = (_generate(coarse_map, model, cache, policy=policy) for _ in range(2))
    np.testing.assert_array_equal(first.mask, second.mask)
    assert replace(first, mask=second.mask) == second


def test_a_map_of_another_size_or_without_probabilities_is_refused(model: Any, cache: Any) -> None:
    options: dict[str, Any] = {"model": model, "cache": cache, "policy": get_policy("box"), "labels": (1,), "seed": 0}
    with pytest.raises(LabelError, match="image's slices, rows and columns"):
        generate(np.zeros((1, 60, 81, 1), dtype=np.uint8), _maps(), **options)
    with pytest.raises(LabelError, match="image's slices"):
        generate(np.zeros((60, 80, 1), dtype=np.uint8), _maps(), **options)
    with pytest.raises(PromptError, match="probabilities"):
        generate(np.zeros((1, 60, 80, 1), dtype=np.uint8), _maps(low=2.0), **options)
