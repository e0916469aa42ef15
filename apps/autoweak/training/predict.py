"""Probability maps of one or several networks, at the image's own size and in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from autoweak.dice import dice
from autoweak.networks.ensemble import Ensemble
from autoweak.training.resize import to_input

_SLICES = 16  # at a time, as the ensemble does, so that memory stays bounded here too


@torch.no_grad()
def symmetry_of(
    probabilities: NDArray[np.float32], networks: Sequence[nn.Module], view: NDArray[np.uint8], *, size: int
) -> tuple[float, ...]:
    """How far a map stays the same without the mirror images that it is a mean over: a sign of how sure it is.

    Args:
        probabilities: (S, K, H, W), of `networks` for `view` with mirror images.
        networks, view, size: as of `predict_probabilities`.

    Returns:
        for each of the K labels the Dice of both at 0.5; 1 where both are empty.
    """
    plain = predict_probabilities(networks, view, size=size)
    return tuple(dice(plain[:, k] > 0.5, probabilities[:, k] > 0.5) for k in range(plain.shape[1]))


@torch.no_grad()
def predict_probabilities(
    networks: Sequence[nn.Module], view: NDArray[np.uint8], *, size: int, mirror: Sequence[str] = ()
) -> NDArray[np.float32]:
    """Mean over networks, and over the image and its mirror images, of the sigmoid maps; see `Ensemble`.

    A slice of one value throughout shows nothing, and its map is 0.

    Args:
        networks: image (N, C, size, size) in, logits (N, K, size, size) out; in evaluation mode.
        view: (S, H, W, C) uint8.
        size: side of the square network input, pixels.
        mirror: flips that keep the labels true, of "horizontal" (columns) and "vertical" (rows).

    Returns:
        (S, K, H, W) float32, 0 to 1.
    """
    ensemble = Ensemble.of(networks, size=size, mirror=mirror).eval()
    starts = range(0, len(view), _SLICES)
    maps = [torch.sigmoid(ensemble(to_input(view[start : start + _SLICES]))).numpy() for start in starts]
    return np.concatenate(maps)
