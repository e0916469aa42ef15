"""A small volume with one bright ellipsoid, for what needs three dimensions and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from autoweak import atomic


@dataclass(frozen=True)
class VolumePhantom:
    """A volume and its truth.

    Attributes:
        image: (X, Y, Z) int16, axes towards right, anterior and superior as NIfTI keeps them (RAS).
        mask: (X, Y, Z) uint8, ellipsoid 1.
        affine: (4, 4) float64, voxel index to RAS millimetres; a turned, unevenly spaced grid.
    """

    image: NDArray[np.int16]
    mask: NDArray[np.uint8]
    affine: NDArray[np.float64]


def make_volume_phantom(seed: int, shape: tuple[int, int, int] = (40, 36, 28)) -> VolumePhantom:
    """Draw a noisy volume with one bright, soft-edged ellipsoid clear of the border.

    Args:
        seed: 0 or above; the same seed and shape give the same voxels.
        shape: (X, Y, Z) in voxels.
    """
    rng = np.random.default_rng([seed, 3])
    axes = np.meshgrid(*(np.linspace(-1, 1, count) for count in shape), indexing="ij")
    centre, half = rng.uniform(-0.25, 0.25, 3), rng.uniform(0.3, 0.55, 3)
    inside = sum(((axis - c) / h) ** 2 for axis, c, h in zip(axes, centre, half, strict=True)) < 1
    texture = gaussian_filter(rng.normal(0, 90, shape), 1.5) + rng.normal(0, 12, shape)
    image = 180 + 240 * gaussian_filter(inside.astype(np.float64), 0.7) + texture
    affine = np.diag([-1.0, -1.0, 2.0, 1.0]) * rng.uniform(0.9, 1.1)
    affine[:3, 3], affine[3, 3] = rng.uniform(-40, 40, 3), 1.0
    return VolumePhantom(image=np.clip(image, 0, 1000).astype(np.int16), mask=inside.astype(np.uint8), affine=affine)


def write_volume_phantom(phantom: VolumePhantom, image_path: Path, mask_path: Path | None = None) -> None:
    """Write the volume, and its truth where a path is given, as NIfTI (`.nii` or `.nii.gz`)."""
    _write_nifti(image_path, phantom.image, phantom.affine)
    if mask_path is not None:
        _write_nifti(mask_path, phantom.mask, phantom.affine)


def _write_nifti(path: Path, voxels: NDArray[Any], affine: NDArray[np.float64]) -> None:
    import nibabel

    atomic.write_with(path, nibabel.Nifti1Image(voxels, affine).to_filename)
