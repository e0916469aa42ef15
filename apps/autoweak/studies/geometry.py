"""How a stored array lies in space, and how it becomes a stack of slices and back again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autoweak.errors import ImageError

Array = npt.NDArray[Any]
Affine = npt.NDArray[np.float64]

# World axis (0 right, 1 anterior, 2 superior) and direction of slices, rows and columns, as radiologists look at
# them: the patient's right on the left of axial and coronal slices, the face at the top or left, the head on top.
_VIEWS: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "axial": ((2, 1), (1, -1), (0, -1)),
    "coronal": ((1, 1), (2, -1), (0, -1)),
    "sagittal": ((0, 1), (2, -1), (1, -1)),
}


@dataclass(frozen=True, eq=False)
class Geometry:
    """The stored array behind a stack of slices.

    Attributes:
        shape: of the stored array: (H, W) for a picture, (I, J, K) for a volume.
        affine: (4, 4), voxel index (i, j, k) to millimetres in RAS+ (right, anterior, superior); None for a picture.
        axes: the stored axes that became slices, rows and columns (volumes).
        flips: which of slices, rows and columns run against their stored axis (volumes).
        file_shape: of the array in the file, where it has other trailing axes of length 1 than `shape`.
        nifti_header: the header of the NIfTI file the volume came from, so that masks carry the very same one.
    """

    shape: tuple[int, ...]
    affine: Affine | None = None
    axes: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)
    file_shape: tuple[int, ...] = ()
    nifti_header: bytes | None = None

    @property
    def is_volume(self) -> bool:
        """Whether the image lies in space, in millimetres; a picture does not."""
        return self.affine is not None

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Millimetres between slices, rows and columns; None for a picture."""
        if self.affine is None:
            return None
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        slices, rows, columns = (float(lengths[axis]) for axis in self.axes)
        return slices, rows, columns

    def to_slices(self, stored: Array) -> Array:
        """Turn a stored array, (H, W) or (I, J, K), into slices (S, H, W)."""
        if not self.is_volume:
            return stored[np.newaxis]
        slices: Array = stored.transpose(self.axes)[self._steps()]
        return slices

    def from_slices(self, slices: Array) -> Array:
        """Turn slices (S, H, W) back into the stored array, (H, W) or (I, J, K)."""
        if not self.is_volume:
            picture: Array = slices[0]
            return picture
        back = [self.axes.index(axis) for axis in range(3)]
        stored: Array = slices[self._steps()].transpose(back)
        return stored

    def to_slice_index(self, index: tuple[float, float, float]) -> tuple[float, float, float]:
        """Turn a voxel index (i, j, k) of the stored array into (slice, row, column).

        Viewers give indices this way: of a picture i is the column, j the row, and k is 0.
        """
        if not self.is_volume:
            return 0.0, index[1], index[0]
        slices, rows, columns = (
            self.shape[axis] - 1 - index[axis] if flip else index[axis]
            for axis, flip in zip(self.axes, self.flips, strict=True)
        )
        return slices, rows, columns

    def _steps(self) -> tuple[slice, slice, slice]:
        first, second, third = (slice(None, None, -1 if flip else 1) for flip in self.flips)
        return first, second, third


def picture_geometry(shape: tuple[int, int]) -> Geometry:
    """Geometry of a picture of `shape` (H, W): rows and columns as they are stored."""
    return Geometry(shape=shape)


def volume_geometry(
    shape: tuple[int, int, int],
    affine: Affine,
    *,
    plane: str,
    file_shape: tuple[int, ...] = (),
    nifti_header: bytes | None = None,
) -> Geometry:
    """Geometry of a volume sliced along `plane`, each slice upright as radiologists see it.

    A volume of one slice is sliced across its thin axis whatever `plane` says.

    Args:
        shape: (I, J, K) of the stored array.
        affine: (4, 4), voxel index to RAS+ millimetres.
        plane: "axial", "coronal" or "sagittal".
        file_shape: see `Geometry`.
        nifti_header: see `Geometry`.

    Raises:
        ImageError: the affine cannot be inverted, so the volume has no place in space.
    """
    world = closest_axes(affine)  # stored axis -> (world axis, direction)
    thin = [axis for axis in range(3) if shape[axis] == 1]
    if len(thin) == 1:
        plane = next(name for name, view in _VIEWS.items() if view[0][0] == world[thin[0]][0])
    axes, flips = [], []
    for world_axis, direction in _VIEWS[plane]:
        stored = next(axis for axis in range(3) if world[axis][0] == world_axis)
        axes.append(stored)
        flips.append(world[stored][1] != direction)
    return Geometry(
        shape=shape,
        affine=np.array(affine, dtype=np.float64),
        axes=(axes[0], axes[1], axes[2]),
        flips=(flips[0], flips[1], flips[2]),
        file_shape=file_shape or shape,
        nifti_header=nifti_header,
    )


def closest_axes(affine: Affine) -> tuple[tuple[int, int], ...]:
    """Return, for each voxel axis, the world axis it runs closest along (0 R, 1 A, 2 S) and its direction (1 or -1).

    Raises:
        ImageError: the affine holds NaN or cannot be inverted.
    """
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not np.isfinite(lengths).all():
        msg = "its geometry holds values that are not numbers; export it again with valid orientation and spacing"
        raise ImageError(msg)
    if (lengths < 1e-9).any() or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-3:
        msg = "its geometry is flat (a spacing of 0 or two axes alike); export it again with valid orientation"
        raise ImageError(msg)
    cosines = affine[:3, :3] / lengths
    # The nearest rotation first, so that sheared volumes (CT with a tilted gantry) are judged fairly.
    left, _, right = np.linalg.svd(cosines)
    rotation = left @ right
    found: dict[int, tuple[int, int]] = {}
    strength = np.abs(rotation)
    for _ in range(3):
        world, voxel = (int(index) for index in np.unravel_index(int(strength.argmax()), strength.shape))
        found[voxel] = (world, 1 if rotation[world, voxel] > 0 else -1)
        strength[world, :] = strength[:, voxel] = -1
    return tuple(found[axis] for axis in range(3))
