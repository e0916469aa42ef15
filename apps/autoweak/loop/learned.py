"""Training prompts on tight boxes alone, and predicting with them: the route without a coarse model and its prompts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import autoweak
from autoweak.experiments.metrics import score_image
from autoweak.loop.boxed import Boxed, read_boxed, samples_of
from autoweak.loop.coarse import gold_folds, known_patients
from autoweak.loop.context import Context
from autoweak.loop.gold import MINIMUM_GOLD
from autoweak.loop.masks import mask_of
from autoweak.progress import each
from autoweak.training.prompt_recipe import PROMPT_RECIPE, PromptRecipe
from autoweak.workspace import ModelKind, ModelVersion, Workspace, fingerprint

if TYPE_CHECKING:
    from autoweak.networks.learned_prompt import LearnedPrompts
    from autoweak.promptable import EmbeddingCache, Promptable
    from autoweak.training.learned_model import LearnedModel
    from autoweak.training.prompt_learner import BoxSample

# What of a task changes this training.
_TASK_KEYS = {"labels", "intensity", "plane", "channels", "dimension", "components", "mirror"}


@dataclass(frozen=True)
class Learner:
    """The promptable model with its cache, and the way prompts are learned for it.

    Attributes:
        context: studies, task, seed.
        model: the promptable model; `cache`: its embeddings.
        recipe: how.
        given_boxes: learn from the rows of `boxes.csv` too.
        held_out: train also without each part of the gold in turn, for the Dice on what modules never saw.
    """

    context: Context
    model: Promptable
    cache: EmbeddingCache
    recipe: PromptRecipe
    given_boxes: bool = True
    held_out: bool = True

    @classmethod
    def load(cls, context: Context, recipe: PromptRecipe = PROMPT_RECIPE) -> Learner:
        """Load the promptable model of a context."""
        return cls(context, *context.load_promptable(), recipe)


def train_learned(learner: Learner) -> ModelVersion:
    """Learn prompts for a task and a promptable model: now, resumed, or found if it was done before.

    Modules are trained on the boxes of all images; beside that, where there are four gold labels or more, they are
    trained without each part of the gold in turn, for an honest Dice on what they never saw. They never become the
    final model by themselves.

    Raises:
        StudiesError: too few images with a gold label or boxes, or a `boxes.csv` that does not fit.
        CheckpointError: the promptable model has no weights here.
    """
    from autoweak.networks.definition import bundle_definition
    from autoweak.training.prompt_learner import BUNDLE

    context = learner.context
    context.remember_task()
    items = read_boxed(context, given_boxes=learner.given_boxes)
    folds = _folds(context, items) if learner.held_out else ()
    inputs = {
        "recipe": asdict(learner.recipe),
        "network": bundle_definition(BUNDLE),
        "promptable": learner.model.identity(),
        "task": context.task.model_dump(mode="json", include=_TASK_KEYS),
        "images": {item.image_id: item.plain() for item in items},
        "gold": {item.image_id: item.gold.label_sha256 for item in items if item.gold is not None},
        "folds": folds,
        "seed": context.seed,
        "version": autoweak.__version__,
    }
    key = fingerprint(inputs)
    found = context.workspace.find(ModelKind.LEARNED, key)
    return context.workspace.use(found) if found is not None else _fit(learner, items, folds, key=key)


def _fit(learner: Learner, items: tuple[Boxed, ...], folds: Sequence[Sequence[str]], *, key: str) -> ModelVersion:
    from autoweak.training.learned_model import LearnedModel, describe

    context, workspace = learner.context, learner.context.workspace
    context.progress.stage("Encoding images")
    samples = {
        item.image_id: samples_of(
            item, model=learner.model, cache=learner.cache, recipe=learner.recipe, mirror=context.task.mirror
        )
        for item in each(items, context.progress)
    }
    context.progress.stage("Learning prompts")
    run_folder = workspace.run_folder(key)
    work = _Work(learner, samples, run_folder, parts=len(folds) + 1)
    scores = _held_out_dice(work, items, folds)
    prompts = work.train([item.image_id for item in items], name="all", part=len(folds))
    card = describe(
        task=context.task,
        model=learner.model,
        options=prompts.options,
        cv_dice=scores,
        images=len(items),
        seed=context.seed,
    )
    model = LearnedModel(prompts, card)
    version = workspace.new_version(ModelKind.LEARNED)
    # What lies there without a record is from a run that was killed while saving.
    shutil.rmtree(version.folder, ignore_errors=True)
    model.save(version.folder)
    workspace.write_record(version, _record(learner, items, model, scores, key=key))
    shutil.rmtree(run_folder, ignore_errors=True)
    return version


@dataclass(frozen=True)
class _Work:
    """Trainings on parts of the samples, each with a checkpoint and its share of the progress bar."""

    learner: Learner
    samples: dict[str, tuple[BoxSample, ...]]
    run_folder: Path
    parts: int

    def train(self, image_ids: Sequence[str], *, name: str, part: int) -> LearnedPrompts:
        from autoweak.training.prompt_learner import train_prompts
        from autoweak.training.seeds import derive_seed

        context = self.learner.context

        def tell(done: int, total: int, text: str) -> None:
            context.progress.update(part * total + done, self.parts * total, f"part {part + 1} of {self.parts}, {text}")

        return train_prompts(
            [sample for image_id in image_ids for sample in self.samples[image_id]],
            decoder=self.learner.model.frozen_decoder(),
            num_labels=context.task.num_labels,
            seed=derive_seed(context.seed, "learned", name),
            checkpoint=self.run_folder / f"{name}.pt",
            progress=tell,
            recipe=self.learner.recipe,
        )


def _folds(context: Context, items: Sequence[Boxed]) -> tuple[tuple[str, ...], ...]:
    """The gold that each fold holds out; none where there is too little to judge on."""
    gold = tuple(item.gold for item in items if item.gold is not None)
    if len(gold) < MINIMUM_GOLD:
        context.notes.append(
            f"There are {len(gold)} gold labels, and with fewer than {MINIMUM_GOLD} nothing is held out: how good the "
            "learned prompts are is not known."
        )
        return ()
    return gold_folds(context, gold)


def _held_out_dice(work: _Work, items: Sequence[Boxed], folds: Sequence[Sequence[str]]) -> dict[str, float]:
    """Mean Dice over the labels of each gold image, by modules trained without it, its patient and its copies."""
    context = work.learner.context
    gold = tuple(item.gold for item in items if item.gold is not None)
    patients = known_patients(context, gold) if folds else {}
    scores = {}
    for part, fold in enumerate(folds):
        away = {patients.get(image_id) for image_id in fold} - {None}
        copies = {item.sha256 for item in items if item.image_id in fold}
        kept = [
            item.image_id
            for item in items
            if item.image_id not in fold and patients.get(item.image_id) not in away and item.sha256 not in copies
        ]
        prompts = work.train(kept, name=f"fold-{part}", part=part)
        scores.update({item.image_id: _score(work.learner, prompts, item) for item in items if item.image_id in fold})
    return scores


def _score(learner: Learner, prompts: LearnedPrompts, item: Boxed) -> float:
    from autoweak.training.learned_model import probabilities

    if item.gold is None:
        msg = f"{item.image_id} has no gold label"
        raise ValueError(msg)
    task, decoder = learner.context.task, learner.model.frozen_decoder()
    maps = [
        probabilities(prompts, decoder, learner.cache.get(learner.model, one), model=learner.model) for one in item.view
    ]
    mask = mask_of(np.stack(maps), task)
    return score_image(mask, item.gold.mask, labels=tuple(task.labels.values())).dice


def _record(
    learner: Learner, items: Sequence[Boxed], model: LearnedModel, scores: dict[str, float], *, key: str
) -> dict[str, Any]:
    gold = sum(item.gold is not None for item in items)
    return {
        "fingerprint": key,
        "task": learner.context.task.name,
        "seed": learner.context.seed,
        "sha256": model.sha256,
        "promptable": learner.model.identity(),
        "gold": gold,
        "boxed": len(items) - gold,
        "weak": 0,
        "cv_dice": scores,
        "mean_cv_dice": sum(scores.values()) / len(scores) if scores else None,
        "autoweak": autoweak.__version__,
    }


@dataclass(frozen=True)
class LearnedPredictor:
    """Learned prompts together with their promptable model: an image's view in, probability maps out."""

    learned: LearnedModel
    model: Promptable
    cache: EmbeddingCache

    def predict(self, view: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Probability maps (S, K, H, W) of a view (S, H, W, C).

        Raises:
            ImageError: the view does not fit the task.
        """
        return self.learned.predict(view, model=self.model, cache=self.cache)


def load_predictor(
    version: ModelVersion,
    workspace: Workspace,
    *,
    promptable: str | None = None,
    checkpoint: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> LearnedPredictor:
    """Load learned prompts with the promptable model they were learned for.

    Args:
        version: of the learned prompts.
        workspace: whose embeddings are used and added to.
        promptable: name of the promptable model; None takes the one that the prompts name.
        checkpoint: its weights, where they are not those that the program knows by that name.
        device: where it runs.
        precision: of SAM's and MedSAM's encoders.

    Raises:
        CheckpointError: files are damaged, or the promptable model is another one or not here.
    """
    from autoweak.loop.context import EMBEDDING_CACHE_BYTES
    from autoweak.promptable import EmbeddingCache, load_promptable
    from autoweak.training.learned_model import LearnedModel

    learned = LearnedModel.load(version.folder)
    name = promptable or (None if checkpoint else learned.card.promptable)
    model = load_promptable(name, checkpoint=checkpoint, device=device, precision=precision)
    learned.check_promptable(model)
    return LearnedPredictor(learned, model, EmbeddingCache(workspace.embeddings, max_bytes=EMBEDDING_CACHE_BYTES))
