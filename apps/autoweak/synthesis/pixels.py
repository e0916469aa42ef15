"""The one way an 8-bit view becomes the diffusion network's input, and its output a picture."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autoweak.errors import ImageError

# The network halves its input three times; see `network_def` of the bundle.
MULTIPLE = 8
_LARGEST = 1024


def to_tensor(view: NDArray[np.uint8], shape: tuple[int, int]) -> Tensor:
    """Resize a picture to the network's shape, averaging where it shrinks.

    Args:
        view: (H, W, C) uint8.
        shape: (rows, columns) of the network; the aspect ratio is not kept.

    Returns:
        (C, rows, columns) float32, -1 to 1.
    """
    pixels = torch.from_numpy(np.array(np.moveaxis(view, 2, 0), order="C")).float().div_(127.5).sub_(1)
    if tuple(pixels.shape[-2:]) == tuple(shape):
        return pixels
    resized = functional.interpolate(
        pixels[None], size=tuple(shape), mode="bilinear", antialias=True, align_corners=False
    )
    return resized[0].clamp_(-1, 1)


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Pictures (N, H, W, C) uint8 of network output (N, C, H, W); what lies beyond -1 to 1 is clipped."""
    values = images.detach().cpu().float().add(1).mul(127.5).round().clamp(0, 255)
    return np.ascontiguousarray(np.moveaxis(values.numpy(), 1, 3).astype(np.uint8))


def network_shape(heights: list[int], widths: list[int], *, size: int) -> tuple[int, int]:
    """Rows and columns nearest to the images' median aspect ratio, the longer side about `size`, in steps of 8.

    Raises:
        ImageError: the size cannot be used.
    """
    check_shape((size, size))
    aspect = float(np.median(np.array(heights, dtype=float) / np.array(widths, dtype=float)))
    rows, columns = (size, size / aspect) if aspect >= 1 else (size * aspect, size)
    return _in_steps(rows), _in_steps(columns)


def check_shape(shape: tuple[int, ...] | list[int]) -> tuple[int, int]:
    """Return `shape` as (rows, columns) if the network can take it.

    Raises:
        ImageError: it is not two multiples of 8 from 8 to 1024.
    """
    sides = tuple(shape)
    if len(sides) != 2 or any(
        not isinstance(side, int) or side % MULTIPLE or not MULTIPLE <= side <= _LARGEST for side in sides
    ):
        msg = (
            f"The images of a generator need rows and columns that are multiples of {MULTIPLE} from {MULTIPLE} to "
            f"{_LARGEST}, got {list(sides)}; 64 is a good size on a CPU."
        )
        raise ImageError(msg)
    return sides[0], sides[1]


def _in_steps(side: float) -> int:
    return max(MULTIPLE, round(side / MULTIPLE) * MULTIPLE)
