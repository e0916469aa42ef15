"""Labelling with the real small model: an image is encoded once, whatever is asked of it later."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoweak.loop.coarse import train_coarse
from autoweak.loop.context import Context
from autoweak.loop.gold import read_gold
from autoweak.loop.label import Labelled, Labeller, calibrated, label
from autoweak.promptable.model import Promptable
from autoweak.tasks import Task


def _labelled(context: Context) -> Labelled:
    gold = read_gold(context)
    labeller, _ = calibrated(Labeller.load(context, train_coarse(context, gold)), gold)
    return label(labeller)


def test_another_policy_encodes_nothing_again(studies: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    encode = Promptable.encode
    monkeypatch.setattr(Promptable, "encode", lambda self, image: encoded.append(1) or encode(self, image))
    first = _labelled(Context.open(studies, task, policy_name="box"))
    assert encoded, "the first run encodes"
    encoded.clear()
    second = _labelled(Context.open(studies, task, policy_name="points"))
    assert not encoded
    assert second.kept == 0, "all weak labels were made again"
    assert len(second.sidecars) == len(first.sidecars) == 4
