"""The quality that is kept is that of the models and the policy whose weak labels it was fitted on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from autoweak import cli
from autoweak.loop.context import Context
from autoweak.loop.kept_quality import QUALITY, keep_quality, kept_quality
from autoweak.loop.label import Labeller
from autoweak.prompts import get_policy
from autoweak.tasks import Task
from autoweak.weak_labels import QualityModel
from autoweak.workspace import ModelKind, ModelVersion
from tests.loop.conftest import EllipseModel, SizeCache

FITTED = QualityModel(gold=5)


@pytest.fixture
def labeller(studies: Path, task: Task) -> Labeller:
    context = Context.open(studies, task)
    context.workspace.root.mkdir()
    version = ModelVersion(ModelKind.COARSE, 1, context.workspace.root)
    coarse: Any = SimpleNamespace(sha256="c" * 64)
    model: Any = EllipseModel()
    return Labeller(context, version, coarse, model, SizeCache(), get_policy("box"), FITTED)


def test_it_is_given_back_to_the_same_models_and_policy(labeller: Labeller) -> None:
    assert kept_quality(labeller) == QualityModel()
    keep_quality(labeller)
    assert kept_quality(replace(labeller, quality=QualityModel())) == FITTED


def test_other_models_and_policies_have_none(labeller: Labeller) -> None:
    keep_quality(labeller)
    other: Any = EllipseModel()
    other.sha256 = "f" * 64
    anew: Any = SimpleNamespace(sha256="d" * 64)
    for changed in (
        replace(labeller, promptable=other),
        replace(labeller, policy=get_policy("points")),
        replace(labeller, coarse=anew),
    ):
        assert kept_quality(changed) == QualityModel()


@pytest.mark.parametrize("content", ["[]", "{", "{}"])
def test_a_damaged_one_is_none(labeller: Labeller, content: str) -> None:
    keep_quality(labeller)
    (labeller.context.workspace.root / QUALITY).write_text(content)
    assert kept_quality(labeller) == QualityModel()


@pytest.mark.usefixtures("ellipses")
def test_what_train_fits_is_there_for_a_server(studies: Path, task: Task) -> None:
    from autoweak.loop.retrain import current_coarse, labelling_version

    file = studies.parent / "task.yaml"
    file.write_text(yaml.safe_dump(task.model_dump(mode="json", exclude_none=True)))
    assert cli.main(["train", str(studies), "--task", str(file), "--model", "retrained"]) == 0
    context = Context.open(studies, task)
    version = labelling_version(context.workspace, current_coarse(context))
    assert kept_quality(Labeller.load(context, version)).gold == 6
