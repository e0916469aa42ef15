"""Phantom studies with a short task."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from autoweak.phantoms.demo import PhantomKind, write_phantom_studies
from autoweak.tasks import load_task


@pytest.fixture(scope="session")
def short_task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """breast_ultrasound with a training of seconds."""
    content = load_task("breast_ultrasound").model_dump(mode="json", exclude_none=True)
    content["coarse"].update(size=32, epochs=1, folds=2, batch_size=4)
    content["policy_options"] = {"thresholds": [0.3], "peak": 0.0, "minimum_area": 0.0}
    path = tmp_path_factory.mktemp("task") / "short.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def phantoms(tmp_path: Path) -> Path:
    """Six gold, five unlabelled and four validation phantoms of 96 × 96 pixels; the studies are in `studies`."""
    kind = PhantomKind.ULTRASOUND
    write_phantom_studies(tmp_path, kind, gold=6, unlabelled=5, validation=4, seed=1, size=(96, 96))
    return tmp_path
