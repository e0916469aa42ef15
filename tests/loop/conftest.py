"""A tiny task, tiny studies and a promptable model of ellipses and discs: the loop in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autoweak.loop.context import Context
from autoweak.tasks import Coarse, Task
from tests.short_trainings import shorten

SIZE = 48


class EllipseModel:
    """Answers each box with the ellipse inscribed in it, and each point with a disc; counts what it encodes."""

    name = "ellipse"
    sha256 = "e" * 64
    contract = SimpleNamespace(name="none")
    precision = SimpleNamespace(value="float32")

    def identity(self) -> list[str]:
        return [self.name, self.sha256, self.contract.name, self.precision.value]

    def decode(self, embedding: Any, *, boxes: Any = None, points: Any = None, masks: Any = None) -> Any:
        height, width = embedding
        rows, columns = np.mgrid[:height, :width]
        if boxes is None:  # a disc around the positive point
            boxes = [(x - 8, y - 8, x + 8, y + 8) for prompt in points for x, y, is_positive in prompt if is_positive]
        logits = np.stack([_ellipse(rows, columns, box) for box in boxes]).astype(np.float32)
        iou = np.full(len(logits), 0.9, dtype=np.float32)
        return SimpleNamespace(logits=logits, masks=logits > 0, predicted_iou=iou, low_res_logits=logits)


@dataclass
class SizeCache:
    """The "embedding" is the size of the slice."""

    encoded: int = 0

    def get(self, model: Any, image: np.ndarray, /) -> Any:
        self.encoded += 1
        return image.shape[:2]


def _ellipse(rows: np.ndarray, columns: np.ndarray, box: np.ndarray) -> np.ndarray:
    x0, y0, x1, y1 = box
    across = (columns - (x0 + x1) / 2) / max((x1 - x0 + 1) / 2, 0.5)
    down = (rows - (y0 + y1) / 2) / max((y1 - y0 + 1) / 2, 0.5)
    return 4.0 * (1 - across**2 - down**2)


@pytest.fixture(autouse=True)
def short_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


@pytest.fixture
def task() -> Task:
    return Task(
        name="toy",
        description="bright discs",
        modality="none",
        dimension=2,
        channels=1,
        labels={"disc": 1},
        coarse=Coarse(size=32, epochs=1, folds=2, batch_size=2, learning_rate=0.01),
    )


def draw_disc(index: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright disc on noise, (48, 48) uint8, and its mask 0/1."""
    rng = np.random.default_rng(index)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    centre, radius = rng.uniform(16, 32, size=2), rng.uniform(7, 12)
    mask = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
    return np.clip(60 + 130 * mask + rng.normal(0, 12, mask.shape), 0, 255).astype(np.uint8), mask.astype(np.uint8)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """Six gold and four unlabelled discs."""
    folder = tmp_path / "studies"
    (folder / "labels" / "final").mkdir(parents=True)
    for index in range(10):
        image, mask = draw_disc(index)
        Image.fromarray(image).save(folder / f"disc{index}.png")
        if index < 6:
            Image.fromarray(mask * 255).save(folder / "labels" / "final" / f"disc{index}.png")
    return folder


@pytest.fixture
def ellipses(monkeypatch: pytest.MonkeyPatch) -> SizeCache:
    """Put the ellipse model in the place of the promptable model."""
    cache = SizeCache()
    monkeypatch.setattr(Context, "load_promptable", lambda self: (EllipseModel(), cache))
    return cache
