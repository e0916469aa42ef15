"""Studies and an evaluation set of discs, and a promptable model that draws what it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autoweak.loop.context import Context
from autoweak.tasks import Coarse, Task

SIZE = 48


class ObedientModel:
    """Answers a box with the ellipse in it and a point with a disc around it; remembers what it was asked."""

    name = "obedient"
    sha256 = "e" * 64
    contract = SimpleNamespace(name="none")
    precision = SimpleNamespace(value="float32")

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def identity(self) -> list[str]:
        return [self.name, self.sha256, self.contract.name, self.precision.value]

    def decode(self, embedding: Any, *, boxes: Any = None, points: Any = None, masks: Any = None) -> Any:
        self.calls.append({"boxes": boxes, "points": points, "masks": masks})
        rows, columns = np.mgrid[: embedding[0], : embedding[1]]
        if boxes is not None:
            logits = [_ellipse(rows, columns, box) for box in boxes]
        else:
            logits = [_ellipse(rows, columns, (x - 8, y - 8, x + 8, y + 8)) for ((x, y, _), *_) in points]
        stack = np.stack(logits).astype(np.float32)
        iou = np.full(len(stack), 0.9, dtype=np.float32)
        return SimpleNamespace(logits=stack, masks=stack > 0, predicted_iou=iou, low_res_logits=stack)


class SizeCache:
    """The "embedding" is the size of the slice; counts what is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def get(self, model: Any, image: np.ndarray, /) -> Any:
        self.asked += 1
        return image.shape[:2]


def _ellipse(rows: np.ndarray, columns: np.ndarray, box: Any) -> np.ndarray:
    x0, y0, x1, y1 = box
    across = (columns - (x0 + x1) / 2) / max((x1 - x0 + 1) / 2, 0.5)
    down = (rows - (y0 + y1) / 2) / max((y1 - y0 + 1) / 2, 0.5)
    return 4.0 * (1 - across**2 - down**2)


def draw_disc(index: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright disc on noise, (48, 48) uint8, and its mask 0/1."""
    rng = np.random.default_rng(index)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    centre, radius = rng.uniform(16, 32, size=2), rng.uniform(7, 12)
    mask = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
    return np.clip(60 + 130 * mask + rng.normal(0, 12, mask.shape), 0, 255).astype(np.uint8), mask.astype(np.uint8)


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
    """Ten steps an epoch, enough to find a disc: what is learned from matters here, not how well."""
    from autoweak.experiments.arms import mean_teacher
    from autoweak.training import cross_validation, fold, recipe

    short = replace(recipe.RECIPE, steps_per_epoch=10)
    for function in (cross_validation.cross_validate, fold.train_fold):
        monkeypatch.setitem(function.__kwdefaults__, "recipe", short)
    for module in (recipe, mean_teacher):
        monkeypatch.setattr(module, "RECIPE", short)


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
