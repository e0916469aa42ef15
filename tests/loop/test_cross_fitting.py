"""The weak labels a fold trains on come from the member that never saw the fold's held-out gold, and from it alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autoweak.loop.context import Context
from autoweak.loop.gold import read_gold
from autoweak.loop.label import Labeller
from autoweak.loop.retrain import cross_fitted
from autoweak.loop.run import run
from autoweak.tasks import Task


@pytest.mark.usefixtures("ellipses")
def test_each_fold_learns_from_its_own_member(studies: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    context = Context.open(studies, task)
    labeller = Labeller.load(context, run(context).coarse)
    asked: list[int] = []

    def predict_member(number: int, view: np.ndarray) -> np.ndarray:
        asked.append(number)
        coarse_map = np.zeros((1, 1, *view.shape[1:3]), dtype=np.float32)
        coarse_map[0, 0, 10 : 20 + 10 * number, 10:30] = 0.9  # each member sees something else
        return coarse_map

    monkeypatch.setattr(labeller.coarse, "predict_member", predict_member)
    extra = cross_fitted(context, read_gold(context), labeller, folder=studies.parent / "weak")
    assert asked == [0, 1] * 4
    heights = {number: {int(one.mask[0].any(axis=1).sum()) for one in found} for number, found in extra.items()}
    assert all(len(found) == 4 for found in extra.values())
    assert max(heights[0]) < min(heights[1])
