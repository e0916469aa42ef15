"""What can be said about drawn images without another network's opinion: spread, likeness, copies."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from monai.metrics import MMDMetric, SSIMMetric
from numpy.typing import NDArray
from torch import Tensor

from autoweak.synthesis.copies import distances

# Of more images than this the figures hardly change, and the kernels grow with the square.
_MOST = 500
_WINDOW = 7  # of SSIM, pixels: the usual 11 is a sixth of a small image


def measure(samples: Sequence[NDArray[np.uint8]], training: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    """Figures on drawn images.

    None of them says whether an image could be a patient's; look at the images.

    Args:
        samples: pictures (H, W, C) uint8, two or more.
        training: those the generator learned from, in the same shape.

    Returns:
        `copies`: near copies of training images, see `Distances`;
        `mmd`: maximum mean discrepancy (Gretton 2012) of the pixels, 0 where the sets are alike, and `mmd_of_halves`
        of the training images' two halves, for scale;
        `likeness_of_pairs`: mean SSIM (Wang 2004) of neighbouring pairs, drawn and trained on: much higher among the
        drawn ones means that they are too alike;
        `grey`: mean and standard deviation of the pixels.
    """
    drawn, known = _tensor(samples), _tensor(training)
    return {
        "copies": distances(samples, training).to_dict(),
        "mmd": _mmd(drawn, known),
        "mmd_of_halves": _mmd(known[::2], known[1::2]),
        "likeness_of_pairs": {"drawn": _likeness(drawn), "trained_on": _likeness(known)},
        "grey": {
            name: {"mean": float(values.mean() * 255), "deviation": float(values.std() * 255)}
            for name, values in (("drawn", drawn), ("trained_on", known))
        },
    }


def _tensor(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """(N, C, H, W) float32, 0 to 1, of at most 500 pictures spread over all."""
    chosen = [
        pictures[place] for place in np.unique(np.linspace(0, len(pictures) - 1, min(len(pictures), _MOST)).astype(int))
    ]
    return torch.from_numpy(np.moveaxis(np.stack(chosen), 3, 1).copy()).float() / 255


def _mmd(left: Tensor, right: Tensor) -> float:
    """MONAI compares sets of one size: the larger is thinned out."""
    count = min(len(left), len(right))
    thinned = [values[np.linspace(0, len(values) - 1, count).astype(int)] for values in (left, right)]
    return float(MMDMetric()(*thinned))


def _likeness(values: Tensor) -> float:
    metric = SSIMMetric(spatial_dims=2, data_range=1.0, win_size=min(_WINDOW, *values.shape[-2:]))
    pairs = list(pairwise(range(len(values))))
    first, second = (torch.stack([values[pair[place]] for pair in pairs]) for place in (0, 1))
    return float(metric(first, second).mean())
