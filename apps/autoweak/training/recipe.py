"""The parts of the training recipe that no task changes, each with its unit and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How every coarse model is trained; what a task may choose is in its `coarse` section.

    Attributes:
        steps_per_epoch: optimiser steps in one epoch, however many samples there are, so that gold alone and
            gold with weak labels cost the same.
        gold_share: share of each batch that is gold where there are weak labels.
        foreground_share: share of the slices drawn from a volume that show a label.
        weight_decay: of AdamW (Loshchilov 2019), on weights with more than one axis.
        warm_up: share of all steps in which the learning rate rises; then it falls by a cosine.
        gradient_norm: gradients are clipped to this norm.
        averaging: decay of the weights' exponential moving average, which is what predicts.
        smoothing: added above and below in the soft Dice, in pixels, so that an empty truth has a finite loss.
        start: where the task wants it, begin with the bundle's start weights in place of random ones.
        retrain_length: how many times longer than on gold alone the training on gold and weak labels is. Gold alone,
            trained as long, is learned by heart.
        rounds: how often at most the retrained model labels anew and is trained again on its labels.
        paste: share of slices that get another gold image's object pasted in (Ghiasi 2021); 2D tasks only.
        erase: share of slices whose object is painted over, so that empty images are learned too; 2D tasks only.
        marks: share of slices that get discs and lines laid over them.
        reports: how often in a training the held-out gold is scored for the history.
        checkpoint_seconds: at least this long between two checkpoints, so that writing stays cheap.
    """

    steps_per_epoch: int = 25
    gold_share: float = 0.5
    foreground_share: float = 0.75
    weight_decay: float = 0.05
    warm_up: float = 0.15
    gradient_norm: float = 1.0
    averaging: float = 0.98
    smoothing: float = 1.0
    start: bool = True
    retrain_length: float = 2.0
    rounds: int = 2
    paste: float = 0.5
    erase: float = 0.1
    marks: float = 0.3
    reports: int = 4
    checkpoint_seconds: float = 5.0


RECIPE = Recipe()
