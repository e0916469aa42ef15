"""The state of one fold's training on disk, so that a killed training goes on where it was."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoweak import atomic


@dataclass(frozen=True)
class Checkpoint:
    """A training after `epoch` whole epochs; `fingerprint` names the data, recipe and seed it belongs to."""

    fingerprint: str
    epoch: int
    network: dict[str, Tensor]
    averaged: dict[str, Tensor]
    optimizer: dict[str, Any]
    history: list[dict[str, float]]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write atomically."""
    content = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    atomic.write_with(path, lambda partial: torch.save(content, partial))


def read_checkpoint(path: Path | None, *, fingerprint: str) -> Checkpoint | None:
    """The checkpoint at `path`, or None where there is none, it is damaged, or it belongs to another training."""
    if path is None or not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint = Checkpoint(**content)
    except (OSError, RuntimeError, EOFError, ValueError, TypeError, KeyError, pickle.UnpicklingError):
        return None  # it only saves time: training from the start gives the same weights
    return checkpoint if checkpoint.fingerprint == fingerprint else None
