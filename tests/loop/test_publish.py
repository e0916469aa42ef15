"""The retrained model becomes final only if it is better on held-out gold."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoweak.atomic import write_json
from autoweak.loop.context import Context
from autoweak.loop.retrain import publish
from autoweak.tasks import Task
from autoweak.workspace import ModelChoice, ModelKind, ModelVersion


def _version(context: Context, kind: ModelKind, dice: float) -> ModelVersion:
    version = context.workspace.new_version(kind)
    write_json(version.folder / "model.json", {})
    context.workspace.write_record(version, {"mean_cv_dice": dice})
    return version


@pytest.mark.parametrize(
    ("retrained", "kind"),
    [(0.71, ModelKind.RETRAINED), (0.70, ModelKind.COARSE), (0.69, ModelKind.COARSE), (None, ModelKind.COARSE)],
)
def test_the_better_model_is_published(studies: Path, task: Task, retrained: float | None, kind: ModelKind) -> None:
    context = Context.open(studies, task)
    context.remember_task()
    coarse = _version(context, ModelKind.COARSE, 0.70)
    others = () if retrained is None else (_version(context, ModelKind.RETRAINED, retrained),)
    decision = publish(context, coarse, others)
    assert decision.final.kind is kind
    assert context.workspace.choose(ModelChoice.FINAL) == decision.final
