"""What an arm is: one way from gold and unlabelled images to masks, with what it may see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    from autoweak.experiments.arms.bench import Bench

# Options of every arm that trains on weak labels made here, and of every arm that asks a promptable model.
ON_WEAK = frozenset({"drop_extreme", "drop_below", "drop_above", "length"})
ASKS = frozenset({"promptable"})

Array = npt.NDArray[Any]

# The view (S, H, W, C) of an image to its label mask (S, H, W) uint8.
Predict = Callable[[Array], Array]


class Role(str, Enum):
    """What an arm is there for."""

    METHOD = "method"
    """A way to be judged."""
    REFERENCE = "reference"
    """What methods are tested against, where the file names nothing else."""
    GROUND = "ground"
    """A simple way that a method must beat to be worth its cost."""
    BOUND = "bound"
    """What the truth itself would have given; no method."""


@dataclass(frozen=True)
class Arm:
    """One arm of the registry.

    Attributes:
        name: what experiment files call it.
        summary: what it does, in a sentence.
        paper: which rows of which paper it is, or "ground".
        make: trains or prepares it in a cell, and gives what predicts the masks of evaluation images.
        role: what it is there for.
        takes: options of `spec.ArmEntry` that it understands.
        uses_gold: gold labels are needed.
        uses_weak: its result depends on the number of unlabelled images.
        needs_truth: simulates a person, or is a bound: it reads the truth of the unlabelled images it is given.
        needs_coarse: it needs the coarse model where it needs gold; `trains`: it trains something of its own.
        one_label: of tasks with a single label only.
        from_boxes: learns from the tight boxes of gold labels alone; a ground that does stands beside methods that do.
    """

    name: str
    summary: str
    paper: str
    make: Callable[[Bench], Predict]
    role: Role = Role.METHOD
    takes: frozenset[str] = frozenset()
    uses_gold: bool = True
    uses_weak: bool = True
    needs_truth: bool = False
    needs_coarse: bool = True
    trains: bool = True
    one_label: bool = False
    from_boxes: bool = False
