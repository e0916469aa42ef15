"""The mean teacher (Tarvainen and Valpola 2017): gold, and agreement with the average of the network's own past."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from torch import Tensor, nn

from autoweak.atomic import write_bytes
from autoweak.networks.definition import network_from
from autoweak.training.augmentation import Augmentation
from autoweak.training.averaging import AveragedNetwork
from autoweak.training.batches import Batches
from autoweak.training.engine import build_optimizer, learning_rate_share
from autoweak.training.fold import FoldResult, Progress, augmentation_of
from autoweak.training.loss import WeightedDiceCELoss
from autoweak.training.model import TrainedModel, describe
from autoweak.training.network import definition_of
from autoweak.training.recipe import RECIPE, Recipe
from autoweak.training.seeds import derive_seed
from autoweak.training.start import load_start

if TYPE_CHECKING:
    from autoweak.tasks import Task
    from autoweak.training.sample import Sample

# Weight of the agreement once it has risen, on squared differences of probabilities, and the share of all steps in
# which it rises by the paper's exp(-5 (1 - t)²).
_WEIGHT, _RISE = 10.0, 0.4
_NOISE = 0.05  # of the student's view of an unlabelled image, whose values are 0 to 1


def train_mean_teachers(
    gold: Sequence[Sample],
    unlabelled: Sequence[Sample],
    *,
    task: Task,
    folds: Sequence[Sequence[str]],
    seed: int,
    run_folder: Path,
    progress: Progress,
) -> TrainedModel:
    """Train one student and teacher a fold, on the gold of the other folds and on all unlabelled images.

    Args:
        gold: samples with labels; `unlabelled`: samples whose masks are not looked at.
        task: labels, channels, flips, rotation, and the `coarse` section.
        folds: the held-out image ids of each fold.
        seed: fixes everything.
        run_folder: where finished members are kept until the caller removes them.
        progress: called with (steps done, all steps of all folds, a short text).

    Returns:
        The teachers.
    """
    definition = definition_of(task)
    members = []
    for number, held_out in enumerate(folds):

        def tell(done: int, total: int, text: str, number: int = number) -> None:
            progress(number * total + done, len(folds) * total, f"member {number + 1} of {len(folds)}, {text}")

        path = run_folder / f"teacher-{number}.safetensors"
        if not path.is_file():
            seen = [sample for sample in gold if sample.image_id not in held_out]
            pair = _Pair(seen, unlabelled, task=task, seed=derive_seed(seed, "teacher", number))
            write_bytes(path, safetensors.torch.save(pair.train(tell)))
        members.append(network_from(definition))
        members[-1].load_state_dict(safetensors.torch.load(path.read_bytes()))
    results = [FoldResult(dict(member.state_dict()), (), {}, 0.0, task.coarse.epochs) for member in members]
    return TrainedModel(members, describe(definition, folds, results, task=task, seed=seed))


class _Pair:
    """A student and its teacher."""

    def __init__(self, gold: Sequence[Sample], unlabelled: Sequence[Sample], *, task: Task, seed: int) -> None:
        self._task, self._seed = task, seed
        # Nothing is pasted into or erased from images without a label: there is no outline to do it by.
        plain = replace(RECIPE, paste=0.0, erase=0.0, foreground_share=0.0)
        self._gold = self._batches(gold, augmentation_of(task, RECIPE), RECIPE, derive_seed(seed, "gold"))
        self._free = self._batches(unlabelled, augmentation_of(task, plain), plain, derive_seed(seed, "unlabelled"))
        self._loss = WeightedDiceCELoss(smoothing=RECIPE.smoothing)

    def train(self, progress: Progress) -> dict[str, Tensor]:
        """The teacher's weights after all steps."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self._seed, "weights"))
            definition = definition_of(self._task)
            student = network_from(definition)
            if self._task.coarse.start:
                load_start(student)
            teacher = AveragedNetwork(student, decay=RECIPE.averaging)
            self._steps(student.train(), teacher, progress)
        return {name: value.contiguous() for name, value in teacher.state_dict().items()}

    def _steps(self, student: nn.Module, teacher: AveragedNetwork, progress: Progress) -> None:
        settings = self._task.coarse
        optimizer = build_optimizer(student, learning_rate=settings.learning_rate, recipe=RECIPE)
        total, step = settings.epochs * len(self._gold), 0
        for epoch in range(1, settings.epochs + 1):
            self._gold.epoch = self._free.epoch = epoch
            for labelled, free in zip(self._gold, self._free, strict=True):
                share = learning_rate_share(step / max(1, total - 1), warm_up=RECIPE.warm_up)
                for group in optimizer.param_groups:
                    group["lr"] = settings.learning_rate * share
                loss = self._loss(student(labelled.image), labelled)
                loss = loss + agreement_weight(step / total) * disagreement(student, teacher.network, free.image)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(student.parameters(), RECIPE.gradient_norm)
                optimizer.step()
                step += 1
                teacher.update(student, step)
                progress(step, total, f"epoch {epoch} of {settings.epochs}")

    def _batches(self, samples: Sequence[Sample], augmentation: Augmentation, recipe: Recipe, seed: int) -> Batches:
        return Batches(
            samples,
            (),
            size=self._task.coarse.size,
            num_labels=self._task.num_labels,
            batch_size=self._task.coarse.batch_size,
            augmentation=augmentation,
            seed=seed,
            recipe=recipe,
        )


def disagreement(student: nn.Module, teacher: nn.Module, images: Tensor) -> Tensor:
    """Mean squared difference of the probabilities of both, each with noise of its own on the same images.

    Args:
        student: learns; `teacher`: does not.
        images: (N, C, H, W).
    """
    with torch.no_grad():
        told = torch.sigmoid(teacher(images + _NOISE * torch.randn_like(images)))
    said = torch.sigmoid(student(images + _NOISE * torch.randn_like(images)))
    return ((said - told) ** 2).mean()


def agreement_weight(progress: float) -> float:
    """How much the agreement counts after this share of all steps, 0 to 1."""
    return _WEIGHT * math.exp(-5.0 * (1.0 - min(1.0, progress / _RISE)) ** 2)
