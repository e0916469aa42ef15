"""A model that is trained in a second, for simulating many more reviews than trainings of the coarse model allow.

It reads the embedding of the promptable model, pixel by pixel, by ridge regression on random Fourier features
(Rahimi 2007). It finds objects less well than the coarse model, and is used for nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.transform import resize

from autoweak.studies.splits import folds
from autoweak.tasks import Task
from autoweak.training.sample import Sample, class_masks

Array = npt.NDArray[Any]
_FEATURES = 640
# The width of the kernel, as a share of the square root of the number of channels, whose standard deviation is 1.
_WIDTH = 0.875
# For each image, against sums over its pixels.
_SHRINKAGE = 10.0
_FOLDS = 2
# Of a small object's pixels against its background's.
_MOST_WEIGHT = 8.0


@dataclass(frozen=True)
class StandIn:
    """What was learned: one matrix of coefficients (F, K) a fold, and the ids that each fold has not seen."""

    reader: Reader
    members: tuple[Array, ...]
    held_out: tuple[tuple[str, ...], ...]

    def predict(self, view: Array) -> Array:
        """Coarse map (1, K, H, W) of a view (1, H, W, C)."""
        return self._predict(view, self.members)

    def predict_out_of_fold(self, image_id: str, view: Array) -> Array:
        """The same by the members that never saw the image."""
        unseen = [member for member, ids in zip(self.members, self.held_out, strict=True) if image_id in ids]
        return self._predict(view, unseen or self.members)

    def _predict(self, view: Array, members: Sequence[Array]) -> Array:
        features = self.reader.features(view)
        flat = np.mean([features @ member for member in members], axis=0)
        side = round(len(flat) ** 0.5)
        maps = [resize(one.reshape(side, side), view.shape[1:3], order=1) for one in flat.T]
        return np.asarray(np.clip(np.stack(maps)[None], 0, 1), np.float32)


@dataclass
class Reader:
    """Features of pixels, and what of them is added up for a fit; kept for each image, for they never change.

    Args:
        promptable, cache: the promptable model with its embeddings.
        views: (1, H, W, C) of some images, which say how the channels are spread.
    """

    promptable: Any
    cache: Any
    views: Sequence[Array]
    _features: dict[bytes, Array] = field(default_factory=dict)
    _sums: dict[str, tuple[Array, Array]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sampled = np.concatenate([self._embedding(view)[::16] for view in self.views])
        self._centre, self._spread = sampled.mean(axis=0), sampled.std(axis=0) + 1e-6
        rng = np.random.default_rng(0)
        width = _WIDTH * sampled.shape[1] ** 0.5
        self._directions = (rng.normal(size=(sampled.shape[1], _FEATURES)) / width).astype(np.float32)
        self._phases = rng.uniform(0, 2 * np.pi, _FEATURES).astype(np.float32)

    def features(self, view: Array) -> Array:
        """(P, F) float32 of the P pixels of the embedding of a view (1, H, W, C)."""
        key = view.tobytes()
        if key not in self._features:
            standard = (self._embedding(view) - self._centre) / self._spread
            waves = np.cos(standard @ self._directions + self._phases) * np.float32((128 / _FEATURES) ** 0.5)
            constant = np.ones((len(standard), 1), np.float32)
            self._features[key] = np.concatenate([waves, np.float32(0.1) * standard, constant], axis=1)
        return self._features[key]

    def sums(self, sample: Sample, labels: int) -> tuple[Array, Array]:
        """(F, F) and (F, K): what a sample adds to the two sides of the normal equations."""
        if sample.image_id not in self._sums:
            features = self.features(sample.view)
            side = round(len(features) ** 0.5)
            masks = class_masks(sample.mask, labels)[0].astype(np.float32)
            truth = np.stack([resize(mask, (side, side), anti_aliasing=True).ravel() for mask in masks], axis=1)
            share = float(truth.sum())
            inside = min(0.25 * len(truth) / share, _MOST_WEIGHT) if share else 1.0
            weighted = features * np.where(truth.max(axis=1, keepdims=True) > 0.5, np.float32(inside), np.float32(1))
            self._sums[sample.image_id] = weighted.T @ features, weighted.T @ truth
        return self._sums[sample.image_id]

    def learn(self, samples: Sequence[Sample], task: Task, seed: int) -> StandIn:
        """Fit one member a fold, as `cross_validate` does."""
        held_out = folds([sample.image_id for sample in samples], count=_FOLDS, seed=seed)
        members = tuple(
            self._fit([sample for sample in samples if sample.image_id not in ids], task.num_labels) for ids in held_out
        )
        return StandIn(self, members, held_out)

    def _fit(self, samples: Sequence[Sample], labels: int) -> Array:
        sums = [self.sums(sample, labels) for sample in samples]
        left, right = (np.sum([one[side] for one in sums], axis=0) for side in (0, 1))
        shrunk = left + _SHRINKAGE * len(samples) * np.eye(len(left), dtype=np.float32)
        return np.asarray(np.linalg.solve(shrunk, right), np.float32)

    def _embedding(self, view: Array) -> Array:
        """(P, D) float32."""
        found = np.asarray(self.cache.get(self.promptable, view[0]).features)
        return np.asarray(found.reshape(found.shape[0], -1).T, np.float32)
