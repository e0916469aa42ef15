"""Single DICOM images: grey, RGB, YBR and palette, as pictures; multi-frame files with positions as volumes."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from autoweak.errors import ImageError
from autoweak.studies.geometry import Array
from autoweak.studies.stored import MAX_PIXELS, MAX_VOXELS, Stored, check_size, finite, plain_dtype

_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    AssertionError,
    SyntaxError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
_NOT_IMAGES = {"SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR", "PR", "KO", "REG", "DOC", "PLAN"}
# Segmentation, label map segmentation, media directory: DICOM PS3.4 annex B.5 and PS3.6 annex A.
_NOT_IMAGE_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.66.7",
    "1.2.840.10008.1.3.10",
}


def read(path: Path, *, frame: int | None = None) -> Stored:
    """Read one DICOM file, or one frame of a film.

    MONOCHROME1 is inverted, so that high values are bright; rescale slope and intercept, or the modality table, are
    applied; palettes and YBR become RGB. A file of one frame is a picture, whatever its position in space. A file of
    several frames is a volume where its frames have positions; of a film (ultrasound, angiography) each frame is a
    picture.

    Args:
        path: the file.
        frame: number of a frame, from 1; None for a file that is one image.

    Returns:
        array (H, W), (H, W, 3) or (I, J, K).

    Raises:
        ImageError: damaged, not an image, compressed in a way that cannot be read (no path in the sentence).
    """
    from autoweak.studies import dicom_frames

    with faults():
        dataset = open_dataset(path)
        check_image(dataset)
        if frame is not None:
            dataset = dicom_frames.one_frame(dataset, frame)
        elif int(dataset.get("NumberOfFrames") or 1) > 1:
            return dicom_frames.read(dataset)
        array, notes = finite(plain_dtype(pixel_values(dataset)))
        return Stored(array, notes=notes)


def open_dataset(path: Path, *, pixels: bool = True) -> Any:
    """Open a DICOM file; call within `faults`."""
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=not pixels)


def check_image(dataset: Any) -> None:
    """Refuse what is DICOM but not an image, and what is too large, before anything is unpacked.

    Raises:
        ImageError: the reason.
    """
    if dataset.get("Modality") in _NOT_IMAGES or dataset.get("SOPClassUID") in _NOT_IMAGE_CLASSES:
        msg = "it is DICOM but not an image (a segmentation, report or plan); move it out of the images"
        raise ImageError(msg)
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        msg = "it is DICOM without pixel data; export the image itself"
        raise ImageError(msg)
    check_extent(dataset)


def check_extent(dataset: Any) -> None:
    """Refuse an image without size or of too many pixels.

    Raises:
        ImageError: the reason.
    """
    frames = int(dataset.get("NumberOfFrames") or 1)
    count = int(dataset.get("Rows") or 0) * int(dataset.get("Columns") or 0)
    if frames > 1:
        check_size(count * frames, limit=MAX_VOXELS, unit="voxel")
    else:
        check_size(count, limit=MAX_PIXELS, unit="pixel")


def pixel_values(dataset: Any) -> Array:
    """Decode the pixels of one frame to values to be shown: (H, W) grey or (H, W, 3) RGB."""
    from pydicom.pixel_data_handlers.util import apply_color_lut, apply_modality_lut, convert_color_space

    array = dataset.pixel_array
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if photometric == "PALETTE COLOR":
        return _eight_bit(apply_color_lut(array, dataset))
    if array.ndim == 3:
        if photometric in {"YBR_FULL", "YBR_FULL_422"}:
            array = convert_color_space(array, photometric, "RGB")
        return np.asarray(array[..., :3])
    if photometric == "MONOCHROME1":
        array = inverted(array, dataset)
    if "ModalityLUTSequence" in dataset:
        return np.asarray(apply_modality_lut(array, dataset))
    return rescaled(array, dataset)


def inverted(array: Array, dataset: Any) -> Array:
    """Mirror stored grey values within the range that the bits stored allow (MONOCHROME1: low is bright)."""
    if array.dtype.kind == "f":
        return np.asarray(array.min() + array.max() - array)
    if array.dtype.kind == "i":
        return np.asarray(-1 - array)
    top = (1 << int(dataset.get("BitsStored") or array.dtype.itemsize * 8)) - 1
    return np.asarray(max(top, int(array.max())) - array, dtype=array.dtype)


def rescaled(array: Array, source: Any) -> Array:
    """Apply the rescale slope and intercept of `source`: whole numbers stay whole where both are.

    Raises:
        ImageError: the slope is 0 or not a number.
    """
    slope, intercept = (
        float(source.get(key, default)) for key, default in (("RescaleSlope", 1), ("RescaleIntercept", 0))
    )
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        msg = f"its rescale slope is {slope:g} and its intercept {intercept:g}; export it again"
        raise ImageError(msg)
    if (slope, intercept) == (1.0, 0.0):
        return array
    if array.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer():
        values = array.astype(np.int64) * int(slope) + int(intercept)
        small = np.iinfo(np.int16)
        return values.astype(np.int16 if values.min() >= small.min and values.max() <= small.max else np.int32)
    return (array * slope + intercept).astype(np.float32)


def _eight_bit(colours: Array) -> Array:
    """Palette entries of 16 bits (PS3.3 C.7.6.3.1.6 scales them to the full range) as 8 bits."""
    return colours if colours.dtype == np.uint8 else (colours >> 8).astype(np.uint8)


@contextmanager
def faults() -> Iterator[None]:
    """Turn what pydicom and its decoders raise on damaged files into one kind of error, without warnings."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except FileNotFoundError:
        msg = "the file does not exist; check the path, or the link that points to it"
        raise ImageError(msg) from None
    except PermissionError:
        msg = "the file may not be read; change its permissions"
        raise ImageError(msg) from None
    except InvalidDicomError:
        msg = "it is not a DICOM file; export it again"
        raise ImageError(msg) from None
    except (*_ERRORS, BytesLengthException):
        # The original message may quote the header, hence it is not kept.
        msg = "it is damaged DICOM, or compressed in a way that cannot be read here; export it uncompressed"
        raise ImageError(msg) from None
