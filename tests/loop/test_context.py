"""Which promptable model a run loads."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from autoweak import promptable
from autoweak.loop.context import Context
from autoweak.tasks import load_task


@pytest.mark.parametrize(
    ("name", "checkpoint", "asked"),
    [
        (None, None, "medsam"),
        ("sam-vit-b", None, "sam-vit-b"),
        ("sam-vit-b", Path("w.pth"), "sam-vit-b"),
        # A checkpoint alone is recognised: the task's model may be another one.
        (None, Path("w.pth"), None),
    ],
)
def test_the_model_is_the_users_else_the_checkpoints_else_the_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, checkpoint: Path | None, asked: str | None
) -> None:
    Image.new("L", (32, 24)).save(tmp_path / "image.png")
    loaded = []
    monkeypatch.setattr(
        promptable, "load_promptable", lambda *given, **named: loaded.append((given, named)), raising=False
    )
    task = load_task("breast_ultrasound").model_copy(update={"promptable": "medsam"})
    options = {"device": "cuda", "precision": "bfloat16"}
    Context.open(tmp_path, task, promptable=name, checkpoint=checkpoint, **options).load_promptable()
    assert loaded == [((asked,), {"checkpoint": checkpoint, **options})]
