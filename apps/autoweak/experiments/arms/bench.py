"""The bench an arm works at: the images of one cell, the shared models, weak labels, trainings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import autoweak
from autoweak.atomic import write_json
from autoweak.errors import AutoweakError, ExperimentError
from autoweak.experiments.arms.arm import Arm, Array, Predict
from autoweak.experiments.arms.trainings import find_or_train, training_key
from autoweak.experiments.cells import read_json
from autoweak.experiments.material import Draw, Known
from autoweak.experiments.metrics import score_image
from autoweak.experiments.spec import ArmEntry
from autoweak.loop.coarse import gold_folds, load_model, train_coarse
from autoweak.loop.context import Context
from autoweak.loop.gold import Gold, read_gold
from autoweak.loop.masks import mask_of
from autoweak.progress import each
from autoweak.studies import Study, StudyImage, mask_suffix, read_label, write_mask
from autoweak.training.sample import Sample

if TYPE_CHECKING:
    from autoweak.promptable import EmbeddingCache, Promptable
    from autoweak.prompts import Prompt, PromptPolicy
    from autoweak.training import TrainedModel


@dataclass
class ArmContext(Context):
    """The context of one cell: its own choice of studies, and a promptable model that all cells share."""

    shared: tuple[Promptable, EmbeddingCache] | None = None

    @property
    def unlabelled(self) -> tuple[Study, ...]:
        """The unlabelled images of this cell; what lies in `synthetic` takes no part."""
        return self.studies.unlabelled

    def load_promptable(self) -> tuple[Promptable, EmbeddingCache]:
        """The promptable model and its embeddings, loaded once for all cells."""
        return self.shared if self.shared is not None else super().load_promptable()


@dataclass(frozen=True)
class Scene:
    """What a weak label is made of.

    Attributes:
        image_id: of the image.
        view: (S, H, W, C) uint8.
        truth: (S, H, W) for arms that simulate a person or are a bound; None for all others.
    """

    image_id: str
    view: Array
    truth: Array | None = None


Maker = Callable[[Scene], Array]


@dataclass(frozen=True)
class Estimate:
    """What the promptable model itself says of a mask: its expected Dice, 0 to 1, for a label in a slice."""

    label: int
    slice: int
    dice: float


@dataclass
class Asked:
    """What the promptable model was asked for the image at hand, and what it said of its masks itself.

    Attributes:
        policy: that the prompts were made by; `prompts`: all of them.
        estimates: the model's own, where an arm notes them.
    """

    policy: PromptPolicy | None = None
    prompts: list[Prompt] = field(default_factory=list)
    estimates: list[Estimate] = field(default_factory=list)

    def note(self, prompts: Iterable[Prompt], *, policy: PromptPolicy) -> None:
        """Add prompts."""
        self.policy = policy
        self.prompts.extend(prompts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "policy": None if self.policy is None else self.policy.to_dict(),
            "prompts": [asdict(prompt) for prompt in self.prompts],
            "estimated": [asdict(one) for one in self.estimates],
        }


@dataclass
class WeakCount:
    """What became of the unlabelled images of a cell.

    Attributes:
        offered: how many there were; `used`: how many were trained on.
        synthetic: how many synthetic ones there were beside them; `synthetic_used`: how many were trained on.
        empty: left out as nothing was found; `extreme`: left out by the arm's filters.
        dice: Dice of each weak label whose truth is known, empty ones included; for the table alone.
        estimated: the promptable model's own estimate of its Dice, 2 s / (1 + s) of its IoU s, where an arm notes it.
    """

    offered: int = 0
    used: int = 0
    synthetic: int = 0
    synthetic_used: int = 0
    empty: int = 0
    extreme: int = 0
    dice: list[float] = field(default_factory=list)
    estimated: list[float] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: counts and means."""
        keys = ("offered", "used", "synthetic", "synthetic_used", "empty", "extreme")
        counts = {key: getattr(self, key) for key in keys}
        means = {key: float(np.mean(found)) if (found := getattr(self, key)) else None for key in ("dice", "estimated")}
        return {**counts, **means, "scored": len(self.dice)}


@dataclass
class Bench:
    """All that an arm is given in one cell.

    Attributes:
        arm: the arm; `entry`: its options in this experiment.
        context: studies of the cell, task, seed, workspace of all experiments on these studies.
        draw: the cell's images.
        key: fingerprint of the cell; `label_key`: the same without the number of unlabelled images, which share the
            weak labels.
        folder: where weak labels are kept.
        weak: what became of the unlabelled images.
        asked: where an arm notes prompts for the image at hand.
    """

    arm: Arm
    entry: ArmEntry
    context: ArmContext
    draw: Draw
    key: str
    label_key: str
    folder: Path
    weak: WeakCount = field(default_factory=WeakCount)
    asked: Asked = field(default_factory=Asked)

    @cached_property
    def gold(self) -> tuple[Gold, ...]:
        """The gold labels of the cell."""
        return read_gold(self.context)

    @cached_property
    def coarse(self) -> TrainedModel:
        """The coarse model of the cell's gold labels, shared by all arms, experiments and numbers of weak labels."""
        return load_model(train_coarse(self.context, self.gold))

    @cached_property
    def promptable(self) -> tuple[Promptable, EmbeddingCache]:
        """The promptable model with its embeddings."""
        return self.context.load_promptable()

    @property
    def length(self) -> float:
        """How many times as long as the coarse model the arm trains."""
        return self.entry.length or 1.0

    @property
    def epochs(self) -> int:
        """How many epochs that is."""
        return max(1, round(self.context.task.coarse.epochs * self.length))

    @property
    def labels(self) -> tuple[int, ...]:
        """The task's label values."""
        return tuple(self.context.task.labels.values())

    def predictor(self, model: TrainedModel) -> Predict:
        """From an image's view to the mask that a model predicts."""
        return lambda view: mask_of(model.predict(view), self.context.task)

    def weak_samples(self, maker: Maker) -> list[Sample]:
        """The weak labels of the cell's unlabelled images, made or found again, those that are of no use left out."""
        if self.arm.uses_gold:
            _ = self.coarse  # first, so that its progress is shown as its own
        self.context.progress.stage(f"{self.entry.name}: weak labels")
        offered = (*self.draw.pool, *self.draw.synthetic)
        made = [self._weak_sample(known, maker) for known in each(offered, self.context.progress)]
        patients = len(self.draw.pool)
        self.weak.offered, self.weak.used = patients, sum(sample is not None for sample in made[:patients])
        self.weak.synthetic = len(self.draw.synthetic)
        self.weak.synthetic_used = sum(sample is not None for sample in made[patients:])
        return [sample for sample in made if sample is not None]

    def unlabelled_samples(self) -> list[Sample]:
        """The cell's unlabelled images as samples with empty masks, for arms that need no weak label."""
        reads = [(known, self.context.read(known.study)) for known in self.draw.pool]
        found = [(known, read[1]) for known, read in reads if read is not None]
        self.weak.offered = len(self.draw.pool)
        return [Sample(known.image_id, view, np.zeros(view.shape[:3], dtype=np.uint8)) for known, view in found]

    def train(self, samples: Sequence[Sample], *, gold: bool) -> Predict:
        """Train the project's network from its start weights on weak labels, with or without the gold ones.

        With gold, the folds are those of the coarse model: each member learns from all weak labels and the gold that
        its fold does not hold out, all samples with one weight, as S1 joins them. A batch holds gold by its share of
        all labels, at least one. Without gold, there are as many members, each of which learns from all weak labels.
        So arms differ in their labels alone.

        Raises:
            ExperimentError: there is nothing to learn from.
        """
        if not samples and not gold:
            raise ExperimentError(f"{self.entry.name} found no weak label to train on.")
        if not samples:
            self.context.notes.append(f"{self.entry.name} found no weak label, and is the gold-only model.")
            return self.predictor(self.coarse)
        return self.fit(samples, gold=gold)

    def fit(self, samples: Sequence[Sample], *, gold: bool) -> Predict:
        """The same, whether there are samples beside the gold or not."""
        way = "gold and weak" if gold else "weak alone"
        if self.length != 1:
            way += f", {self.length:g} times as long"
        if gold:
            return self.trained(samples, way, lambda folder: self._with_gold(samples, folder), gold=self.gold)
        return self.trained(samples, way, lambda folder: self._alone(samples, folder))

    def trained(
        self,
        samples: Sequence[Sample],
        way: str,
        train: Callable[[Path], TrainedModel],
        *,
        gold: tuple[Gold, ...] = (),
    ) -> Predict:
        """What predicts with a model trained on samples and gold, which is found where another cell has trained it.

        Args:
            samples: beside gold.
            way: how it is trained, in a word or two.
            train: trains, with checkpoints in the folder it is given.
            gold: that is learned from.
        """
        self.context.progress.stage(f"{self.entry.name}: training")
        key = training_key(self.context, samples, gold=gold, way=way)
        return self.predictor(find_or_train(self.context, key, train))

    def _with_gold(self, samples: Sequence[Sample], run_folder: Path) -> TrainedModel:
        from autoweak.training import cross_validate
        from autoweak.training.recipe import RECIPE

        return cross_validate(
            [item.sample() for item in self.gold],
            list(samples),
            task=self.context.task,
            folds=gold_folds(self.context, self.gold),
            seed=self.context.seed,
            run_folder=run_folder,
            progress=self.context.progress.update,
            epochs=self.epochs,
            recipe=replace(RECIPE, gold_share=len(self.gold) / (len(self.gold) + len(samples))),
        )

    def _alone(self, samples: Sequence[Sample], run_folder: Path) -> TrainedModel:
        from autoweak.experiments.arms.members import train_members

        return train_members(
            samples,
            task=self.context.task,
            seed=self.context.seed,
            run_folder=run_folder,
            progress=self.context.progress.update,
            epochs=self.epochs,
        )

    def _weak_sample(self, known: Known, maker: Maker) -> Sample | None:
        read = self.context.read(known.study)
        if read is None:
            return None
        image, view = read
        truth = self._truth(known, image)
        scene = Scene(known.image_id, view, truth if self.arm.needs_truth else None)
        mask = self._weak_mask(known, image, scene, maker)
        if truth is not None:
            self.weak.dice.append(score_image(mask, truth, labels=self.labels).dice)
        if not mask.any():
            self.weak.empty += 1
            return None
        if self._is_extreme(mask):
            self.weak.extreme += 1
            return None
        return Sample(image_id=known.image_id, view=view, mask=mask)

    def _truth(self, known: Known, image: StudyImage) -> Array | None:
        if known.study.gold is None:
            return None
        try:
            return read_label(known.study.gold, image=image, task=self.context.task).mask
        except AutoweakError as error:
            self.context.report_problem(known.image_id, error)
            return None

    def _weak_mask(self, known: Known, image: StudyImage, scene: Scene, maker: Maker) -> Array:
        """The weak label as a file in the image's own geometry with a sidecar; what is there is not made again."""
        folder = self.folder / self.label_key[:16]
        path, sidecar = folder / f"{scene.image_id}{mask_suffix(image)}", folder / f"{scene.image_id}.json"
        before = read_json(sidecar)
        if before is not None and before.get("image") == self._image(known) and path.is_file():
            self.weak.estimated.extend(float(one["dice"]) for one in before.get("estimated", []))
            return read_label(path, image=image, task=self.context.task).mask
        self.asked = Asked()
        mask = maker(scene)
        self.weak.estimated.extend(one.dice for one in self.asked.estimates)
        write_mask(path, mask, image=image)
        write_json(sidecar, self._sidecar(known))
        return mask

    def _sidecar(self, known: Known) -> dict[str, Any]:
        """What the weak label was made of; written after the mask, so a mask with a sidecar is complete."""
        return {
            "arm": self.arm.name,
            "options": self.entry.label_options(),
            "image": self._image(known),
            "synthetic": None if known.mark is None else asdict(known.mark),
            "gold": [gold.image_id for gold in self.draw.gold],
            "coarse": self.coarse.sha256 if self.arm.uses_gold else None,
            "promptable": self.promptable[0].identity(),
            "seed": self.context.seed,
            "autoweak": autoweak.__version__,
            **self.asked.to_dict(),
        }

    def _image(self, known: Known) -> dict[str, str | None]:
        """What of an image a weak label is made of."""
        truth = known.truth_sha256 if self.arm.needs_truth else None
        return {"id": known.image_id, "sha256": known.sha256, "truth": truth}

    def _is_extreme(self, mask: Array) -> bool:
        """Whether the arm's filters take a weak label for a failure."""
        entry, foreground = self.entry, np.count_nonzero(mask) / mask.size
        one_class = max(np.bincount(mask.ravel())) / mask.size
        return (
            (entry.drop_extreme is not None and one_class > entry.drop_extreme)
            or (entry.drop_below is not None and foreground < entry.drop_below)
            or (entry.drop_above is not None and foreground > entry.drop_above)
        )
