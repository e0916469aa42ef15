"""Finding drawn images that are near copies of training images: a generator may repeat what it has seen.

Diffusion models do (Carlini 2023, "Extracting Training Data from Diffusion Models"). Here an image counts as a near
copy where it is far nearer to a training image than training images are to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

# Images are compared at this side: what is left at 16 pixels does not move with noise, blur or a shift of a pixel.
_SIDE = 16
# A copy lies nearer to its original than this share of the median distance between training images and their nearest.
NEAR = 0.5


@dataclass(frozen=True)
class Distances:
    """How near images lie to training images.

    Distances are the root mean square difference at 16 × 16 pixels, each image brought to mean 0 and deviation 1, the
    smaller of the image and its mirror image. 0 is a copy, about 1.4 are images that have nothing in common.

    Attributes:
        nearest: of each image its distance to the nearest training image, (N,) float32.
        which: (N,) int, the place of that training image.
        limit: below it an image counts as a near copy.
        usual: of each training image its distance to the nearest other one, (M,) float32.
    """

    nearest: NDArray[np.float32]
    which: NDArray[np.int64]
    limit: float
    usual: NDArray[np.float32]

    @property
    def copies(self) -> NDArray[np.bool_]:
        """Which images are near copies, (N,) bool."""
        return np.asarray(self.nearest < self.limit)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain data."""
        return {
            "images": len(self.nearest),
            "near_copies": int(self.copies.sum()),
            "limit": self.limit,
            "distance_to_nearest_training_image": _quantiles(self.nearest),
            "distance_between_training_images": _quantiles(self.usual),
        }


def distances(images: Sequence[NDArray[np.uint8]], training: Sequence[NDArray[np.uint8]]) -> Distances:
    """Measure how near `images` lie to `training` images.

    Args:
        images: pictures (H, W, C) uint8.
        training: those the generator learned from, at least two, with the same C.
    """
    known = _codes(training)
    others = _distances(known, known)
    # An image lies near its own mirror image where it is symmetrical, so the whole row of itself is left out.
    others.fill_diagonal_(torch.inf)
    usual = others.min(dim=1).values.numpy()
    nearest, which = _distances(_codes(images), known).min(dim=1)
    limit = NEAR * float(np.median(usual))
    return Distances(nearest.numpy(), which.numpy(), limit, usual)


def _codes(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Low-resolution pictures (N, C, 16, 16), each with mean 0 and deviation 1; all 0 where nothing varies."""
    small = torch.stack(
        [
            functional.adaptive_avg_pool2d(torch.from_numpy(np.moveaxis(image, 2, 0).copy()).float(), _SIDE)
            for image in images
        ]
    )
    flat = small.flatten(1)
    centred = flat - flat.mean(dim=1, keepdim=True)
    return (centred / centred.std(dim=1, keepdim=True, unbiased=False).clamp_min(1e-3)).view_as(small)


def _distances(images: Tensor, known: Tensor) -> Tensor:
    """Distances (N, M), the smaller of image and mirror image."""
    reference = known.flatten(1)
    scale = reference.shape[1] ** 0.5
    straight = torch.cdist(images.flatten(1), reference, compute_mode="donot_use_mm_for_euclid_dist")
    mirrored = torch.cdist(images.flip(-1).flatten(1), reference, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.minimum(straight, mirrored).div(scale)


def _quantiles(values: NDArray[np.float32]) -> dict[str, float]:
    names = {"minimum": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95}
    return {name: float(np.quantile(values, share)) for name, share in names.items()}
