"""The policy is chosen once for each coarse model, kept, and used by all that label."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoweak.loop.choosing import CHOICE_FILE, kept_choice
from autoweak.loop.context import Context
from autoweak.loop.label import Labeller
from autoweak.loop.run import run, summarise
from autoweak.prompts import get_policy
from autoweak.tasks import Task


@pytest.mark.usefixtures("ellipses")
def test_a_run_writes_down_what_it_chose_and_labels_with_it(studies: Path, task: Task) -> None:
    context = Context.open(studies, task)
    assert context.chooses

    result = run(context)

    content = json.loads((context.workspace.root / CHOICE_FILE).read_text())
    assert content["policy"] == result.labeller.policy.to_dict()
    assert summarise(result)["policy_reason"] == content["reason"]
    assert all(sidecar.inputs.policy == result.labeller.policy for sidecar in result.labelled.sidecars)
    again = Labeller.load(context, result.labeller.version)
    assert again.policy == result.labeller.policy


@pytest.mark.usefixtures("ellipses")
def test_a_policy_that_is_asked_for_is_taken_as_it_is(studies: Path, task: Task) -> None:
    context = Context.open(studies, task, policy_name="box")

    result = run(context)

    assert not context.chooses
    assert result.labeller.policy == get_policy("box", components=task.components)
    assert summarise(result)["policy_reason"] is None
    assert not (context.workspace.root / CHOICE_FILE).exists()


@pytest.mark.usefixtures("ellipses")
@pytest.mark.parametrize("damage", ["{", '{"made_with": 1}', "[]"])
def test_a_damaged_choice_is_made_again(studies: Path, task: Task, damage: str) -> None:
    context = Context.open(studies, task)
    labeller = run(context).labeller
    path = context.workspace.root / CHOICE_FILE
    content = json.loads(path.read_text())
    assert kept_choice(context, coarse=labeller.coarse, promptable=labeller.promptable) is not None

    path.write_text(damage)
    assert kept_choice(context, coarse=labeller.coarse, promptable=labeller.promptable) is None
    path.write_text(json.dumps({**content, "policy": {"name": ""}}))
    assert kept_choice(context, coarse=labeller.coarse, promptable=labeller.promptable) is None

    run(Context.open(studies, task))
    assert json.loads(path.read_text()) == content
