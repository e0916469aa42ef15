"""The one way an 8-bit view becomes network input, and a network's map comes back to the image's own size."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def to_network_size(stack: NDArray[np.uint8], size: int) -> Tensor:
    """Resize a stack of slices to squares, averaging where it shrinks.

    Args:
        stack: (S, H, W, C) uint8.
        size: side of the square in pixels; the aspect ratio is not kept.

    Returns:
        (S, C, size, size) float32 tensor, 0 to 1.
    """
    pixels = torch.from_numpy(np.array(np.moveaxis(stack, 3, 1), order="C")).float().div_(255)
    if pixels.shape[-2:] == (size, size):
        return pixels
    return functional.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def to_image_size(maps: Tensor, height: int, width: int) -> Tensor:
    """Resize maps (S, K, h, w) bilinearly to (S, K, height, width); values stay within their range."""
    return functional.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)
