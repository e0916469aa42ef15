"""Training on samples of one kind, with nothing held out: as many members as a coarse model has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autoweak.networks.definition import network_from
from autoweak.training.fold import FoldResult, Progress, train_fold
from autoweak.training.model import TrainedModel, describe
from autoweak.training.network import definition_of
from autoweak.training.seeds import derive_seed

if TYPE_CHECKING:
    from autoweak.tasks import Task
    from autoweak.training.sample import Sample


def train_members(
    samples: Sequence[Sample], *, task: Task, seed: int, run_folder: Path, progress: Progress, epochs: int
) -> TrainedModel:
    """Train one network a fold of the task, each on all samples, with start and drawing of its own.

    Args:
        samples: at least one.
        task: labels, channels, flips, rotation, and the `coarse` section.
        seed: fixes everything.
        run_folder: where checkpoints are kept until the caller removes them.
        progress: called with (optimiser steps done, all steps of all members, a short text).
        epochs: how long.
    """
    count = task.coarse.folds

    def train(number: int) -> FoldResult:
        def tell(done: int, total: int, text: str) -> None:
            progress(number * total + done, count * total, f"member {number + 1} of {count}, {text}")

        return train_fold(
            samples,
            (),
            task=task,
            seed=derive_seed(seed, "member", number),
            epochs=epochs,
            checkpoint=run_folder / f"member-{number}.pt",
            progress=tell,
        )

    results = [train(number) for number in range(count)]
    definition = definition_of(task)
    networks = [network_from(definition) for _ in results]
    for network, result in zip(networks, results, strict=True):
        network.load_state_dict(result.state_dict)
    return TrainedModel(networks, describe(definition, ((),) * count, results, task=task, seed=seed))
