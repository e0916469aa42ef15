"""Training one fold: a network on some samples, scored on the gold that was held out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ignite.engine import Events
from torch import Tensor, nn

from autoweak.dice import mean_dice
from autoweak.networks.definition import network_from
from autoweak.training.augmentation import Augmentation
from autoweak.training.averaging import AveragedNetwork
from autoweak.training.batches import Batches
from autoweak.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from autoweak.training.engine import build_optimizer, build_trainer
from autoweak.training.network import definition_of
from autoweak.training.predict import predict_probabilities
from autoweak.training.recipe import RECIPE, Recipe
from autoweak.training.sample import Sample, class_masks
from autoweak.training.seeds import derive_seed
from autoweak.training.start import load_start, start_sha256

if TYPE_CHECKING:
    from autoweak.tasks import Task

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class FoldResult:
    """A trained fold.

    Attributes:
        state_dict: the averaged weights after the last epoch.
        history: one entry an epoch: `epoch`, `loss`, and `dice` where the held-out gold was scored.
        dice: mean Dice over the classes of each held-out image at threshold 0.5, by image id.
        best_dice: mean of `dice`; the last epoch is the one kept, so it is also `best_epoch`.
        best_epoch: the epoch whose weights are in `state_dict`.
    """

    state_dict: dict[str, Tensor]
    history: tuple[dict[str, float], ...]
    dice: dict[str, float]
    best_dice: float
    best_epoch: int


def train_fold(
    train: Sequence[Sample],
    validate: Sequence[Sample],
    *,
    task: Task,
    seed: int,
    epochs: int | None = None,
    extra: Sequence[Sample] = (),
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    on_epoch: Callable[[int], None] | None = None,
    recipe: Recipe = RECIPE,
) -> FoldResult:
    """Train the bundle's network; the same inputs and seed give the same weights, killed and resumed or not.

    Args:
        train: gold samples to learn from.
        validate: held-out gold; never learned from, only scored.
        task: labels, channels, flips, rotation, and the `coarse` section.
        seed: fixes the start weights, the drawing and the augmentation.
        epochs: how long; None takes the task's.
        extra: weak samples, each with its weight, which fill part of every batch.
        checkpoint: file to go on from and to keep up to date; None keeps nothing.
        progress: called with (optimiser steps done, all steps, a short text) after each step.
        on_epoch: called with the number of each finished epoch, after its checkpoint; it may raise to stop.
        recipe: what no task changes.
    """
    with torch.random.fork_rng(devices=[]):
        training = _Training(
            train, validate, task=task, seed=seed, epochs=epochs or task.coarse.epochs, extra=extra, recipe=recipe
        )
        training.run(path=checkpoint, progress=progress, on_epoch=on_epoch)
    return training.result()


class _Training:
    """The moving parts of one fold's training."""

    def __init__(
        self,
        train: Sequence[Sample],
        validate: Sequence[Sample],
        *,
        task: Task,
        seed: int,
        epochs: int,
        extra: Sequence[Sample],
        recipe: Recipe,
    ) -> None:
        definition = definition_of(task)
        self._validate, self._task, self._seed, self._epochs, self._recipe = validate, task, seed, epochs, recipe
        self._history: list[dict[str, float]] = []
        self._fingerprint = _fingerprint([*train, *extra], definition, task, (seed, epochs, len(train)), recipe)
        torch.manual_seed(derive_seed(seed, "weights"))
        self._network = network_from(definition)
        if recipe.start and task.coarse.start:
            load_start(self._network)
        self._averaged = AveragedNetwork(self._network, decay=recipe.averaging)
        self._optimizer = build_optimizer(self._network, learning_rate=task.coarse.learning_rate, recipe=recipe)
        self._batches = Batches(
            train,
            extra,
            size=task.coarse.size,
            num_labels=task.num_labels,
            batch_size=task.coarse.batch_size,
            augmentation=augmentation_of(task, recipe),
            seed=seed,
            recipe=recipe,
        )

    def run(self, *, path: Path | None, progress: Progress | None, on_epoch: Callable[[int], None] | None) -> None:
        """Run the epochs that are not done yet."""
        trainer = build_trainer(
            self._network,
            averaged=self._averaged,
            optimizer=self._optimizer,
            batches=self._batches,
            epochs=self._epochs,
            learning_rate=self._task.coarse.learning_rate,
            recipe=self._recipe,
        )
        done = self._resume(path)
        trainer.load_state_dict({"epoch": done, "max_epochs": self._epochs, "epoch_length": len(self._batches)})
        saved = time.monotonic()

        def reseed(engine: Any) -> None:
            self._batches.epoch = engine.state.epoch
            torch.manual_seed(derive_seed(self._seed, engine.state.epoch, "dropout"))

        def tell(engine: Any) -> None:
            if progress is not None:
                text = f"epoch {engine.state.epoch} of {self._epochs}, loss {engine.state.mean_loss:.3f}"
                progress(engine.state.iteration, self._epochs * len(self._batches), text)

        def keep(engine: Any) -> None:
            nonlocal saved
            epoch = engine.state.epoch
            self._record(epoch, engine.state.mean_loss)
            due = epoch == self._epochs or time.monotonic() - saved >= self._recipe.checkpoint_seconds
            if path is not None and due:
                self._save(path, epoch)
                saved = time.monotonic()
            if on_epoch is not None:
                on_epoch(epoch)

        trainer.add_event_handler(Events.EPOCH_STARTED, reseed)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, tell)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, keep)
        if done < self._epochs:
            trainer.run()

    def result(self) -> FoldResult:
        """The averaged weights with their scores on the held-out gold."""
        scores = self._score()
        return FoldResult(
            state_dict={name: value.detach().clone() for name, value in self._averaged.state_dict().items()},
            history=tuple(self._history),
            dice=scores,
            best_dice=float(np.mean(list(scores.values()))) if scores else 0.0,
            best_epoch=self._epochs,
        )

    def _resume(self, path: Path | None) -> int:
        found = read_checkpoint(path, fingerprint=self._fingerprint)
        if found is None:
            return 0
        self._network.load_state_dict(found.network)
        self._averaged.network.load_state_dict(found.averaged)
        self._optimizer.load_state_dict(found.optimizer)
        self._history = list(found.history)
        return found.epoch

    def _save(self, path: Path, epoch: int) -> None:
        state = Checkpoint(
            fingerprint=self._fingerprint,
            epoch=epoch,
            network=self._network.state_dict(),
            averaged=self._averaged.state_dict(),
            optimizer=self._optimizer.state_dict(),
            history=self._history,
        )
        write_checkpoint(path, state)

    def _record(self, epoch: int, loss: float) -> None:
        entry = {"epoch": float(epoch), "loss": loss}
        if epoch in {round(self._epochs * part / self._recipe.reports) for part in range(1, self._recipe.reports)}:
            entry["dice"] = float(np.mean(list(self._score().values()) or [0.0]))
        self._history.append(entry)

    def _score(self) -> dict[str, float]:
        return {sample.image_id: self._score_one(self._averaged.network, sample) for sample in self._validate}

    def _score_one(self, network: nn.Module, sample: Sample) -> float:
        flips = tuple(way.value for way in self._task.mirror)
        probabilities = predict_probabilities([network], sample.view, size=self._task.coarse.size, mirror=flips)
        return mean_dice(probabilities > 0.5, class_masks(sample.mask, self._task.num_labels))


def augmentation_of(task: Task, recipe: Recipe) -> Augmentation:
    """The augmentation that a task's training uses."""
    flat = task.dimension == 2  # in a volume organs keep their places, and empty slices there are real ones
    return Augmentation(
        size=task.coarse.size,
        channels=task.channels,
        mirror=[way.value for way in task.mirror],
        rotation=task.rotation,
        zoom_out=task.coarse.zoom_out,
        padding=task.coarse.padding,
        paste=recipe.paste if flat else 0.0,
        erase=recipe.erase if flat else 0.0,
        marks=recipe.marks,
    )


def _fingerprint(
    samples: Sequence[Sample], definition: dict[str, Any], task: Task, numbers: tuple[int, ...], recipe: Recipe
) -> str:
    """A hash of all that the weights depend on."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{sample.image_id} {sample.view.shape} {sample.weight!r}".encode())
        digest.update(np.ascontiguousarray(sample.view).tobytes())
        digest.update(np.ascontiguousarray(sample.mask).tobytes())
    settings = [
        definition,
        task.coarse.model_dump(mode="json"),
        [way.value for way in task.mirror],
        task.rotation,
        numbers,
        asdict(recipe),
        torch.__version__,
        start_sha256() if recipe.start and task.coarse.start else "",
    ]
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()
