"""The retrained model becomes final only if it is better on held-out gold."""

from __future__ import annotations

from dataclasses import replace
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


@pytest.mark.parametrize(
    ("gains", "said"),
    [((0.02, 0.03, 0.02, 0.03), "error of the difference 0.003"), ((0.1, -0.1, 0.1, -0.05), "so it may be chance")],
)
def test_the_reason_says_how_sure_the_difference_is(
    studies: Path, task: Task, gains: tuple[float, ...], said: str
) -> None:
    context = Context.open(studies, task)
    context.remember_task()
    coarse, retrained = (_version(context, kind, 0.7) for kind in (ModelKind.COARSE, ModelKind.RETRAINED))
    before = {f"disc{number}": 0.7 for number in range(len(gains))}
    after = {image_id: dice + gain for (image_id, dice), gain in zip(before.items(), gains, strict=True)}
    for version, cv_dice in ((coarse, before), (retrained, after)):
        mean = sum(cv_dice.values()) / len(cv_dice)
        context.workspace.write_record(version, {"mean_cv_dice": mean, "cv_dice": cv_dice})
    reason = publish(context, coarse, (retrained,)).reason
    assert said in reason
    assert ("chance" in reason) == ("chance" in said)


def test_without_unlabelled_images_the_reason_says_so(studies: Path, task: Task) -> None:
    context = Context.open(studies, task)
    context.remember_task()
    coarse = _version(context, ModelKind.COARSE, 0.70)
    assert publish(context, coarse, ()).reason == "no weak label was good enough to train on"
    gold = replace(context.studies, studies=context.studies.gold)
    assert publish(replace(context, studies=gold), coarse, ()).reason == "no image is without a label"
