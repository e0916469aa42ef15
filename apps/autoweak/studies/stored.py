"""What a reader hands on: the array as a file stores it, and where it lies in space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autoweak.errors import ImageError
from autoweak.studies.geometry import Affine, Array

MAX_PIXELS = 100_000_000
MAX_VOXELS = 600_000_000


@dataclass(frozen=True)
class Segmentation:
    """What 3D Slicer says in a `.seg.nrrd` file, which holds no more voxels than its segments need.

    Attributes:
        offset: place (i, j, k) of its first voxel in the image.
        names: label value to segment name.
    """

    offset: tuple[int, int, int]
    names: Mapping[int, str]


@dataclass(frozen=True, eq=False)
class Stored:
    """One image or label as its file stores it.

    Attributes:
        array: (H, W) or (H, W, 3) for a picture; (I, J, K) for a volume.
        affine: (4, 4), voxel index to RAS+ millimetres; None for a picture.
        file_shape: of the array in the file, where it has other trailing axes of length 1 than `array`.
        nifti_header: the NIfTI header as stored.
        notes: sentences on what was changed while reading.
        segmentation: of a segmentation as 3D Slicer saves it.
    """

    array: Array
    affine: Affine | None = None
    file_shape: tuple[int, ...] = ()
    nifti_header: bytes | None = None
    notes: tuple[str, ...] = ()
    segmentation: Segmentation | None = None


def check_size(count: int, *, limit: int, unit: str) -> None:
    """Refuse an image of 0 or more than `limit` pixels or voxels, before memory is spent on it.

    Raises:
        ImageError: the count is out of bounds.
    """
    if count < 1:
        msg = f"it holds no {unit}s; export it again"
        raise ImageError(msg)
    if count > limit:
        msg = f"it holds {count:,} {unit}s and the limit is {limit:,}; crop it or make it smaller"
        raise ImageError(msg)


def check_spatial(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return `shape` as (I, J, K): missing axes have length 1, further axes must have.

    Raises:
        ImageError: the array has more than three axes longer than 1, or is too large.
    """
    extra = [length for length in shape[3:] if length != 1]
    if extra:
        msg = f"it has {len(shape)} axes, {' x '.join(map(str, shape))}; split it into volumes of three axes"
        raise ImageError(msg)
    first, second, third = (max(length, 0) for length in (*shape[:3], 1, 1, 1)[:3])
    check_size(first * second * third, limit=MAX_VOXELS, unit="voxel")
    return first, second, third


def finite(array: Array) -> tuple[Array, tuple[str, ...]]:
    """Replace NaN and infinity by the smallest number in the array, and say so.

    CT volumes are often padded with NaN outside the scanned circle, where the smallest value belongs.

    Raises:
        ImageError: there is no number at all.
    """
    if array.dtype.kind != "f":
        return array, ()
    bad = ~np.isfinite(array)
    count = int(bad.sum())
    if count == 0:
        return array, ()
    if count == array.size:
        msg = "all its values are NaN or infinite; export it again"
        raise ImageError(msg)
    smallest = array[~bad].min()
    note = f"{count} values that were NaN or infinite were replaced by the smallest value."
    return np.where(bad, smallest, array), (note,)


def plain_dtype(array: Array) -> Array:
    """Return the array in native byte order, double precision and half precision as float32, bool as uint8.

    Raises:
        ImageError: the values are not real numbers (complex, colour records).
    """
    kind = array.dtype.kind
    if kind == "b":
        return array.astype(np.uint8)
    if kind == "f":
        with np.errstate(over="ignore"):
            return np.asarray(array, dtype=np.float32)
    if kind in "iu":
        return np.asarray(array, dtype=array.dtype.newbyteorder("="))
    msg = f"its values are of type {array.dtype}, not plain numbers; export it as grey values"
    raise ImageError(msg)
