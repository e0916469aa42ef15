"""The one way an 8-bit view becomes network input."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoweak.networks.ensemble import to_square


def to_input(stack: NDArray[np.uint8]) -> Tensor:
    """A stack of slices (S, H, W, C) uint8 as a tensor (S, C, H, W) float32, 0 to 1."""
    return torch.from_numpy(np.array(np.moveaxis(stack, 3, 1), order="C")).float().div_(255)


def to_network_size(stack: NDArray[np.uint8], size: int) -> Tensor:
    """Resize a stack of slices to squares, averaging where it shrinks.

    Args:
        stack: (S, H, W, C) uint8.
        size: side of the square in pixels; the aspect ratio is not kept.

    Returns:
        (S, C, size, size) float32 tensor, 0 to 1.
    """
    return to_square(to_input(stack), size)
