"""The loop with a simulated person: train, make weak labels, review the first of the queue with the truth, again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from autoweak.experiments.metrics import score_image
from autoweak.loop.context import policy_of
from autoweak.loop.masks import mask_of
from autoweak.tasks import Task
from autoweak.training.sample import Sample
from autoweak.weak_labels import QualityModel, WeakLabel, calibrate, generate

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Case:
    """An image whose truth is known: view (S, H, W, C) uint8, mask (S, H, W) uint8, vector (D,) of its looks."""

    image_id: str
    view: Array
    mask: Array
    vector: npt.NDArray[np.float32]

    def sample(self) -> Sample:
        """As a training sample of full weight."""
        return Sample(image_id=self.image_id, view=self.view, mask=self.mask)


@dataclass(frozen=True)
class Course:
    """What is learned from in one simulation.

    Attributes:
        name: of the data; `seed`: which draw of it.
        task: what is segmented, and how the coarse model is trained.
        start: gold labels of the beginning; `pool`: what waits for review; `evaluation`: what is measured on.
        batch: reviews between two trainings.
        rounds: how often a batch is reviewed.
    """

    name: str
    seed: int
    task: Task
    start: tuple[Case, ...]
    pool: tuple[Case, ...]
    evaluation: tuple[Case, ...]
    batch: int
    rounds: int


class Model(Protocol):
    """The part of a `TrainedModel` that is used here."""

    def predict(self, view: Array) -> Array:
        """Coarse map (S, K, H, W) of a view."""

    def predict_out_of_fold(self, image_id: str, view: Array) -> Array:
        """The same by the members that never saw the image."""


Learn = Callable[[Sequence[Sample], Task, int], Model]


@dataclass(frozen=True)
class Waiting:
    """What an order may know: weak labels (made when they are asked for), vectors, and what is labelled.

    Attributes:
        ids: of the images that wait, sorted.
        known: ids of gold images, sorted.
        vectors: image id to vector (D,), of both.
        judge: gives image id to weak label of those that wait.
        rng: of the course, round and order.
    """

    ids: tuple[str, ...]
    known: tuple[str, ...]
    vectors: Mapping[str, npt.NDArray[np.float32]]
    judge: Callable[[], Mapping[str, WeakLabel]]
    rng: np.random.Generator


Order = Callable[[Waiting], Sequence[str]]


@dataclass(frozen=True)
class Point:
    """Where a simulation stands after some reviews: what was reviewed, and the Dice of each evaluation image."""

    reviews: int
    reviewed: tuple[str, ...]
    dice: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Mean Dice of the evaluation images."""
        return float(np.mean(list(self.dice.values())))


@dataclass
class Simulator:
    """Runs orders on one course; what two orders train on alike is trained once.

    Args:
        course: the images.
        learn: trains the coarse model.
        promptable, cache: the promptable model with its embeddings.
    """

    course: Course
    learn: Learn
    promptable: Any
    cache: Any
    _stages: dict[frozenset[str], _Stage] = field(default_factory=dict)

    def run(self, order: Order, *, tell: Callable[[Point], None] = lambda _: None) -> tuple[Point, ...]:
        """One order from the first training to the last review; `tell` hears of each point."""
        reviewed: list[str] = []
        points = []
        for number in range(self.course.rounds + 1):
            stage = self._stage(reviewed)
            points.append(Point(len(reviewed), tuple(reviewed), stage.dice))
            tell(points[-1])
            if number < self.course.rounds:
                reviewed.extend(self._next(order, stage, number))
        return tuple(points)

    def _next(self, order: Order, stage: _Stage, number: int) -> Sequence[str]:
        everything = (*self.course.start, *self.course.pool)
        waiting = Waiting(
            ids=tuple(sorted(case.image_id for case in stage.rest)),
            known=tuple(sorted(case.image_id for case in stage.gold)),
            vectors={case.image_id: case.vector for case in everything},
            judge=lambda: stage.weak,
            rng=np.random.default_rng([self.course.seed, number]),
        )
        return list(order(waiting))[: self.course.batch]

    def _stage(self, reviewed: Iterable[str]) -> _Stage:
        key = frozenset(reviewed)
        if key not in self._stages:
            self._stages[key] = _Stage(self, key)
        return self._stages[key]


class _Stage:
    """The models and weak labels that belong to one set of reviewed images."""

    def __init__(self, simulator: Simulator, reviewed: frozenset[str]) -> None:
        course = simulator.course
        self._simulator = simulator
        self._task = course.task
        added = [case for case in course.pool if case.image_id in reviewed]
        self.gold = tuple(sorted((*course.start, *added), key=lambda case: case.image_id))
        self.rest = tuple(case for case in course.pool if case.image_id not in reviewed)

    @cached_property
    def model(self) -> Model:
        """The coarse model of the gold labels."""
        return self._simulator.learn([case.sample() for case in self.gold], self._task, self._simulator.course.seed)

    @cached_property
    def dice(self) -> dict[str, float]:
        """Evaluation image to the Dice of what the coarse model finds in it."""
        labels = tuple(self._task.labels.values())
        found = {
            case.image_id: (mask_of(self.model.predict(case.view), self._task), case.mask)
            for case in self._simulator.course.evaluation
        }
        return {image_id: score_image(mask, truth, labels=labels).dice for image_id, (mask, truth) in found.items()}

    @cached_property
    def weak(self) -> dict[str, WeakLabel]:
        """Image that waits to its weak label, its quality calibrated on the gold labels.

        As `autoweak label` does it, but with the policy that choosing begins with, and without the sign of symmetry.
        """
        pairs = [
            (self._generate(case, self.model.predict_out_of_fold(case.image_id, case.view), None), case.mask)
            for case in self.gold
        ]
        quality = calibrate(pairs)
        return {case.image_id: self._generate(case, self.model.predict(case.view), quality) for case in self.rest}

    def _generate(self, case: Case, coarse_map: Array, quality: QualityModel | None) -> WeakLabel:
        return generate(
            case.view,
            coarse_map,
            model=self._simulator.promptable,
            cache=self._simulator.cache,
            policy=policy_of(self._task),
            labels=tuple(self._task.labels.values()),
            seed=self._simulator.course.seed,
            quality_model=quality,
        )
