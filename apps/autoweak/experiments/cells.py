"""The cells of an experiment: arm × gold × weak × seed, and how the result of each is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autoweak.arrays import read_arrays
from autoweak.atomic import write_json, write_with
from autoweak.experiments.metrics import ImageScore, LabelScore

FORMAT = "autoweak-cell-1"
Masks = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        name: what tables call the arm.
        gold: how many gold labels; `weak`: how many unlabelled images, 0 for arms that need none.
        seed: of everything, and of the draw as well where there is no `subset`.
        subset: of the draw alone.
    """

    name: str
    gold: int
    weak: int
    seed: int
    subset: int | None = None

    def __str__(self) -> str:
        """As progress and problems say it."""
        drawn = "" if self.subset is None else f"subset {self.subset}, "
        return f"{self.name}, {self.gold} gold + {self.weak} weak, {drawn}seed {self.seed}"

    @property
    def draw_seed(self) -> int:
        """Which images are drawn."""
        return self.seed if self.subset is None else self.subset

    @property
    def repeat(self) -> str:
        """Which of the repetitions of an arm it is."""
        return str(self.seed) if self.subset is None else f"{self.subset}/{self.seed}"


@dataclass(frozen=True)
class CellResult:
    """What a cell gave.

    Attributes:
        cell: which.
        key: fingerprint of all that it depends on.
        scores: of each evaluation image, in order of image id.
        weak: counts and Dice of the weak labels; see `arms.bench.WeakCount`.
        seconds: how long it took, weak labels that were there already not counted.
    """

    cell: Cell
    key: str
    scores: tuple[ImageScore, ...]
    weak: Mapping[str, Any]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        scores = [score.to_dict() for score in self.scores]
        return {
            "format": FORMAT,
            "key": self.key,
            "cell": asdict(self.cell),
            "scores": scores,
            "weak": dict(self.weak),
            "seconds": self.seconds,
        }


def save_result(folder: Path, result: CellResult, masks: Masks) -> None:
    """Keep a result with the masks (S, H, W) uint8 of the evaluation images; the JSON is written last."""

    def write(partial: Path) -> None:
        with partial.open("wb") as stream:
            np.savez_compressed(stream, **masks)

    write_with(_path(folder, result.key, ".npz"), write)
    write_json(_path(folder, result.key, ".json"), result.to_dict())


def load_result(folder: Path, cell: Cell, key: str) -> CellResult | None:
    """The kept result of a cell, or None where there is none or it is damaged."""
    content = read_json(_path(folder, key, ".json"))
    if content is None or content.get("format") != FORMAT or content.get("key") != key:
        return None
    try:
        scores = tuple(_score(one) for one in content["scores"])
        # The cell by its present name: a title is no part of what a result depends on.
        return CellResult(cell, key, scores, dict(content["weak"]), float(content["seconds"]))
    except (KeyError, TypeError, ValueError):
        return None


def load_masks(folder: Path, key: str, image_ids: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """The kept masks (S, H, W) of some evaluation images; those that cannot be read are left out."""
    stored = read_arrays(_path(folder, key, ".npz"), only=image_ids)
    return {image_id: stored[image_id] for image_id in image_ids if image_id in stored}


def read_json(path: Path) -> dict[str, Any] | None:
    """The mapping in a JSON file, or None where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _score(content: Mapping[str, Any]) -> ImageScore:
    return ImageScore(str(content["image_id"]), tuple(LabelScore(**label) for label in content["labels"]))


def _path(folder: Path, key: str, suffix: str) -> Path:
    return folder / "cells" / f"{key[:32]}{suffix}"
