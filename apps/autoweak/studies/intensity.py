"""The 8-bit view of an image, which all models see."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoweak.errors import ImageError
from autoweak.studies.geometry import Array
from autoweak.studies.images import StudyImage
from autoweak.tasks import Intensity, IntensityKind

# Percentiles of more values than this are taken from every n-th value: exact to far below one grey level.
_PERCENTILE_VALUES = 1 << 23
# ITU-R BT.601, as JPEG and PIL weigh colours.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def to_uint8(image: StudyImage, intensity: Intensity) -> npt.NDArray[np.uint8]:
    """Map stored values to 0..255.

    8-bit RGB stays as it is under any setting. `as_is` keeps 8-bit values, and treats other types as `percentile`,
    since there is no way to keep them. An image of one value becomes zeros.

    Args:
        image: pixels (S, H, W, C) of any real type.
        intensity: the task's setting.

    Returns:
        (S, H, W, C) uint8.
    """
    pixels = image.pixels
    eight_bit = pixels.dtype == np.uint8
    if eight_bit and (pixels.shape[-1] == 3 or intensity.kind is IntensityKind.AS_IS):
        return np.asarray(pixels, dtype=np.uint8)
    low, high = _range(pixels, intensity)
    return _scaled(pixels, low=low, high=high)


def to_channels(view: npt.NDArray[np.uint8], channels: int) -> npt.NDArray[np.uint8]:
    """Return a view (..., C) with 1 or 3 channels: grey is repeated, RGB is weighed by ITU-R BT.601 luma.

    Raises:
        ImageError: the view has neither 1 nor 3 channels, or others are asked for.
    """
    have = view.shape[-1]
    if have not in (1, 3) or channels not in (1, 3):
        msg = f"Images have 1 or 3 channels, got {have} and {channels} are asked for; use grey or RGB images."
        raise ImageError(msg)
    if have == channels:
        return view
    if channels == 3:
        return np.repeat(view, 3, axis=-1)
    grey = view.astype(np.float32) @ _LUMA
    return np.asarray(np.rint(grey), dtype=np.uint8)[..., np.newaxis]


def _range(pixels: Array, intensity: Intensity) -> tuple[float, float]:
    if intensity.level is not None and intensity.width is not None:
        return intensity.level - intensity.width / 2, intensity.level + intensity.width / 2
    flat = pixels.reshape(-1)
    sample = flat[:: max(1, flat.size // _PERCENTILE_VALUES)].astype(np.float64)
    low, high = (float(value) for value in np.percentile(sample, (intensity.lower, intensity.upper)))
    if low < high:
        return low, high
    # Nearly all pixels are alike (a small object on black): the percentiles meet, the extremes do not.
    return float(flat.min()), float(flat.max())


def _scaled(pixels: Array, *, low: float, high: float) -> npt.NDArray[np.uint8]:
    view = np.zeros(pixels.shape, dtype=np.uint8)
    if not low < high:
        return view
    for index, slice_ in enumerate(pixels):  # a slice at a time, so that large volumes need little memory
        unit = (slice_.astype(np.float64) - low) / (high - low)
        view[index] = np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
    return view
