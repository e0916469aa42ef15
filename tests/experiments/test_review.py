"""Simulated reviews: orders of the queue compared, with a person who answers with the truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autoweak.errors import ExperimentError
from autoweak.experiments.review.material import Cost, Deal, gold_course, phantom_course
from autoweak.experiments.review.orders import ORDERS
from autoweak.experiments.review.present import present
from autoweak.experiments.review.results import Curve, lines_of, reviews_to_reach
from autoweak.experiments.review.simulate import Course, Simulator
from autoweak.promptable import EmbeddingCache, load_promptable
from autoweak.tasks import Task
from autoweak.training.sample import Sample
from autoweak.weak_labels.looks import looks_of

DEAL = Deal(start=3, pool=8, evaluation=3, batch=2, rounds=2)


class _Dark:
    """Takes the dark for the lesion, with a limit that it learns: enough of a model, and no second is lost on it."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        inside = [sample.view[..., 0][sample.mask > 0] for sample in samples if sample.mask.any()]
        self._limit = float(np.mean(np.concatenate(inside)))

    def predict(self, view: Any) -> Any:
        return 1 / (1 + np.exp((view[:, None, :, :, 0] - self._limit) / 30.0))

    def predict_out_of_fold(self, image_id: str, view: Any) -> Any:
        return self.predict(view)


class _Learner:
    def __init__(self) -> None:
        self.seen: list[frozenset[str]] = []

    def __call__(self, samples: Sequence[Sample], task: Task, seed: int) -> _Dark:
        self.seen.append(frozenset(sample.image_id for sample in samples))
        return _Dark(samples)


@pytest.fixture(scope="module")
def models() -> tuple[Any, EmbeddingCache]:
    return load_promptable("small"), EmbeddingCache(None)


@pytest.fixture(scope="module")
def course(models: tuple[Any, EmbeddingCache]) -> Course:
    return _phantoms(models, seed=0)


def _phantoms(models: tuple[Any, EmbeddingCache], *, seed: int) -> Course:
    return phantom_course(
        DEAL, seed=seed, cost=Cost(), describe=lambda view: looks_of(view, model=models[0], cache=models[1])
    )


def test_each_order_reviews_other_images_of_the_pool_after_one_shared_training(
    course: Course, models: tuple[Any, EmbeddingCache]
) -> None:
    learner = _Learner()
    simulator = Simulator(course, learner, *models)
    runs = {name: simulator.run(order) for name, order in ORDERS.items()}
    pool = {case.image_id for case in course.pool}
    for points in runs.values():
        assert [point.reviews for point in points] == [0, 2, 4]
        assert len(set(points[-1].reviewed)) == 4
        assert set(points[-1].reviewed) <= pool
        assert points[2].reviewed[:2] == points[1].reviewed
        assert set(points[0].dice) == {case.image_id for case in course.evaluation}
    assert len({points[0].mean for points in runs.values()}) == 1
    assert len(set(learner.seen)) == len(learner.seen)  # the same gold labels are trained on once
    assert runs["weak_label"][1].reviewed != runs["lowest_quality"][1].reviewed
    again = Simulator(course, _Learner(), *models).run(ORDERS["random"])
    assert again == runs["random"]


def test_what_is_reviewed_is_learned_from_and_what_is_evaluated_is_not(
    course: Course, models: tuple[Any, EmbeddingCache]
) -> None:
    learner = _Learner()
    points = Simulator(course, learner, *models).run(ORDERS["weak_label"])
    start = {case.image_id for case in course.start}
    assert learner.seen == [start, start | set(points[1].reviewed), start | set(points[2].reviewed)]


def test_phantoms_are_drawn_anew_for_each_seed_and_only_the_pool_holds_noise(
    course: Course, models: tuple[Any, EmbeddingCache]
) -> None:
    again, other = _phantoms(models, seed=0), _phantoms(models, seed=1)
    assert all(np.array_equal(a.view, b.view) for a, b in zip(course.pool, again.pool, strict=True))
    assert not any(np.array_equal(a.view, b.view) for a, b in zip(course.pool, other.pool, strict=True))
    for drawn in (course, other):
        assert all(case.mask.any() for case in (*drawn.start, *drawn.evaluation))
        assert all(case.mask.any() != case.image_id.endswith("noise") for case in drawn.pool)


def test_gold_labels_are_dealt_out_once_each(tmp_path: Path) -> None:
    for number in range(14):
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
            pixels = (
                np.full((60, 600), 10 * number, np.uint8) if folder == "images" else np.eye(60, 600, dtype=np.uint8)
            )
            Image.fromarray(pixels).save(tmp_path / folder / f"i{number}.png")
    drawn = [_dealt(tmp_path, DEAL, seed=seed) for seed in (0, 0, 1)]
    ids = [[case.image_id for part in (one.start, one.pool, one.evaluation) for case in part] for one in drawn]
    assert sorted(ids[0]) == sorted({f"i{number}" for number in range(14)})
    assert ids[0] == ids[1] != ids[2]
    assert drawn[0].pool[0].view.shape == (1, 26, 256, 1)
    assert drawn[0].pool[0].mask.shape == (1, 26, 256)
    with pytest.raises(ExperimentError, match="14 images with masks and 15 are needed"):
        _dealt(tmp_path, Deal(start=3, pool=9, evaluation=3, batch=2, rounds=2), seed=0)


def _dealt(folder: Path, deal: Deal, *, seed: int) -> Course:
    plain = np.ones(2, np.float32)
    return gold_course(folder, "breast_ultrasound", deal, seed=seed, cost=Cost(), describe=lambda view: plain)


def _curve(order: str, seed: int, *dice: float) -> Curve:
    return Curve("phantoms", seed, order, tuple(range(0, 4 * len(dice), 4)), dice, ())


def test_reviews_needed_are_read_between_the_points() -> None:
    assert reviews_to_reach((0, 4, 8), (0.2, 0.4, 0.8), 0.3) == pytest.approx(2)
    assert reviews_to_reach((0, 4, 8), (0.2, 0.4, 0.8), 0.8) == pytest.approx(8)
    assert reviews_to_reach((0, 4, 8), (0.2, 0.4, 0.8), 0.1) == 0
    assert reviews_to_reach((0, 4, 8), (0.2, 0.4, 0.8), 0.9) is None


def test_orders_are_compared_on_the_seeds_they_share(tmp_path: Path) -> None:
    curves = [
        _curve("random", 0, 0.2, 0.4, 0.6),
        _curve("random", 1, 0.4, 0.6, 0.8),
        _curve("weak_label", 0, 0.2, 0.6, 0.6),
        _curve("weak_label", 1, 0.4, 0.8, 0.8),
        _curve("weak_label", 2, 0.0, 0.0, 0.0),
    ]
    random, chosen = lines_of(curves)
    assert (random.seeds, chosen.seeds) == (2, 2)
    assert [summary.mean for _, summary in chosen.points] == pytest.approx([0.3, 0.7, 0.7])
    assert chosen.against_random is not None
    assert chosen.against_random.difference.mean == pytest.approx(0.1)
    # Half of the way that random order comes is a Dice of 0.5, which it reaches with its first batch.
    assert [reviews for _, reviews in random.needed] == pytest.approx([4, 6, 8])
    assert [reviews for _, reviews in chosen.needed] == pytest.approx([2, 3, 4])
    text = present(curves, tmp_path, settings={"seeds": 2}, command="python measure")
    assert "+0.100" in text
    assert json.loads((tmp_path / "metrics.json").read_text())["lines"][1]["seeds"] == 2
    page = (tmp_path / "report.html").read_text()
    assert "Reviews needed to reach a Dice" in page
    assert page.count("data:image/svg+xml") == 1
    assert Curve.from_dict(json.loads(json.dumps(curves[0].to_dict()))) == curves[0]
