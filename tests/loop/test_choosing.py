"""The policy is chosen once for each coarse model, kept, and used by all that label."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autoweak.loop.choosing import CHOICES, kept_choice
from autoweak.loop.context import Context
from autoweak.loop.label import Labeller, label
from autoweak.loop.run import run, summarise
from autoweak.prompts import get_policy
from autoweak.tasks import Task


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The six gold images of the studies."""
    monkeypatch.setattr("autoweak.weak_labels.choose.FEWEST_GOLD", 6)


@pytest.mark.usefixtures("ellipses")
def test_a_run_writes_down_what_it_chose_and_labels_with_it(studies: Path, task: Task) -> None:
    context = Context.open(studies, task)
    assert context.chooses

    result = run(context)

    kept = [json.loads(path.read_text()) for path in (context.workspace.root / CHOICES).iterdir()]
    # One for each model that has labelled: the coarse one, and each better one after it.
    assert len(kept) == [result.coarse, *result.improved.retrained].index(result.labeller.version) + 1
    reason = summarise(result)["policy_reason"]
    assert any(one["policy"] == result.labeller.policy.to_dict() and one["reason"] == reason for one in kept)
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
    assert not (context.workspace.root / CHOICES).exists()


@pytest.mark.usefixtures("ellipses")
def test_a_damaged_choice_is_made_again(studies: Path, task: Task) -> None:
    context = Context.open(studies, task)
    labeller = run(context).labeller
    paths = list((context.workspace.root / CHOICES).iterdir())
    before = {path: path.read_text() for path in paths}
    assert kept_choice(context, coarse=labeller.coarse, promptable=labeller.promptable) is not None

    for damage in ("{", '{"reason": 1}', "[]", '{"policy": {"name": ""}, "reason": "", "trials": []}'):
        for path in paths:
            path.write_text(damage)
        assert kept_choice(context, coarse=labeller.coarse, promptable=labeller.promptable) is None

    run(Context.open(studies, task))
    assert {path: path.read_text() for path in paths} == before


@pytest.mark.usefixtures("ellipses")
def test_nothing_is_chosen_twice(studies: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    run(Context.open(studies, task))

    def choose(*_: object, **__: object) -> None:
        pytest.fail("chosen again")

    monkeypatch.setattr("autoweak.loop.choosing.choose", choose)
    run(Context.open(studies, task))


@pytest.mark.usefixtures("ellipses")
def test_labels_made_since_the_images_were_listed_are_not_taken_for_a_persons(studies: Path, task: Task) -> None:
    context = Context.open(studies, task, policy_name="box")
    labeller = run(context).labeller
    listed = replace(context, notes=[])  # its studies were listed before there was any weak label

    again = label(replace(labeller, context=listed, policy=get_policy("points", components=task.components)))

    assert listed.notes == []
    assert {sidecar.inputs.policy.name for sidecar in again.sidecars} == {"points"}
