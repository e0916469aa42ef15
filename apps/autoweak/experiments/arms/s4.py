"""S4: prompts learned from the tight boxes of the gold labels; see `docs/s4_learned_prompts.md`.

Gaillochet et al., Automating MedSAM by Learning Prompts with Weak Few-Shot Supervision, MedAGI 2024.
"""

from __future__ import annotations

from dataclasses import replace

from autoweak.experiments.arms.arm import ASKS, Arm, Predict, Role
from autoweak.experiments.arms.bench import Bench
from autoweak.experiments.arms.ground import ellipses
from autoweak.experiments.arms.s2 import simulated
from autoweak.experiments.spec import ArmEntry
from autoweak.loop.masks import mask_of
from autoweak.prompts import PromptPolicy
from autoweak.training import prompt_recipe
from autoweak.training.prompt_recipe import PromptRecipe


def recipe_of(entry: ArmEntry) -> PromptRecipe:
    """The recipe with the terms of the loss that an arm's options leave on."""
    recipe = prompt_recipe.PROMPT_RECIPE
    terms = recipe.terms.as_published() if entry.published else recipe.terms
    return replace(recipe, terms=terms if entry.losses is None else terms.only(entry.losses))


def _learned(bench: Bench) -> Predict:
    from autoweak.loop.learned import LearnedPredictor, Learner, train_learned
    from autoweak.training.learned_model import LearnedModel

    context = bench.context
    # Boxes that a person gave beside the gold labels would be more than the other arms have; and what is evaluated on
    # judges the modules, not gold held out.
    learner = Learner(context, *bench.promptable, recipe_of(bench.entry), given_boxes=False, held_out=False)
    version = train_learned(learner)
    predictor = LearnedPredictor(LearnedModel.load(version.folder), *bench.promptable)
    return lambda view: mask_of(predictor.predict(view), context.task)


def _ellipse(bench: Bench) -> Predict:
    """The boxes that prompts are learned from, filled."""
    per = "component" if bench.context.task.components > 1 else "class"
    samples = [gold.sample() for gold in bench.gold]
    policy = PromptPolicy(name="box")
    boxes = [
        simulated(sample.mask, labels=bench.labels, policy=policy, per=per, jitter=0, seed=0) for sample in samples
    ]
    filled = [ellipses(prompts, sample.mask.shape) for prompts, sample in zip(boxes, samples, strict=True)]
    return bench.fit([replace(sample, mask=mask) for sample, mask in zip(samples, filled, strict=True)], gold=False)


ARMS = (
    Arm(
        "s4_learned",
        "Prompts learned from the tight boxes of the gold labels; no mask is learned from and no coarse model needed.",
        "S4 rows 1 to 6",
        _learned,
        takes=ASKS | {"losses", "published"},
        uses_weak=False,
        needs_coarse=False,
        from_boxes=True,
    ),
    Arm(
        "s4_ellipse",
        "Trained on the ellipses inscribed in the tight boxes of the gold labels; no promptable model, no mask.",
        "ground",
        _ellipse,
        role=Role.GROUND,
        takes=frozenset({"length"}),
        uses_weak=False,
        needs_coarse=False,
        from_boxes=True,
    ),
)
