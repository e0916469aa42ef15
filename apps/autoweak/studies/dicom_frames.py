"""Multi-frame DICOM whose frames have positions in space (enhanced CT and MR), as a volume."""

from __future__ import annotations

from typing import Any

import numpy as np

from autoweak.errors import ImageError
from autoweak.studies.dicom import inverted, rescaled
from autoweak.studies.dicom_geometry import SlicePlane, arrange
from autoweak.studies.geometry import Array
from autoweak.studies.stored import Stored, finite, plain_dtype


def read(dataset: Any) -> Stored:
    """Read a multi-frame dataset as a volume; call within `dicom.faults`.

    Returns:
        array (I, J, K): columns, rows, frames in order of position.

    Raises:
        ImageError: the frames have no positions (a film), or do not make up a volume.
    """
    frames = int(dataset.NumberOfFrames)
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if len(groups) != frames or _function(dataset, 0, "PlanePositionSequence") is None:
        msg = f"it is a film of {frames} frames without positions; export the frame you need as a picture"
        raise ImageError(msg)
    order, affine = arrange([_plane(dataset, index) for index in range(frames)])
    stack = dataset.pixel_array
    if stack.ndim != 3:
        msg = "its frames are in colour; export the frame you need as a picture"
        raise ImageError(msg)
    slices = np.stack([_values(dataset, stack[index], index) for index in order])
    array, notes = finite(plain_dtype(slices.transpose(2, 1, 0)))
    return Stored(array, affine, array.shape, notes=notes)


def _values(dataset: Any, frame: Array, index: int) -> Array:
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        frame = inverted(frame, dataset)
    transformation = _function(dataset, index, "PixelValueTransformationSequence")
    return rescaled(frame, dataset if transformation is None else transformation)


def _plane(dataset: Any, index: int) -> SlicePlane:
    position, orientation, measures = (
        _function(dataset, index, keyword)
        for keyword in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
    )
    return SlicePlane(
        position=tuple(float(value) for value in position.ImagePositionPatient),
        cosines=tuple(float(value) for value in orientation.ImageOrientationPatient),
        spacing=tuple(float(value) for value in measures.PixelSpacing),
    )


def _function(dataset: Any, index: int, keyword: str) -> Any:
    """The item of a functional group for one frame: its own, else the one that all frames share."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for group in (dataset.PerFrameFunctionalGroupsSequence[index], *shared):
        if group.get(keyword):
            return group.get(keyword)[0]
    return None
