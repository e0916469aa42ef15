"""Trainings of a few steps, for tests in which it matters what is learned from, not how well."""

from __future__ import annotations

from dataclasses import replace

import pytest


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten steps an epoch, enough to find a disc, and one round of retraining."""
    from autoweak.experiments.arms import mean_teacher
    from autoweak.training import cross_validation, fold, recipe

    short = replace(recipe.RECIPE, steps_per_epoch=10, rounds=1)
    for function in (cross_validation.cross_validate, fold.train_fold):
        monkeypatch.setitem(function.__kwdefaults__, "recipe", short)
    for module in (recipe, mean_teacher):
        monkeypatch.setattr(module, "RECIPE", short)
