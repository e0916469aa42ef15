"""Cross-validated training: each gold image is held out by one fold, and all folds together are the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autoweak.errors import StudiesError
from autoweak.networks.definition import network_from
from autoweak.studies.splits import folds as split
from autoweak.training.fold import FoldResult, Progress, train_fold
from autoweak.training.model import TrainedModel, describe
from autoweak.training.network import definition_of
from autoweak.training.recipe import RECIPE, Recipe
from autoweak.training.sample import Sample
from autoweak.training.seeds import derive_seed

if TYPE_CHECKING:
    from autoweak.tasks import Task

Extra = Mapping[int, Sequence[Sample]] | Sequence[Sample]


def cross_validate(
    gold: Sequence[Sample],
    extra: Extra = (),
    *,
    task: Task,
    seed: int,
    folds: int | Sequence[Sequence[str]] | None = None,
    run_folder: Path | None = None,
    progress: Progress | None = None,
    epochs: int | None = None,
    recipe: Recipe = RECIPE,
) -> TrainedModel:
    """Train one network a fold on the gold of the other folds, and score it on its own fold's gold.

    Args:
        gold: at least two samples.
        extra: weak samples, for all folds alike or by fold number (0 is the first). By fold where the weak
            labels come from a model that has seen some of the gold: fold n's must not come from fold n's gold.
        task: labels, channels, flips, rotation, and the `coarse` section.
        seed: fixes the folds where `folds` is a number, and each fold's training.
        folds: the held-out image ids of each fold, or how many folds; None takes the task's number. With fewer
            gold samples than folds there are as many folds as samples.
        run_folder: where checkpoints are kept until the caller removes them; None keeps none.
        progress: called with (optimiser steps done, all steps of all folds, a short text).
        epochs: how long; None takes the task's.
        recipe: what no task changes.

    Raises:
        StudiesError: fewer than two gold samples, two of one id, or folds that do not fit the gold.
    """
    held_out = _held_out(gold, task.coarse.folds if folds is None else folds, seed=seed)
    definition = definition_of(task)
    epochs = epochs or task.coarse.epochs
    steps = epochs * recipe.steps_per_epoch
    results: list[FoldResult] = []
    for number, ids in enumerate(held_out):
        result = train_fold(
            [sample for sample in gold if sample.image_id not in ids],
            [sample for sample in gold if sample.image_id in ids],
            task=task,
            seed=derive_seed(seed, "fold", number),
            epochs=epochs,
            extra=tuple(extra.get(number, ()) if isinstance(extra, Mapping) else extra),
            checkpoint=None if run_folder is None else run_folder / f"fold-{number}.pt",
            progress=_of_all(progress, number=number, folds=len(held_out), steps=steps),
            recipe=recipe,
        )
        results.append(result)
    networks = [network_from(definition) for _ in results]
    for network, result in zip(networks, results, strict=True):
        network.load_state_dict(result.state_dict)
    return TrainedModel(networks, describe(definition, held_out, results, task=task, seed=seed))


def _held_out(
    gold: Sequence[Sample], folds: int | Sequence[Sequence[str]], *, seed: int
) -> tuple[tuple[str, ...], ...]:
    ids = [sample.image_id for sample in gold]
    if len(set(ids)) < 2 or len(set(ids)) != len(ids):
        msg = f"Training needs at least 2 gold labels, each of an image of its own, got {len(ids)}; label more images."
        raise StudiesError(msg)
    if isinstance(folds, int):
        return split(ids, count=min(folds, len(ids)), seed=seed)
    chosen = tuple(tuple(fold) for fold in folds if fold)
    listed = sorted(name for fold in chosen for name in fold)
    if listed != sorted(ids) or len(chosen) < 2:
        msg = (
            f"The folds must hold each of the {len(ids)} gold labels once, in at least 2 folds, got {len(listed)} "
            f"labels in {len(chosen)}; if all images are of one patient, training needs a second patient."
        )
        raise StudiesError(msg)
    return chosen


def _of_all(progress: Progress | None, *, number: int, folds: int, steps: int) -> Progress | None:
    if progress is None:
        return None
    told = progress

    def report(done: int, _: int, text: str) -> None:
        told(number * steps + done, folds * steps, f"fold {number + 1} of {folds}, {text}")

    return report
