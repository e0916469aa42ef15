"""NIfTI: odd shapes, scales and headers, and masks that carry the image's own header."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from autoweak.errors import ImageError
from autoweak.studies import read_image, write_mask
from autoweak.studies import stored as stored_module

VALUES = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)


def test_an_axial_slice_shows_the_patients_right_on_the_left_and_the_front_on_top(save_volume) -> None:
    image = read_image(save_volume("v.nii.gz", VALUES))  # RAS
    assert image.pixels.shape == (5, 4, 3, 1)
    assert image.pixels.dtype == np.int16
    assert np.array_equal(image.pixels[2, ..., 0], VALUES[::-1, ::-1, 2].T)


@pytest.mark.parametrize("shape", [(3, 4, 5, 1), (3, 4, 5, 1, 1)])
def test_trailing_axes_of_one_are_kept_for_the_mask(save_volume, tmp_path: Path, shape: tuple[int, ...]) -> None:
    image = read_image(save_volume("v.nii", VALUES.reshape(shape)))
    assert image.pixels.shape == (5, 4, 3, 1)
    write_mask(tmp_path / "m.nii.gz", np.ones((5, 4, 3), dtype=np.uint8), image=image)
    assert nibabel.load(tmp_path / "m.nii.gz").shape == shape


def test_a_flat_nifti_is_one_slice(save_volume, tmp_path: Path) -> None:
    image = read_image(save_volume("v.nii.gz", VALUES[0]), plane="sagittal")
    assert image.pixels.shape == (1, 5, 4, 1)
    write_mask(tmp_path / "m.nii.gz", np.ones((1, 5, 4), dtype=np.uint8), image=image)
    assert nibabel.load(tmp_path / "m.nii.gz").shape == (4, 5)


def test_time_series_and_colours_are_refused(save_volume) -> None:
    with pytest.raises(ImageError, match="4 axes, 3 x 4 x 5 x 2; split it"):
        read_image(save_volume("t.nii.gz", np.zeros((3, 4, 5, 2), dtype=np.uint8)))
    colours = np.zeros((3, 4, 5), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(ImageError, match="colours"):
        read_image(save_volume("c.nii.gz", colours))
    with pytest.raises(ImageError, match="not plain numbers"):
        read_image(save_volume("x.nii.gz", np.zeros((3, 4, 5), dtype=np.complex64)))


def test_slope_and_intercept_are_applied_and_not_handed_on(tmp_path: Path) -> None:
    volume = nibabel.Nifti1Image(VALUES, np.eye(4))
    volume.header.set_slope_inter(0.5, -3)
    nibabel.save(volume, tmp_path / "v.nii.gz")
    image = read_image(tmp_path / "v.nii.gz")
    expected = nibabel.load(tmp_path / "v.nii.gz").get_fdata()
    assert image.pixels.dtype == np.float32
    assert np.allclose(image.geometry.from_slices(image.pixels[..., 0]), expected)
    write_mask(tmp_path / "m.nii.gz", np.full((5, 4, 3), 2, dtype=np.uint8), image=image)
    assert np.unique(nibabel.load(tmp_path / "m.nii.gz").get_fdata()) == [2]


def test_nan_is_replaced_by_the_smallest_value_and_said(save_volume) -> None:
    values = VALUES.astype(np.float32) - 10
    values[0, 0], values[1, 1, 1] = np.nan, np.inf
    image = read_image(save_volume("v.nii.gz", values))
    assert np.isfinite(image.pixels).all()
    assert image.pixels.min() == values[np.isfinite(values)].min()
    assert image.notes == ("6 values that were NaN or infinite were replaced by the smallest value.",)
    with pytest.raises(ImageError, match="all its values are NaN"):
        read_image(save_volume("n.nii.gz", np.full((3, 4, 5), np.nan, dtype=np.float32)))


def test_the_mask_carries_the_header_but_nothing_of_the_patient(tmp_path: Path) -> None:
    affine = np.array([[-0.8, 0.1, 0, 9], [0.1, 0.8, 0.05, -7], [0, -0.05, 2.1, 5], [0, 0, 0, 1]])
    volume = nibabel.Nifti1Image(VALUES, affine)
    volume.set_qform(affine, code=2)
    volume.set_sform(affine, code=3)
    volume.header["descrip"] = b"Secret Patient"
    volume.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Secret Patient"))
    nibabel.save(volume, tmp_path / "v.nii")
    image = read_image(tmp_path / "v.nii")
    write_mask(tmp_path / "m.nii", np.ones((5, 4, 3), dtype=np.uint8), image=image)
    own, mask = nibabel.load(tmp_path / "v.nii"), nibabel.load(tmp_path / "m.nii")
    assert np.array_equal(mask.affine, own.affine)
    assert (mask.header["qform_code"], mask.header["sform_code"]) == (2, 3)
    assert np.array_equal(mask.header.get_qform(), own.header.get_qform())
    assert mask.get_data_dtype() == np.uint8
    assert b"Secret" not in (tmp_path / "m.nii").read_bytes()


def test_a_header_with_only_a_qform_is_kept_so(tmp_path: Path) -> None:
    volume = nibabel.Nifti1Image(VALUES, None)
    affine = nibabel.affines.from_matvec(np.diag([0.7, 0.9, 1.3]), [5, 6, 7])
    volume.set_qform(affine, code=1)
    nibabel.save(volume, tmp_path / "v.nii.gz")
    image = read_image(tmp_path / "v.nii.gz")
    write_mask(tmp_path / "m.nii.gz", np.ones((5, 4, 3), dtype=np.uint8), image=image)
    assert np.array_equal(nibabel.load(tmp_path / "m.nii.gz").affine, nibabel.load(tmp_path / "v.nii.gz").affine)


def test_nifti_2_stays_nifti_2(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(VALUES, np.diag([1, 2, 3, 1])), tmp_path / "v.nii")
    image = read_image(tmp_path / "v.nii")
    write_mask(tmp_path / "m.nii", np.ones((5, 4, 3), dtype=np.uint8), image=image)
    assert isinstance(nibabel.load(tmp_path / "m.nii"), nibabel.Nifti2Image)


def test_the_size_is_checked_before_the_values_are_read(save_volume, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_volume("v.nii.gz", VALUES)
    monkeypatch.setattr(stored_module, "MAX_VOXELS", 59)
    with pytest.raises(ImageError, match="60 voxels and the limit is 59"):
        read_image(path)


def test_a_header_that_claims_too_much_is_refused(save_volume) -> None:
    import struct

    path = save_volume("v.nii", VALUES)
    content = bytearray(path.read_bytes())
    content[40:48] = struct.pack("<4h", 3, 32767, 32767, 32767)
    path.write_bytes(bytes(content))
    with pytest.raises(ImageError, match="the limit is"):
        read_image(path)


def test_an_empty_affine_is_refused(tmp_path: Path) -> None:
    volume = nibabel.Nifti1Image(VALUES, np.eye(4))
    volume.header.set_sform(np.zeros((4, 4)), code=1)
    volume = nibabel.Nifti1Image(VALUES, None, volume.header)
    nibabel.save(volume, tmp_path / "v.nii")
    with pytest.raises(ImageError, match=r"v\.nii cannot be read: its geometry is flat"):
        read_image(tmp_path / "v.nii")


def test_the_same_mask_gives_the_same_bytes(save_volume, tmp_path: Path) -> None:
    image = read_image(save_volume("v.nii.gz", VALUES))
    for name in ("a.nii.gz", "b.nii.gz"):
        write_mask(tmp_path / name, np.ones((5, 4, 3), dtype=np.uint8), image=image)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
