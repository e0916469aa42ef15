"""What a retrained model depends on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autoweak.loop.context import Context
from autoweak.loop.gold import read_gold
from autoweak.loop.retrain import retrain
from autoweak.tasks import Task
from autoweak.workspace import ModelKind, Workspace


def _key(studies: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> str:
    """The fingerprint under which a retrained model of these studies is looked for."""
    keys = []

    def find(self: Workspace, kind: ModelKind, key: str) -> object:
        keys.append(key)
        return SimpleNamespace(kind=kind, version=1)

    monkeypatch.setattr(Workspace, "find", find)
    context = Context.open(studies, task)
    labeller: Any = SimpleNamespace(settings=dict)
    retrain(context, read_gold(context), labeller)
    return keys[0]


def test_another_image_under_a_name_or_another_patient_makes_another_model(
    studies: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [_key(studies, task, monkeypatch), _key(studies, task, monkeypatch)]
    (studies / "patients.csv").write_text("image_id,patient\ndisc0,anna\ndisc7,anna\ndisc1,bert\n")
    keys.append(_key(studies, task, monkeypatch))
    (studies / "disc8.png").write_bytes((studies / "disc9.png").read_bytes())
    keys.append(_key(studies, task, monkeypatch))
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
