"""S4: prompts learned from the tight boxes of the gold labels; see `docs/s4_learned_prompts.md`.

Gaillochet et al., Automating MedSAM by Learning Prompts with Weak Few-Shot Supervision, MedAGI 2024.
"""

from __future__ import annotations

from dataclasses import replace

from autoweak.experiments.arms.arm import Arm, Predict
from autoweak.experiments.arms.bench import Bench
from autoweak.experiments.spec import ArmEntry
from autoweak.loop.masks import mask_of
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


ARMS = (
    Arm(
        "s4_learned",
        "Prompts learned from the tight boxes of the gold labels; no mask is learned from and no coarse model needed.",
        "S4 rows 1 to 6",
        _learned,
        takes=frozenset({"losses", "published"}),
        uses_weak=False,
        needs_coarse=False,
    ),
)
