"""The model that stands in for the coarse one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autoweak.experiments.review.stand_in import Reader, StandIn
from autoweak.phantoms.demo import make_phantom
from autoweak.promptable import EmbeddingCache, load_promptable
from autoweak.tasks import load_task
from autoweak.training.sample import Sample

TASK = load_task("breast_ultrasound")


def _samples() -> list[Sample]:
    drawn = [make_phantom("dermoscopy", seed=seed, size=(96, 128)) for seed in range(6)]
    views = [phantom.image.mean(axis=2).astype(np.uint8)[None, :, :, None] for phantom in drawn]
    return [
        Sample(f"i{place}", view, one.mask[None]) for place, (view, one) in enumerate(zip(views, drawn, strict=True))
    ]


@pytest.fixture(scope="module")
def learned() -> tuple[StandIn, list[Sample], Reader]:
    samples = _samples()
    reader = Reader(load_promptable("small"), EmbeddingCache(None), [sample.view for sample in samples])
    return reader.learn(samples, TASK, 0), samples, reader


def _overlap(map_: Any, sample: Sample) -> float:
    found, truth = map_[:, 0] > 0.5, sample.mask > 0
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def test_it_learns_to_find_the_lesion(learned: tuple[StandIn, list[Sample], Reader]) -> None:
    model, samples, _ = learned
    maps = [model.predict(sample.view) for sample in samples]
    assert all(one.shape == (1, 1, 96, 128) and one.min() >= 0 and one.max() <= 1 for one in maps)
    assert np.mean([_overlap(one, sample) for one, sample in zip(maps, samples, strict=True)]) > 0.7


def test_each_image_is_unseen_by_one_member(learned: tuple[StandIn, list[Sample], Reader]) -> None:
    model, samples, reader = learned
    assert sorted(name for ids in model.held_out for name in ids) == [sample.image_id for sample in samples]
    first = next(sample for sample in samples if sample.image_id in model.held_out[0])
    alone = StandIn(reader, model.members[:1], model.held_out[:1])
    assert np.array_equal(model.predict_out_of_fold(first.image_id, first.view), alone.predict(first.view))
    assert not np.array_equal(model.predict(first.view), alone.predict(first.view))


def test_the_same_samples_give_the_same_model(learned: tuple[StandIn, list[Sample], Reader]) -> None:
    model, samples, reader = learned
    again = reader.learn(samples, TASK, 0)
    assert all(np.array_equal(one, other) for one, other in zip(model.members, again.members, strict=True))
