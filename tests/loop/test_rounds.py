"""Rounds go on while held-out gold says that they help, and the best model labels and becomes final."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autoweak.atomic import write_json
from autoweak.loop import rounds
from autoweak.loop.context import Context
from autoweak.loop.retrain import labelling_version
from autoweak.loop.rounds import improve
from autoweak.tasks import Task
from autoweak.workspace import ModelKind, ModelVersion


@dataclass(frozen=True)
class FakeLabeller:
    version: ModelVersion

    @classmethod
    def load(cls, context: Context, version: ModelVersion) -> FakeLabeller:
        return cls(version)


def _version(context: Context, kind: ModelKind, dice: float, **record: Any) -> ModelVersion:
    version = context.workspace.new_version(kind)
    write_json(version.folder / "model.json", {})
    context.workspace.write_record(version, {"mean_cv_dice": dice, **record})
    return version


@pytest.fixture
def context(studies: Path, task: Task) -> Context:
    context = Context.open(studies, task)
    context.remember_task()
    return context


@pytest.mark.parametrize(
    ("scores", "made", "labels_with_round"),
    [
        ((0.6, 0.55), 2, 1),  # the second round is worse
        ((0.6, 0.7), 2, 2),
        ((0.5,), 1, 0),  # no better than gold alone
        ((0.4,), 1, 0),
        ((None,), 0, 0),  # no weak label is good enough
        ((0.6, None), 1, 1),
    ],
)
def test_rounds_end_when_they_no_longer_help(
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    scores: tuple[float | None, ...],
    made: int,
    labels_with_round: int,
) -> None:
    coarse = _version(context, ModelKind.COARSE, 0.5)
    waiting: Iterator[float | None] = iter(scores)

    def retrain(context: Context, gold: object, labeller: FakeLabeller) -> ModelVersion | None:
        score = next(waiting)
        return None if score is None else _version(context, ModelKind.RETRAINED, score, root=coarse.name)

    monkeypatch.setattr(rounds, "retrain", retrain)
    monkeypatch.setattr(rounds, "Labeller", FakeLabeller)
    monkeypatch.setattr(rounds, "calibrated", lambda labeller, gold: (labeller, f"of {labeller.version.name}"))

    improved = improve(context, (), FakeLabeller(coarse), "of the coarse model", most=2)  # type: ignore[arg-type]

    assert len(improved.retrained) == made
    expected = coarse if labels_with_round == 0 else improved.retrained[labels_with_round - 1]
    assert improved.labeller.version == expected
    assert improved.decision.final == expected
    assert labelling_version(context.workspace, coarse) == expected
    if labels_with_round:
        assert improved.calibration == f"of {expected.name}"


def test_a_newer_coarse_model_labels_until_it_has_been_retrained_itself(context: Context) -> None:
    older = _version(context, ModelKind.COARSE, 0.5)
    retrained = _version(context, ModelKind.RETRAINED, 0.6, root=older.name)
    context.workspace.publish(retrained, reason="")
    newer = _version(context, ModelKind.COARSE, 0.55)

    assert labelling_version(context.workspace, older) == retrained
    assert labelling_version(context.workspace, newer) == newer
