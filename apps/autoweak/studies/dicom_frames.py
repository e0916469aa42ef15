"""Multi-frame DICOM: a volume where frames have positions (enhanced CT and MR), else a film of pictures."""

from __future__ import annotations

import copy
import itertools
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
    if not have_positions(dataset):
        msg = f"it is a film of {frames} frames without positions; each frame is an image of its own"
        raise ImageError(msg)
    order, affine = arrange([_plane(dataset, index) for index in range(frames)])
    stack = dataset.pixel_array
    if stack.ndim != 3:
        msg = "its frames are in colour; export the frame you need as a picture"
        raise ImageError(msg)
    slices = np.stack([_values(dataset, stack[index], index) for index in order])
    array, notes = finite(plain_dtype(slices.transpose(2, 1, 0)))
    return Stored(array, affine, array.shape, notes=notes)


def have_positions(dataset: Any) -> bool:
    """Whether the frames of a dataset have positions in space."""
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
    frames = int(dataset.get("NumberOfFrames") or 1)
    return len(groups) == frames and _function(dataset, 0, "PlanePositionSequence") is not None


def one_frame(dataset: Any, number: int) -> Any:
    """A dataset of one frame of a film, without unpacking the others; call within `dicom.faults`.

    Args:
        dataset: the film, with its pixels.
        number: of the frame, from 1.

    Raises:
        ImageError: there is no such frame.
    """
    frames = int(dataset.get("NumberOfFrames") or 1)
    if not 1 <= number <= frames:
        msg = f"it has {frames} frames and no frame {number}"
        raise ImageError(msg)
    pixels = _pixels_of(dataset, number - 1, frames)
    single = copy.copy(dataset)
    transformation = _function(dataset, number - 1, "PixelValueTransformationSequence")
    for keyword in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "NumberOfFrames"):
        if keyword in single:
            del single[keyword]
    single.PixelData = pixels
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if transformation is not None and keyword in transformation:
            single[keyword] = transformation[keyword]
    return single


def _pixels_of(dataset: Any, index: int, frames: int) -> bytes:
    from pydicom.encaps import encapsulate, generate_pixel_data_frame
    from pydicom.pixel_data_handlers.util import get_expected_length

    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        every = generate_pixel_data_frame(dataset.PixelData, frames)
        return bytes(encapsulate([next(itertools.islice(every, index, None))]))
    if int(dataset.BitsAllocated) < 8:
        msg = "its frames have one bit a pixel"
        raise ImageError(msg)
    length = int(get_expected_length(dataset)) // frames
    content = bytes(dataset.PixelData[index * length : (index + 1) * length])
    if len(content) < length:
        msg = f"it ends before its frame {index + 1}"
        raise ImageError(msg)
    return content + b"\0" * (length % 2)


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
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for group in (*own[index : index + 1], *shared):
        if group.get(keyword):
            return group.get(keyword)[0]
    return None
