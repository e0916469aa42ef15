"""Retraining in rounds: the stronger model labels anew, until held-out gold says that this no longer helps."""

from __future__ import annotations

from dataclasses import dataclass

from autoweak.loop.context import Context
from autoweak.loop.gold import Gold
from autoweak.loop.label import Calibration, Labeller, calibrated
from autoweak.loop.retrain import Decision, held_out_gold, publish, retrain
from autoweak.workspace import ModelVersion


@dataclass(frozen=True)
class Improved:
    """What the rounds gave.

    Attributes:
        labeller: with the best model, which makes the weak labels; `calibration`: of it.
        retrained: the models of gold + weak labels, one a round; the last one may be no better.
        decision: which model became final.
    """

    labeller: Labeller
    calibration: Calibration
    retrained: tuple[ModelVersion, ...]
    decision: Decision


def improve(
    context: Context, gold: tuple[Gold, ...], labeller: Labeller, calibration: Calibration, *, most: int | None = None
) -> Improved:
    """Retrain on weak labels, label with the result, and so on while the Dice on held-out gold rises; publish the best.

    Every network still has gold that neither it nor the networks behind its weak labels have seen, in every round: fold
    f's labels are always made by fold f's network.

    Args:
        context: studies and workspace.
        gold: gold labels.
        labeller: with the coarse model; `calibration`: of it.
        most: rounds at most; None takes the recipe's.
    """
    from autoweak.training.recipe import RECIPE

    coarse, retrained = labeller.version, []
    for _ in range(RECIPE.rounds if most is None else most):
        version = retrain(context, gold, labeller)
        if version is None:
            break
        retrained.append(version)
        if held_out_gold(context.workspace, version) <= held_out_gold(context.workspace, labeller.version):
            break
        labeller, calibration = calibrated(Labeller.load(context, version), gold)
    return Improved(labeller, calibration, tuple(retrained), publish(context, coarse, tuple(retrained)))
