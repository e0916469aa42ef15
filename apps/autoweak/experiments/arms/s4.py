"""S4: prompts learned from the tight boxes of the gold labels; see `docs/s4_learned_prompts.md`."""

from __future__ import annotations

from autoweak.experiments.arms.arm import Arm, Predict
from autoweak.experiments.arms.bench import Bench
from autoweak.loop.masks import mask_of


def _learned(bench: Bench) -> Predict:
    from autoweak.loop.learned import LearnedPredictor, Learner, train_learned
    from autoweak.training.learned_model import LearnedModel

    context = bench.context
    version = train_learned(Learner.load(context))
    predictor = LearnedPredictor(LearnedModel.load(version.folder), *bench.promptable)
    return lambda view: mask_of(predictor.predict(view), context.task)


ARMS = (
    Arm(
        "s4_learned",
        "Prompts learned from the tight boxes of the gold labels; no mask is learned from and no coarse model needed.",
        "S4 rows 1 to 6",
        _learned,
        uses_weak=False,
    ),
)
