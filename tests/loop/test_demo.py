"""The demo on fewer and smaller phantoms: every kind goes through the loop and is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoweak.errors import StudiesError
from autoweak.loop import demo as module
from autoweak.progress import NoProgress
from autoweak.weak_labels import read_sidecar


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("GOLD", 4), ("UNLABELLED", 2), ("VALIDATION", 2)):
        monkeypatch.setattr(module, name, count)
    monkeypatch.setattr(module, "_SHORT_TRAINING", {"size": 32, "epochs": 1, "folds": 2, "batch_size": 2})


@pytest.mark.usefixtures("small")
@pytest.mark.slow  # the small promptable model encodes every phantom of three kinds
def test_demo_labels_and_measures_every_kind(tmp_path: Path) -> None:
    parts = module.demo(tmp_path / "demo", seed=0, progress=NoProgress())
    assert [part.kind for part in parts] == ["ultrasound", "dermoscopy", "xray"]
    for part in parts:
        assert part.run_report.is_file()
        assert part.evaluation_report.is_file()
        assert part.evaluation.summary("gold only").count == 2
        sidecars = list((part.folder / "studies" / "labels" / "original").glob("*.json"))
        assert len(sidecars) == 2
        assert {read_sidecar(path).inputs.promptable.name for path in sidecars} == {"small"}
    again = module.demo(tmp_path / "demo", seed=0, progress=NoProgress())
    assert [part.summary["models"] for part in again] == [part.summary["models"] for part in parts]


def test_demo_keeps_out_of_folders_that_are_no_demo(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(StudiesError, match="--out"):
        module.demo(tmp_path, seed=0, progress=NoProgress())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
