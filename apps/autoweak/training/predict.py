"""Probability maps of one or several networks, at the image's own size and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autoweak.training.resize import to_image_size, to_network_size

_SLICES = 16  # at a time: at 512 × 512 and 8 classes a chunk stays below 200 MB
_AXES = {"vertical": -2, "horizontal": -1}


@torch.no_grad()
def predict_probabilities(
    networks: Sequence[nn.Module], view: NDArray[np.uint8], *, size: int, mirror: Sequence[str] = ()
) -> NDArray[np.float32]:
    """Mean over networks, and over the image and its mirror images, of the sigmoid maps.

    A slice of one value throughout shows nothing, and its map is 0.

    Args:
        networks: image (N, C, size, size) in, logits (N, K, size, size) out; in evaluation mode.
        view: (S, H, W, C) uint8.
        size: side of the square network input, pixels.
        mirror: flips that keep the labels true, of "horizontal" (columns) and "vertical" (rows).

    Returns:
        (S, K, H, W) float32, 0 to 1.
    """
    height, width = view.shape[1:3]
    chunks: list[NDArray[np.float32]] = []
    for start in range(0, len(view), _SLICES):
        image = to_network_size(view[start : start + _SLICES], size)
        mean = _mean([flipped_back for network in networks for flipped_back in _variants(network, image, mirror)])
        chunks.append(to_image_size(mean, height, width).clamp_(0, 1).numpy())
    maps = np.concatenate(chunks)
    maps[view.min(axis=(1, 2, 3)) == view.max(axis=(1, 2, 3))] = 0.0
    return maps


def _variants(network: nn.Module, image: Tensor, mirror: Sequence[str]) -> Iterator[Tensor]:
    yield torch.sigmoid(network(image))
    for way in mirror:
        axis = _AXES[way]
        yield torch.sigmoid(network(image.flip(axis))).flip(axis)


def _mean(maps: Sequence[Tensor]) -> Tensor:
    total = maps[0].clone()
    for entry in maps[1:]:
        total += entry
    return total.div_(len(maps))
