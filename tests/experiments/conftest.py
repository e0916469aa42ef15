"""Studies and an evaluation set of discs, and a promptable model that draws what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autoweak.loop.context import Context
from autoweak.tasks import Coarse, Task
from tests.loop.conftest import EllipseModel, draw_disc
from tests.short_trainings import shorten


class ObedientModel(EllipseModel):
    """Answers a box with the ellipse in it and a point with a disc around it; remembers what it was asked."""

    name = "obedient"

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def decode(self, embedding: Any, *, boxes: Any = None, points: Any = None, masks: Any = None) -> Any:
        self.calls.append({"boxes": boxes, "points": points, "masks": masks})
        return super().decode(embedding, boxes=boxes, points=points, masks=masks)

    def decode_unprompted(self, embedding: Any) -> Any:
        """By itself it sees the whole image."""
        height, width = embedding
        return self.decode(embedding, boxes=[(0, 0, width - 1, height - 1)])


class SizeCache:
    """The "embedding" is the size of the slice; counts what is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def get(self, model: Any, image: np.ndarray, /) -> Any:
        self.asked += 1
        return image.shape[:2]


def write_discs(images: Path, labels: Path, indices: range, *, labelled: range | None = None) -> None:
    """Write discs and the masks of those that are labelled."""
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    for index in indices:
        image, mask = draw_disc(index)
        Image.fromarray(image).save(images / f"disc{index}.png")
        if labelled is None or index in labelled:
            Image.fromarray(mask * 255).save(labels / f"disc{index}.png")


def toy_task(**changes: Any) -> Task:
    """Bright discs, learned for one epoch."""
    fields = {
        "name": "toy",
        "description": "bright discs",
        "modality": "none",
        "dimension": 2,
        "channels": 1,
        "labels": {"disc": 1},
        "coarse": Coarse(size=32, epochs=1, folds=2, batch_size=2, learning_rate=0.01),
    }
    return Task(**{**fields, **changes})


@pytest.fixture(autouse=True)
def short_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


@pytest.fixture
def task() -> Task:
    return toy_task()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six gold and four unlabelled discs with their truth aside, and three discs to evaluate on."""
    write_discs(tmp_path / "studies", tmp_path / "studies" / "labels" / "final", range(10), labelled=range(6))
    write_discs(tmp_path / "aside", tmp_path / "truth", range(6, 10))
    write_discs(tmp_path / "images", tmp_path / "labels", range(20, 23))
    return tmp_path


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch) -> tuple[ObedientModel, SizeCache]:
    """Put the obedient model in the place of the promptable model."""
    pair = (ObedientModel(), SizeCache())
    monkeypatch.setattr(Context, "load_promptable", lambda self: pair)
    return pair
