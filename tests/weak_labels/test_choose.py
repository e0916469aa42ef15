"""Choosing how weak labels are made, with a model that needs no weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from autoweak.prompts import PromptPolicy, get_policy
from autoweak.weak_labels.choose import FEWEST_GOLD, Choice, Seen, Trial, _decided, candidates, choose

BASE = get_policy("fused")


def _scene(number: int, *, truth: str, slices: int = 1) -> Seen:
    """A coarse map with one sharp rectangle; the truth is that rectangle or the ellipse inside it."""
    rows, columns = np.mgrid[:60, :80]
    top, left = 10 + number % 5, 12 + 2 * (number % 7)
    height, width = 24 + number % 4, 30 + number % 6
    rectangle = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
    across = (columns - (left + (width - 1) / 2)) / (width / 2)
    down = (rows - (top + (height - 1) / 2)) / (height / 2)
    chosen = rectangle if truth == "rectangle" else across**2 + down**2 < 1
    coarse_map = np.where(rectangle, 0.9, 0.05).astype(np.float32)
    return Seen(
        view=np.full((slices, 60, 80, 1), number, np.uint8),
        coarse_map=np.repeat(coarse_map[None, None], slices, axis=0),
        truth=np.repeat(chosen[None].astype(np.uint8), slices, axis=0),
    )


def _choose(seen: Any, model: Any, cache: Any, base: PromptPolicy = BASE) -> Choice:
    return choose(base, seen, model=model, cache=cache, labels=(1,), seed=0)


def test_where_the_coarse_map_is_right_it_is_taken_alone(model: Any, cache: Any) -> None:
    choice = _choose([_scene(n, truth="rectangle") for n in range(12)], model, cache)

    assert choice.policy.coarse_share == 1.0
    assert choice.trials[0].policy == choice.policy
    assert choice.trials[0].mean > 0.99
    assert "best of" in choice.reason
    assert "fused" in choice.reason


def test_where_the_promptable_model_is_right_the_coarse_map_is_left_out(model: Any, cache: Any) -> None:
    choice = _choose([_scene(n, truth="ellipse") for n in range(12)], model, cache)

    assert choice.policy.coarse_share == 0.0
    assert choice.trials[0].mean > 0.95


def test_the_base_stays_where_nothing_is_better_by_more_than_the_standard_error(model: Any, cache: Any) -> None:
    base = get_policy("box")
    mixed = [_scene(n, truth="rectangle" if n % 4 == 3 else "ellipse") for n in range(12)]

    choice = _choose(mixed, model, cache, base)

    assert choice.policy == base
    assert "not better by more than the standard error" in choice.reason or choice.trials[0].policy == base


@pytest.mark.parametrize(
    ("base", "alone", "other", "chosen", "said"),
    [
        ((0.50, 0.50), (0.52, 0.49), (0.40, 0.40), "alone", "best of 3 ways: Dice on held-out gold 0.505, 0.500 for"),
        ((0.50, 0.50), (0.50, 0.50), (0.51, 0.50), "base", "other, with 0.505, is not better by more than"),
        ((0.50, 0.50), (0.40, 0.40), (0.60, 0.61), "other", "best of 3 ways: Dice on held-out gold 0.605, 0.500 for"),
        ((0.50, 0.50), (0.60, 0.60), (0.61, 0.60), "alone", "other, with 0.605, is not better by more than"),
        ((0.50, 0.50), (0.40, 0.40), (0.45, 0.45), "base", "best of 3 ways: Dice on held-out gold 0.500"),
    ],
)
def test_the_better_of_base_and_coarse_map_alone_is_where_others_must_lead(
    base: tuple[float, ...], alone: tuple[float, ...], other: tuple[float, ...], chosen: str, said: str
) -> None:
    own = replace(BASE, name="base")
    policies = {"base": own, "alone": replace(own, name="alone", coarse_share=1.0), "other": replace(own, name="other")}
    dices = {"base": base, "alone": alone, "other": other}
    trials = [Trial(policies[name], dices[name]) for name in policies]
    choice = _decided(own, tuple(sorted(trials, key=lambda trial: -trial.mean)), None)
    assert choice.policy.name == chosen
    assert said in choice.reason


def test_few_gold_images_choose_nothing(model: Any, cache: Any) -> None:
    seen = [_scene(n, truth="rectangle") for n in range(FEWEST_GOLD - 1)]

    choice = _choose(seen, model, cache)

    assert choice == Choice(BASE, f"{FEWEST_GOLD - 1} gold images are too few to choose by")
    assert not cache.encoded
    assert _choose([], model, cache) == Choice(BASE, "0 gold images are too few to choose by")


def test_images_of_one_patient_say_as_much_as_one(model: Any, cache: Any) -> None:
    seen = [_scene(n, truth="rectangle") for n in range(12)]

    def chosen(patients: list[str]) -> Choice:
        return choose(BASE, seen, model=model, cache=cache, labels=(1,), seed=0, patients=patients)

    few = chosen(["a"] * 6 + ["b"] * 6)
    assert few == Choice(BASE, "gold images of 2 patients are too few to choose by")
    assert chosen(list("abcdefghijkl")).policy != BASE


def test_the_error_is_that_of_patients() -> None:
    """Eleven images of one patient, who gains, and one each of eleven others, of whom half lose as much."""
    other = get_policy("box")
    gains = [0.1] * 11 + [0.1, -0.1] * 5 + [-0.1]
    trials = (Trial(other, tuple(0.5 + gain for gain in gains)), Trial(BASE, (0.5,) * 22))
    assert _decided(BASE, trials, None).policy == other
    assert _decided(BASE, trials, ["one"] * 11 + [str(n) for n in range(11)]).policy == BASE


def test_the_coarse_map_alone_is_tried_once_and_another_first_threshold_too(model: Any, cache: Any) -> None:
    choice = _choose([_scene(n, truth="ellipse") for n in range(8)], model, cache)

    assert [trial.policy.name for trial in choice.trials if trial.policy.coarse_share == 1] == ["fused_coarse_100"]
    assert {trial.policy.thresholds[0] for trial in choice.trials} == {0.65, 0.5}
    assert candidates(get_policy("default"))[-2].thresholds[0] == 0.65


def test_every_trial_sees_every_image_and_trials_come_best_first(model: Any, cache: Any) -> None:
    def images() -> Iterator[Seen]:
        yield from (_scene(n, truth="ellipse") for n in range(9))

    choice = _choose(images(), model, cache)

    assert {len(trial.dice) for trial in choice.trials} == {9}
    assert [trial.mean for trial in choice.trials] == sorted((t.mean for t in choice.trials), reverse=True)
    assert len({trial.policy.name for trial in choice.trials}) == len(choice.trials)


def test_the_coarse_map_alone_needs_no_jittered_boxes(model: Any, cache: Any) -> None:
    choice = _choose([_scene(n, truth="ellipse") for n in range(8)], model, cache, replace(BASE, jitter=0.1))

    assert {trial.policy.jitter for trial in choice.trials if trial.policy.coarse_share == 1} == {0.0}
    assert 0.1 in {trial.policy.jitter for trial in choice.trials if trial.policy.coarse_share < 1}


def test_a_volume_is_thinned(model: Any, cache: Any) -> None:
    _choose([_scene(n, truth="ellipse", slices=40) for n in range(8)], model, cache)

    assert len(cache.encoded) <= 12 * 8 * len(candidates(BASE))


@pytest.mark.parametrize("name", ["fused", "default", "two_pass"])
def test_the_tasks_own_way_is_tried_first_and_its_limits_hold_for_all(name: str) -> None:
    base = get_policy(name, components=3, minimum_area=0.01)

    ways = candidates(base)

    assert ways[0] == base
    assert {way.components for way in ways} == {3}
    assert {way.minimum_area for way in ways} == {0.01}
    assert len({way.name for way in ways}) == len(ways)
    assert len({replace(way, name="x", coarse_share=0.0) for way in ways}) == len(ways)
