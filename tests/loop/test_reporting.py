"""What the report of a run draws."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from autoweak.loop.context import Context
from autoweak.loop.reporting import _kept_map
from autoweak.tasks import Task
from autoweak.workspace import ModelKind


def test_the_coarse_map_is_that_of_the_model_that_labelled(studies: Path, task: Task) -> None:
    context = Context.open(studies, task)
    context.remember_task()
    coarse, retrained = (context.workspace.new_version(kind) for kind in (ModelKind.COARSE, ModelKind.RETRAINED))
    for version, value in ((retrained, 204), (coarse, 51)):
        path = context.workspace.coarse_map(version, "disc1")
        path.parent.mkdir(parents=True)
        np.savez(path, probability=np.full((1, 1, 2, 2), value, np.uint8))
    result = SimpleNamespace(context=context, coarse=coarse, labeller=SimpleNamespace(version=retrained))

    kept = _kept_map(result, "disc1", np.zeros((1, 2, 2, 1), np.uint8))  # type: ignore[arg-type]

    assert kept.max() == np.float32(204 / 255)
