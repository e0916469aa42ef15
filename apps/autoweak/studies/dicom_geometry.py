"""Where DICOM slices lie: their order, and the affine of the volume they make up (DICOM PS3.3 C.7.6.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoweak.errors import ImageError
from autoweak.studies.geometry import Affine

_COSINE_TOLERANCE = 1e-3
# Slices may lie this part of the slice distance off the regular grid: rounding of positions, not a missing slice.
_GRID_TOLERANCE = 0.05
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class SlicePlane:
    """One slice in LPS millimetres.

    Attributes:
        position: centre of the first pixel (3).
        cosines: direction of a row (along columns), then of a column (along rows) (6).
        spacing: between rows, between columns (2).
    """

    position: tuple[float, ...]
    cosines: tuple[float, ...]
    spacing: tuple[float, ...]


def arrange(planes: Sequence[SlicePlane]) -> tuple[tuple[int, ...], Affine]:
    """Order slices along their normal and give the affine of the volume.

    Args:
        planes: two or more slices, in any order.

    Returns:
        indices into `planes` in order of position; the affine (4, 4) from (column, row, slice) to RAS+ millimetres,
        in single precision as NIfTI keeps it. A tilted gantry makes it sheared.

    Raises:
        ImageError: directions or spacings differ, two slices share a place, or the distances are not uniform.
    """
    cosines = np.array([plane.cosines for plane in planes])
    spacing = np.array([plane.spacing for plane in planes])
    if np.abs(cosines - cosines[0]).max() > _COSINE_TOLERANCE or np.abs(spacing - spacing[0]).max() > _COSINE_TOLERANCE:
        msg = "its slices have different directions or pixel sizes; keep one series in the folder, without localisers"
        raise ImageError(msg)
    row, column = cosines[0, :3], cosines[0, 3:]
    normal = np.cross(row, column)
    if not np.isfinite(spacing).all() or (spacing <= 0).any() or abs(np.linalg.norm(normal) - 1) > 0.01:
        msg = "its directions or pixel sizes are not valid; export it again"
        raise ImageError(msg)
    positions = np.array([plane.position for plane in planes])
    order = np.argsort(positions @ normal, kind="stable")
    step = _step(positions[order], normal)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * spacing[0, 1], column * spacing[0, 0]
    affine[:3, 2], affine[:3, 3] = step, positions[order[0]]
    return tuple(int(index) for index in order), (_LPS_TO_RAS @ affine).astype(np.float32).astype(np.float64)


def _step(positions: npt.NDArray[np.float64], normal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    distances = np.diff(positions @ normal)
    if distances.min() < 1e-3:
        msg = "two of its slices lie in one place (several time points or echoes); keep one of them in the folder"
        raise ImageError(msg)
    count = len(positions) - 1
    step: npt.NDArray[np.float64] = (positions[-1] - positions[0]) / count
    grid = positions[0] + np.arange(count + 1)[:, np.newaxis] * step
    if np.linalg.norm(positions - grid, axis=1).max() > max(_GRID_TOLERANCE * float(np.linalg.norm(step)), 0.01):
        msg = (
            f"its slices lie {distances.min():.2f} to {distances.max():.2f} mm apart, or not in one line; "
            "restore the missing slices, or resample it to even distances"
        )
        raise ImageError(msg)
    return step
