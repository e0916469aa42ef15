from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autoweak.errors import StudiesError
from autoweak.tasks import Task
from autoweak.training import cross_validation
from autoweak.training.cross_validation import cross_validate
from autoweak.training.recipe import Recipe
from autoweak.training.sample import Sample

Draw = Callable[..., Sample]


def test_each_gold_image_is_scored_once_by_a_member_that_never_saw_it(
    gold: list[Sample], task: Task, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[set[str], set[str]]] = []

    def record(train, validate, **options):
        seen.append(({sample.image_id for sample in train}, {sample.image_id for sample in validate}))
        return original(train, validate, **options)

    original = cross_validation.train_fold
    monkeypatch.setattr(cross_validation, "train_fold", record)

    model = cross_validate(gold, task=task, seed=1, recipe=recipe)

    everyone = {sample.image_id for sample in gold}
    assert [train | validate for train, validate in seen] == [everyone, everyone]
    assert all(not train & validate for train, validate in seen)
    assert set(model.cv_dice) == everyone
    assert [set(fold) for fold in model.card.folds] == [validate for _, validate in seen]


def test_weak_samples_go_to_their_own_fold(
    gold: list[Sample], task: Task, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, draw: Draw
) -> None:
    weak = {number: [draw(10 + number, weight=0.5)] for number in range(2)}
    given: list[list[str]] = []

    def record(train, validate, **options):
        given.append([sample.image_id for sample in options["extra"]])
        return original(train, validate, **options)

    original = cross_validation.train_fold
    monkeypatch.setattr(cross_validation, "train_fold", record)

    cross_validate(gold, weak, task=task, seed=1, recipe=recipe)

    assert given == [["image-10"], ["image-11"]]


def test_killed_and_resumed_gives_the_same_model(
    gold: list[Sample], task: Task, recipe: Recipe, tmp_path: Path
) -> None:
    def kill(done: int, _: int, __: str) -> None:
        if done == 13:  # in the second fold, after its first epoch
            raise KeyboardInterrupt

    options = {"task": task, "seed": 2, "recipe": recipe}
    with pytest.raises(KeyboardInterrupt):
        cross_validate(gold, **options, run_folder=tmp_path, progress=kill)
    steps: list[int] = []
    resumed = cross_validate(gold, **options, run_folder=tmp_path, progress=lambda done, *_: steps.append(done))

    assert steps == [13, 14, 15, 16]
    assert resumed.sha256 == cross_validate(gold, **options).sha256


def test_folds_may_be_given(gold: list[Sample], task: Task, recipe: Recipe) -> None:
    folds = (("image-0", "image-3"), ("image-1", "image-2", "image-4"))

    assert cross_validate(gold, task=task, seed=0, folds=folds, recipe=recipe).card.folds == folds


def test_two_gold_labels_are_enough_and_make_two_folds(gold: list[Sample], task: Task, recipe: Recipe) -> None:
    model = cross_validate(gold[:2], task=task, seed=0, folds=3, recipe=recipe)

    assert len(model.members) == 2


@pytest.mark.parametrize(
    ("count", "folds", "told"),
    [
        (0, None, "at least 2 gold labels"),
        (1, None, "at least 2 gold labels"),
        (5, (("image-0",), ("image-1",)), "each of the 5 gold labels once"),
        (2, (("image-0", "image-1"),), "at least 2 folds"),
    ],
)
def test_what_cannot_be_trained_is_told(gold: list[Sample], task: Task, count: int, folds, told: str) -> None:
    with pytest.raises(StudiesError, match=told):
        cross_validate(gold[:count], task=task, seed=0, folds=folds)


def test_a_class_that_only_one_image_has_is_no_obstacle(task: Task, recipe: Recipe, draw: Draw) -> None:
    two = task.model_copy(update={"labels": {"common": 1, "rare": 2}})
    samples = [draw(0, labels=2), *(draw(number) for number in range(1, 4))]

    model = cross_validate(samples, task=two, seed=0, recipe=recipe)

    assert all(0 <= value <= 1 for value in model.cv_dice.values())
