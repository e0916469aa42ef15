"""Checkpoints of the real architectures that take little room: every weight is one number, stored once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

from autoweak.promptable.model import build_network


@cache
def shapes_of(architecture: str) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in build_network(architecture).state_dict().items()}


def state_of(architecture: str, *, fill: float = 0.0, prefix: str = "") -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": torch.full((1,), fill).expand(shape) for name, shape in shapes_of(architecture).items()}


def write_weights(path: Path, architecture: str = "vit_b", *, fill: float = 0.0) -> Path:
    torch.save(state_of(architecture, fill=fill), path)
    return path
