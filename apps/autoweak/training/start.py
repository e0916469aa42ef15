"""Start weights: what the network learned on images drawn by the program, before it sees a task's first gold label."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from autoweak.errors import CheckpointError
from autoweak.resources import resource_path
from autoweak.training.network import BUNDLE

START_FILE = "start.safetensors"


def start_path() -> Path:
    """Where the bundle keeps its start weights, which `scripts/train_coarse_start.py` makes."""
    return resource_path("bundles") / BUNDLE / "models" / START_FILE


def load_start(network: nn.Module) -> tuple[str, ...]:
    """Put the start weights into a network of any number of channels and classes.

    The weights are of three colours and one class: kernels of the first layer are summed over the colours where the
    image is grey, and each class starts as the one class. Weights of another shape or name stay as they are.

    Returns:
        Names of the weights and statistics that were set.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    start = _read(start_path())
    taken = []
    with torch.no_grad():
        for name, value in network.state_dict().items():
            fitting = fitted(start[name], value.shape) if name in start else None
            if fitting is not None:
                value.copy_(fitting)
                taken.append(name)
    return tuple(taken)


def start_sha256() -> str:
    """Hash of the start weights file; it belongs to what a training depends on."""
    return hashlib.sha256(start_path().read_bytes()).hexdigest()


def fitted(value: Tensor, shape: torch.Size) -> Tensor | None:
    """Weights of one channel or one class as weights of several, of colours as of grey, or None where none fits."""
    if value.shape == shape:
        return value
    if value.ndim == len(shape) == 4 and (value.shape[0], *value.shape[2:]) == (shape[0], *shape[2:]):
        # A grey image shown as colour gives the same either way.
        if value.shape[1] == 1:
            return value.expand(shape) / shape[1]
        if shape[1] == 1:
            return value.sum(dim=1, keepdim=True)
    if value.ndim == len(shape) and value.shape[0] == 1 and value.shape[1:] == shape[1:]:
        return value.expand(shape)
    return None


@cache
def _read(path: Path) -> dict[str, Tensor]:
    try:
        return dict(safetensors.torch.load_file(path))
    except (OSError, SafetensorError) as error:
        msg = f"The start weights {path} cannot be read ({type(error).__name__}); install autoweak again."
        raise CheckpointError(msg) from error
