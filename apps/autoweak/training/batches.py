"""Drawing augmented batches from gold and weak samples, the same ones for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autoweak.training.augmentation import Augmentation
from autoweak.training.recipe import Recipe
from autoweak.training.resize import to_network_size
from autoweak.training.sample import Sample, class_masks
from autoweak.training.seeds import derive_seed


@dataclass(frozen=True)
class Batch:
    """Images (N, C, size, size) float32 0 to 1, targets (N, K, size, size) float32 0 to 1, weights (N,)."""

    image: Tensor
    target: Tensor
    weight: Tensor


class _Stack:
    """One sample's slices at network size, kept as bytes because a few hundred volumes must fit in memory."""

    def __init__(self, sample: Sample, *, size: int, num_labels: int) -> None:
        masks = np.moveaxis(class_masks(sample.mask, num_labels), 1, 3).astype(np.uint8)
        self.images = _to_bytes(to_network_size(sample.view, size))
        self.targets = _to_bytes(to_network_size(masks * np.uint8(255), size))
        self.weight = sample.weight
        self.foreground = np.flatnonzero(sample.mask.any(axis=(1, 2)))

    def draw(self, random: np.random.RandomState, foreground_share: float) -> tuple[Tensor, Tensor]:
        """One slice as image (C, size, size) and target (K, size, size), float32 0 to 1."""
        if len(self.foreground) and random.uniform() < foreground_share:
            index = int(random.choice(self.foreground))
        else:
            index = int(random.randint(len(self.images)))
        return self.images[index].float().div_(255), self.targets[index].float().div_(255)


class Batches:
    """One epoch of batches; set `epoch` before iterating over it.

    Args:
        samples: gold (weight 1) and weak samples; which is which is told by `gold_ids`.
        gold_ids: image ids of the gold samples.
        size: side of the square network input, pixels.
        num_labels: K.
        batch_size: N.
        augmentation: applied to each drawn slice.
        seed: fixes everything together with `epoch`.
        recipe: steps an epoch, shares of gold and of foreground slices.
    """

    def __init__(
        self,
        gold: Sequence[Sample],
        weak: Sequence[Sample],
        *,
        size: int,
        num_labels: int,
        batch_size: int,
        augmentation: Augmentation,
        seed: int,
        recipe: Recipe,
    ) -> None:
        self.epoch = 1
        self._gold = [_Stack(sample, size=size, num_labels=num_labels) for sample in gold]
        self._weak = [_Stack(sample, size=size, num_labels=num_labels) for sample in weak]
        self._batch_size = batch_size
        self._augmentation = augmentation
        self._seed = seed
        self._recipe = recipe

    def __len__(self) -> int:
        """Batches in one epoch."""
        return self._recipe.steps_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the epoch that `epoch` names when the first one is asked for."""
        random = np.random.RandomState(derive_seed(self._seed, self.epoch, "draw"))
        self._augmentation.reseed(derive_seed(self._seed, self.epoch, "augment"))
        for _ in range(len(self)):
            yield self._batch(random)

    def _batch(self, random: np.random.RandomState) -> Batch:
        share = self._recipe.foreground_share
        drawn = [self._pick(place, random) for place in range(self._batch_size)]
        pairs = [self._augmentation(*stack.draw(random, share), donor=self._donor(random)) for stack in drawn]
        return Batch(
            image=torch.stack([image for image, _ in pairs]),
            target=torch.stack([target for _, target in pairs]),
            weight=torch.tensor([stack.weight for stack in drawn], dtype=torch.float32),
        )

    def _pick(self, place: int, random: np.random.RandomState) -> _Stack:
        gold_places = self._batch_size if not self._weak else max(1, round(self._batch_size * self._recipe.gold_share))
        group = self._gold if place < gold_places else self._weak
        return group[random.randint(len(group))]

    def _donor(self, random: np.random.RandomState) -> tuple[Tensor, Tensor]:
        # Lesions to paste come from gold alone: a weak label's outline may be wrong.
        return self._gold[random.randint(len(self._gold))].draw(random, 1.0)


def _to_bytes(pixels: Tensor) -> Tensor:
    return pixels.mul(255).round_().to(torch.uint8)
