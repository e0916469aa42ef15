"""Objects taken out of an image and put into another, so that few outlines meet many backgrounds."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_TRIES = 12
_SEAM = 14  # the blended seam is 1/14 of the image's side wide


def erase_objects(image: Tensor, target: Tensor, *, random: np.random.RandomState) -> tuple[Tensor, Tensor]:
    """Paint over all objects with tissue from elsewhere in the same slice.

    Where no part of the slice is free of objects at the place needed, it is returned as it was.

    Args:
        image: (C, H, W) float32.
        target: (K, H, W) float32, 0 to 1.
        random: chooses the tissue.

    Returns:
        Image and target of the same shapes; the target is empty where erasing was possible.
    """
    if not bool(target.any()):
        return image, target
    seam = _soft_cover(target)
    cover = (seam > 0).float()
    side = int(target.shape[-1])
    for _ in range(_TRIES):
        shift = (int(random.randint(-side // 16, side // 16 + 1)), int(random.randint(-side, side)))
        mirrored = bool(random.uniform() < 0.5)
        if not bool((_elsewhere(cover, shift, mirrored) * cover).any()):
            return image * (1 - seam) + _elsewhere(image, shift, mirrored) * seam, torch.zeros_like(target)
    return image, target


def paste_object(
    image: Tensor,
    target: Tensor,
    donor_image: Tensor,
    donor_target: Tensor,
    *,
    random: np.random.RandomState,
) -> tuple[Tensor, Tensor]:
    """Put the donor's objects where they lie in the donor, with a soft seam and brightness drawn towards the host's.

    Args:
        image: host (C, H, W) float32; `target`: its masks (K, H, W) float32, 0 to 1.
        donor_image: like `image`; `donor_target`: like `target`.
        random: chooses how far the brightness is matched.
    """
    seam = _soft_cover(donor_target)
    ring = (seam > 0) & (donor_target.amax(dim=0) == 0)
    if not bool(ring.any()):
        return image, target
    match = (image[:, ring].mean(dim=1) - donor_image[:, ring].mean(dim=1)) * random.uniform(0.3, 1.0)
    blended = image * (1 - seam) + (donor_image + match[:, None, None]) * seam
    return blended, torch.maximum(target * (seam < 0.5), donor_target)


def add_marks(image: Tensor, target: Tensor, *, random: np.random.RandomState) -> tuple[Tensor, Tensor]:
    """Lay plain discs at the edges and thin lines anywhere over the slice, as stickers, rulers and writing do.

    Args:
        image: (C, H, W) float32, 0 to 1; `target`: (K, H, W) float32, 0 to 1.
        random: chooses number, place, size and colour.

    Returns:
        Image with one to three marks, and the target without what they hide.
    """
    height, width = target.shape[-2:]
    rows = torch.arange(height, dtype=torch.float32)[:, None] / height
    columns = torch.arange(width, dtype=torch.float32)[None, :] / width
    for _ in range(int(random.randint(1, 4))):
        distance = _disc(rows, columns, random) if random.uniform() < 0.5 else _line(rows, columns, random)
        cover = (distance * -float(height)).clamp(0, 1)
        colour = torch.tensor(random.uniform(0, 1, (len(image), 1, 1)), dtype=torch.float32)
        image, target = image * (1 - cover) + colour * cover, target * (1 - cover)
    return image, target


def _disc(rows: Tensor, columns: Tensor, random: np.random.RandomState) -> Tensor:
    """Signed distance (H, W) to a disc whose centre lies near an edge, in sides of the image; negative inside."""
    along, beside = random.uniform(0, 1), random.uniform(-0.1, 0.15)
    row, column = (along, beside) if random.uniform() < 0.5 else (beside, along)
    row, column = (abs(value - 1) if random.uniform() < 0.5 else value for value in (row, column))
    return ((rows - row) ** 2 + (columns - column) ** 2).sqrt() - float(random.uniform(0.08, 0.35))


def _line(rows: Tensor, columns: Tensor, random: np.random.RandomState) -> Tensor:
    """Signed distance (H, W) to a thin bar, in sides of the image; negative inside."""
    angle, row, column = random.uniform(0, np.pi), random.uniform(0.1, 0.9), random.uniform(0.1, 0.9)
    along = (rows - row) * float(np.sin(angle)) + (columns - column) * float(np.cos(angle))
    across = (rows - row) * float(np.cos(angle)) - (columns - column) * float(np.sin(angle))
    return torch.maximum(
        along.abs() - float(random.uniform(0.1, 0.4)), across.abs() - float(random.uniform(0.008, 0.02))
    )


def _soft_cover(target: Tensor) -> Tensor:
    side = (int(target.shape[-1]) // _SEAM) | 1
    grown = functional.max_pool2d(target.amax(dim=0)[None, None], side, stride=1, padding=side // 2)
    return functional.avg_pool2d(grown, side, stride=1, padding=side // 2)[0, 0]


def _elsewhere(pixels: Tensor, shift: tuple[int, int], mirrored: bool) -> Tensor:
    return torch.roll(pixels.flip(-1) if mirrored else pixels, shift, dims=(-2, -1))
