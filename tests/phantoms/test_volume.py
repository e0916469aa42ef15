"""The volume phantom: one bright ellipsoid clear of the border, and its way to NIfTI and back."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.ndimage import label as components

from autoweak.phantoms.volume import make_volume_phantom, write_volume_phantom


@pytest.mark.parametrize("seed", range(5))
def test_one_bright_ellipsoid_clear_of_the_border(seed: int) -> None:
    phantom = make_volume_phantom(seed, (20, 24, 16))
    assert phantom.image.shape == phantom.mask.shape == (20, 24, 16)
    assert components(phantom.mask)[1] == 1
    border = np.ones(phantom.mask.shape, bool)
    border[1:-1, 1:-1, 1:-1] = False
    assert not phantom.mask[border].any()
    assert phantom.image[phantom.mask == 1].mean() > phantom.image[phantom.mask == 0].mean() + 100


def test_the_file_keeps_voxels_and_geometry(tmp_path: Path) -> None:
    phantom = make_volume_phantom(2, (12, 14, 10))
    write_volume_phantom(phantom, tmp_path / "a.nii.gz", tmp_path / "labels" / "a.nii.gz")
    image, mask = nibabel.load(tmp_path / "a.nii.gz"), nibabel.load(tmp_path / "labels" / "a.nii.gz")
    assert np.array_equal(np.asanyarray(image.dataobj), phantom.image)
    assert np.array_equal(np.asanyarray(mask.dataobj), phantom.mask)
    assert np.allclose(image.affine, phantom.affine, atol=1e-4)
    assert np.allclose(mask.affine, phantom.affine, atol=1e-4)
    assert abs(np.linalg.det(phantom.affine)) > 0.5
