from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autoweak.tasks import Task
from autoweak.training.fold import FoldResult, train_fold
from autoweak.training.recipe import Recipe
from autoweak.training.sample import Sample

Draw = Callable[..., Sample]


class KilledError(Exception):
    """Stands for the death of the process after an epoch."""


def same_weights(one: FoldResult, other: FoldResult) -> bool:
    return all(torch.equal(one.state_dict[name], other.state_dict[name]) for name in one.state_dict)


def kill_after(epoch: int):
    def on_epoch(finished: int) -> None:
        if finished == epoch:
            raise KilledError

    return on_epoch


def test_it_learns_bright_rectangles(task: Task, draw: Draw) -> None:
    samples = [draw(number) for number in range(8)]

    result = train_fold(samples[:6], samples[6:], task=task, seed=1, epochs=6, recipe=Recipe(steps_per_epoch=20))

    assert result.history[-1]["loss"] < 0.75 * result.history[0]["loss"]
    assert result.best_dice > 0.5
    assert set(result.dice) == {"image-6", "image-7"}


@pytest.mark.parametrize("killed_after", [1, 2])
def test_killed_and_resumed_gives_the_same_bits(
    gold: list[Sample], task: Task, recipe: Recipe, tmp_path: Path, killed_after: int
) -> None:
    weak = [replace(sample, image_id=f"weak-{sample.image_id}", weight=0.5) for sample in gold[:2]]
    options = {"task": task, "seed": 3, "epochs": 3, "extra": weak, "recipe": recipe}
    undisturbed = train_fold(gold[:3], gold[3:], **options)

    with pytest.raises(KilledError):
        train_fold(gold[:3], gold[3:], **options, checkpoint=tmp_path / "f.pt", on_epoch=kill_after(killed_after))
    epochs: list[int] = []
    resumed = train_fold(gold[:3], gold[3:], **options, checkpoint=tmp_path / "f.pt", on_epoch=epochs.append)

    assert epochs == list(range(killed_after + 1, 4))
    assert same_weights(resumed, undisturbed)
    assert resumed.history == undisturbed.history
    assert resumed.dice == undisturbed.dice


def test_a_finished_training_is_not_run_again(gold: list[Sample], task: Task, recipe: Recipe, tmp_path: Path) -> None:
    options = {"task": task, "seed": 3, "recipe": recipe, "checkpoint": tmp_path / "f.pt"}
    first = train_fold(gold[:3], gold[3:], **options)
    epochs: list[int] = []

    second = train_fold(gold[:3], gold[3:], **options, on_epoch=epochs.append)

    assert epochs == []
    assert same_weights(first, second)


@pytest.mark.parametrize("damage", ["truncated", "other data", "not a checkpoint"])
def test_a_checkpoint_of_no_use_is_ignored(
    gold: list[Sample], task: Task, recipe: Recipe, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "f.pt"
    options = {"task": task, "seed": 3, "recipe": recipe}
    if damage == "other data":
        train_fold(gold[1:4], gold[4:], **options, checkpoint=path)
    elif damage == "truncated":
        train_fold(gold[:3], gold[3:], **options, checkpoint=path)
        path.write_bytes(path.read_bytes()[:5000])
    else:
        path.write_text("nothing of use")

    result = train_fold(gold[:3], gold[3:], **options, checkpoint=path)

    assert same_weights(result, train_fold(gold[:3], gold[3:], **options))


def test_another_seed_gives_other_weights(gold: list[Sample], task: Task, recipe: Recipe) -> None:
    one, other = (train_fold(gold[:3], gold[3:], task=task, seed=seed, epochs=1, recipe=recipe) for seed in (1, 2))

    assert not same_weights(one, other)


def test_the_callers_random_state_is_left_alone(gold: list[Sample], task: Task, recipe: Recipe) -> None:
    torch.manual_seed(7)
    np.random.seed(7)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(7)
    np.random.seed(7)

    train_fold(gold[:3], gold[3:], task=task, seed=1, epochs=1, recipe=recipe)

    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])


@pytest.mark.parametrize(("channels", "labels", "slices"), [(3, 1, 1), (1, 2, 6), (3, 2, 3)])
def test_colours_classes_and_volumes(
    recipe: Recipe, task: Task, channels: int, labels: int, slices: int, draw: Draw
) -> None:
    names = {f"label-{value}": value for value in range(1, labels + 1)}
    wide = task.model_copy(update={"channels": channels, "labels": names, "dimension": 3 if slices > 1 else 2})
    samples = [draw(number, slices=slices, labels=labels, channels=channels) for number in range(3)]

    result = train_fold(samples[:2], samples[2:], task=wide, seed=0, epochs=1, recipe=recipe)

    assert 0.0 <= result.best_dice <= 1.0
    assert np.isfinite(result.history[0]["loss"])


def test_steps_are_told_one_by_one(gold: list[Sample], task: Task, recipe: Recipe) -> None:
    told: list[tuple[int, int]] = []

    train_fold(
        gold[:3], [], task=task, seed=0, recipe=recipe, progress=lambda done, total, _: told.append((done, total))
    )

    assert told == [(step, 8) for step in range(1, 9)]
