"""Bringing a label's stored array into the stored frame of its image, or refusing it with the reason."""

from __future__ import annotations

import itertools

import numpy as np

from autoweak.errors import LabelError
from autoweak.studies.geometry import Affine, Array, Geometry
from autoweak.studies.stored import Stored

# Larger factors are thumbnails or mistakes.
_MAX_FACTOR = 16
# Tools round affines; a label half a voxel off would be drawn on the wrong voxels.
_TOLERANCE_VOXELS = 0.5
_CROP_TOLERANCE = 0.1
_CROPPED = "It holds only the part around its segments, and was put into the image's size."
_Result = tuple[Array, str | None, tuple[str, ...]]


def onto_image(label: Stored, *, geometry: Geometry) -> _Result:
    """Bring a label into the stored frame of its image.

    Args:
        label: as its file stores it.
        geometry: of the image.

    Returns:
        the label's array, of shape `geometry.shape`; a sentence if it was resampled; further notes.

    Raises:
        LabelError: size or place do not fit (the sentence lacks the file's name).
    """
    if not geometry.is_volume:
        return _onto_picture(label, geometry.shape)
    if label.affine is None:
        return _picture_onto_slice(label.array, geometry)
    return _onto_volume(label, geometry)


def _onto_picture(label: Stored, shape: tuple[int, ...]) -> _Result:
    flat = label.array
    if label.affine is not None:
        # 3D Slicer saves the label of a picture as a volume (W, H, 1): columns first, its affine means nothing.
        if flat.shape[2] != 1:
            msg = (
                f"it is a volume of {_sized(flat.shape)} voxels and the image a picture of {_sized(shape[::-1])} pixels"
            )
            raise LabelError(f"{msg}; save a label of this image")
        flat = flat[:, :, 0].T
    if label.segmentation is not None and flat.shape != shape:
        column, row, _ = label.segmentation.offset
        return _pasted(flat, shape, (row, column)), None, (_CROPPED,)
    resampled, sentence = _rescaled(flat, (shape[0], shape[1]))
    return resampled, sentence, ()


def _picture_onto_slice(flat: Array, geometry: Geometry) -> _Result:
    columns, rows, slices = geometry.shape
    if slices != 1:
        msg = f"it is a picture and the image a volume of {_sized(geometry.shape)} voxels; save the label as .nii.gz"
        raise LabelError(msg)
    resampled, sentence = _rescaled(flat, (rows, columns))
    return resampled.T[..., np.newaxis], sentence, ()


def _rescaled(flat: Array, shape: tuple[int, int]) -> tuple[Array, str | None]:
    """Resample (h, w) to `shape` (H, W) by nearest neighbour where each axis is an exact integer multiple."""
    if flat.shape == shape:
        return flat, None
    picked = [_picked(have, want) for have, want in zip(flat.shape, shape, strict=True)]
    rows, columns = picked
    sizes = f"{_sized(flat.shape[::-1])} pixels and the image {_sized(shape[::-1])} (width x height)"
    if rows is None or columns is None:
        msg = f"it has {sizes}, which is no exact multiple; save the label in the image's own size"
        raise LabelError(msg)
    return flat[np.ix_(rows, columns)], f"It has {sizes}, and was resampled to the nearest pixel."


def _picked(have: int, want: int) -> Array | None:
    larger, smaller = max(have, want), min(have, want)
    if larger % smaller or larger // smaller > _MAX_FACTOR:
        return None
    # Centre of each wanted pixel, in the pixels there are.
    return ((2 * np.arange(want) + 1) * have) // (2 * want)


def _onto_volume(label: Stored, geometry: Geometry) -> _Result:
    image_affine, label_affine = geometry.affine, label.affine
    if image_affine is None or label_affine is None:
        msg = "it has no place in space; save the label as .nii.gz from the image"
        raise LabelError(msg)
    with np.errstate(all="ignore"):
        to_image = np.linalg.inv(image_affine) @ label_affine
    turn = _signed_permutation(to_image)
    if turn is None:
        _check_shape(label.array.shape, geometry.shape)
        msg = "its voxels have another size or direction than the image's; resample the label onto the image"
        raise LabelError(msg)
    axes, signs = turn
    turned = label.array.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
    if label.segmentation is not None and turned.shape != geometry.shape:
        start = _first_corner(to_image, label.array.shape)
        return _pasted(turned, geometry.shape, start), None, (_CROPPED,)
    _check_shape(turned.shape, geometry.shape)
    offset = _largest_offset(to_image, label.array.shape, axes, signs, geometry.shape)
    if offset > _TOLERANCE_VOXELS:
        msg = f"it lies {offset:.1f} voxels away from the image; save a label of this very image"
        raise LabelError(msg)
    moved = axes != (0, 1, 2) or signs != (1, 1, 1)
    return turned, None, (("It is stored in another orientation than the image, and was turned.",) if moved else ())


def _signed_permutation(to_image: Affine) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """For each image axis, the label axis along it and its sign; None where axes are not parallel and equally long."""
    linear = to_image[:3, :3]
    if not np.isfinite(linear).all():
        return None
    axes = tuple(int(axis) for axis in np.abs(linear).argmax(axis=1))
    signs = tuple(1 if linear[row, axis] > 0 else -1 for row, axis in enumerate(axes))
    expected = np.zeros((3, 3))
    for row, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        expected[row, axis] = sign
    if len(set(axes)) < 3 or not np.allclose(linear, expected, atol=0.1):
        return None
    return (axes[0], axes[1], axes[2]), (signs[0], signs[1], signs[2])


def _largest_offset(
    to_image: Affine,
    label_shape: tuple[int, ...],
    axes: tuple[int, int, int],
    signs: tuple[int, int, int],
    shape: tuple[int, ...],
) -> float:
    """Voxels between where the label's corners are and where they would be in the image's own array."""
    corners = np.array(list(itertools.product(*((0, length - 1) for length in label_shape))), dtype=np.float64)
    found = corners @ to_image[:3, :3].T + to_image[:3, 3]
    wanted = np.stack(
        [
            corners[:, axis] if sign > 0 else length - 1 - corners[:, axis]
            for axis, sign, length in zip(axes, signs, shape, strict=True)
        ],
        axis=1,
    )
    return float(np.abs(found - wanted).max())


def _first_corner(to_image: Affine, label_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Where a label that is smaller than its image begins in it."""
    corners = np.array(list(itertools.product(*((0, length - 1) for length in label_shape))), dtype=np.float64)
    found = (corners @ to_image[:3, :3].T + to_image[:3, 3]).min(axis=0)
    if np.abs(found - np.rint(found)).max() > _CROP_TOLERANCE:
        msg = "its voxels lie between those of the image; save a segmentation of this very image"
        raise LabelError(msg)
    return tuple(int(index) for index in np.rint(found))


def _pasted(part: Array, shape: tuple[int, ...], start: tuple[int, ...]) -> Array:
    """An array of `shape` that holds `part` from `start` on, and else background."""
    ends = [first + length for first, length in zip(start, part.shape, strict=True)]
    kept = tuple(slice(max(-first, 0), length - first) for first, length in zip(start, shape, strict=True))
    inside = part[kept]
    if np.count_nonzero(inside) < np.count_nonzero(part):
        msg = f"its segments reach outside of the image of {_sized(shape)} voxels; save a label of this very image"
        raise LabelError(msg)
    whole: Array = np.zeros(shape, dtype=part.dtype)
    where = tuple(slice(max(first, 0), max(end, 0)) for first, end in zip(start, ends, strict=True))
    whole[where] = inside
    return whole


def _check_shape(have: tuple[int, ...], want: tuple[int, ...]) -> None:
    if have != want:
        msg = f"it has {_sized(have)} voxels and the image {_sized(want)}; save the label in the image's own size"
        raise LabelError(msg)


def _sized(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)
