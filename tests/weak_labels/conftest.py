"""A promptable model with the interface of the real one that needs no weights, and records to save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from autoweak.prompts import get_policy
from autoweak.weak_labels import (
    CoarseRecord,
    ImageRecord,
    Inputs,
    LabelScores,
    PromptableRecord,
    QualityModel,
    Scores,
    Status,
    TaskRecord,
    Verdict,
    WeakLabel,
)


@dataclass(frozen=True)
class Result:
    """What decoding gives."""

    logits: npt.NDArray[np.float32]
    masks: npt.NDArray[np.bool_]
    predicted_iou: npt.NDArray[np.float32]
    low_res_logits: npt.NDArray[np.float32]


@dataclass
class EllipseModel:
    """Fills the ellipse in a box, or a disc around a positive point; remembers how it was called."""

    radius: float = 6.0
    sharpness: float = 10.0
    offset: float = 0.0
    predicted_iou: float = 0.9
    calls: list[dict[str, Any]] = field(default_factory=list)

    def decode(self, embedding: tuple[int, int], *, boxes: Any = None, points: Any = None, masks: Any = None) -> Result:
        """Logits fall from the centre outwards and are 0 on the edge of the ellipse."""
        self.calls.append({"boxes": boxes, "points": points, "masks": masks})
        shapes = [self._of_box(box) for box in boxes] if boxes is not None else [self._of_points(one) for one in points]
        rows, columns = np.mgrid[: embedding[0], : embedding[1]]
        logits = np.stack(
            [
                self.sharpness * (1 - np.hypot((columns - x) / across, (rows - y) / down)) + self.offset
                for x, y, across, down in shapes
            ]
        ).astype(np.float32)
        predicted = np.full(len(shapes), self.predicted_iou, dtype=np.float32)
        return Result(logits, logits > 0, predicted, logits[:, ::4, ::4])

    def _of_box(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        x0, y0, x1, y1 = (float(value) for value in box)
        return (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0 + 1) / 2, (y1 - y0 + 1) / 2

    def _of_points(self, points: Sequence[tuple[float, float, bool]]) -> tuple[float, float, float, float]:
        x, y = next((x, y) for x, y, is_positive in points if is_positive)
        return x, y, self.radius, self.radius


@dataclass
class CountingCache:
    """Encodes without keeping, and counts what was encoded."""

    encoded: list[npt.NDArray[np.uint8]] = field(default_factory=list)

    def get(self, model: Any, image: npt.NDArray[np.uint8], /) -> tuple[int, int]:
        """The size of the slice is all that the ellipse model needs."""
        self.encoded.append(image)
        return image.shape[0], image.shape[1]


@pytest.fixture
def model() -> EllipseModel:
    """The ellipse model."""
    return EllipseModel()


@pytest.fixture
def cache() -> CountingCache:
    """The counting cache."""
    return CountingCache()


@pytest.fixture
def inputs() -> Inputs:
    """Made-up inputs of a weak label."""
    return Inputs(
        image=ImageRecord(id="case_1", sha256="1" * 64, size=(1, 8, 8, 1)),
        task=TaskRecord(name="breast_ultrasound", sha256="2" * 64),
        coarse=CoarseRecord(version="3", sha256="3" * 64),
        promptable=PromptableRecord(name="small", sha256="4" * 64, contract="small-1"),
        policy=get_policy("box_points", components=2),
        seed=7,
        quality_model=QualityModel(),
    )


@pytest.fixture
def labelled() -> WeakLabel:
    """A weak label with one class."""
    mask = np.zeros((1, 8, 8), dtype=np.uint8)
    mask[0, 2:5, 2:5] = 1
    scores = LabelScores(label=1, area=9, scores=Scores(0.9, 0.8, 0.7, 0.6), quality=0.8)
    return WeakLabel(mask, (), (scores,), 0.8, False, Verdict.REVIEW, Status.LABELLED)


@pytest.fixture
def nothing() -> WeakLabel:
    """A weak label of an image in which nothing was found."""
    empty = np.zeros((1, 8, 8), dtype=np.uint8)
    return WeakLabel(empty, (), (), None, False, None, Status.NOTHING_FOUND, "nothing found: it is dark")


@pytest.fixture
def write_mask() -> Callable[[Any], None]:
    """Writes a small file in place of a mask."""
    return lambda path: path.write_bytes(b"mask")
