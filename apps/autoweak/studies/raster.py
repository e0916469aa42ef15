"""PNG, JPEG, BMP and TIFF: pixels of images, and the grey values of masks."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from autoweak.errors import ImageError
from autoweak.studies.geometry import Array
from autoweak.studies.stored import MAX_PIXELS, check_size, plain_dtype

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    AttributeError,
    AssertionError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_GREY_MODES = {"L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"}


def read_pixels(path: Path) -> Array:
    """Read a picture as it is stored; an EXIF orientation is not applied.

    Masks are drawn on the stored pixels (3D Slicer, MONAI Label and ITK show them so), hence turning the picture
    would part it from its mask. Only in TIFF does the orientation say how rows and columns are stored; it is followed
    there, by ITK as by us. Transparency is dropped, palettes and CMYK become RGB, 1-bit becomes 0 and 255.

    Args:
        path: a PNG, JPEG, BMP or TIFF file, whatever its name ends in.

    Returns:
        (H, W) or (H, W, 3): uint8, uint16, int32 or float32.

    Raises:
        ImageError: the file is damaged, too large or of another format (no path in the sentence).
    """
    with _opened(path) as picture:
        return _pixels(picture)


def read_grey(path: Path) -> Array:
    """Read a mask's values as they are stored: indices of a coloured palette, alpha where that is the mask.

    Returns:
        (H, W): uint8, uint16, int32 or float32; colours that are not grey become their largest channel.

    Raises:
        ImageError: see `read_pixels`.
    """
    with _opened(path) as picture:
        if picture.mode == "P":
            return _palette_values(picture)
        if picture.mode in {"RGBA", "LA", "PA", "La", "RGBa"}:
            return _visible_values(np.asarray(picture.convert("RGBA")))
        return _flatten(_pixels(picture))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            # Our own limit speaks below; damaged metadata is no reason to print warnings.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as picture:
                check_size(picture.width * picture.height, limit=MAX_PIXELS, unit="pixel")
                pages = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
                if pages > 1:
                    msg = f"it holds {pages} pages; save each page as a file of its own"
                    raise ImageError(msg)
                picture.load()
                yield picture
    except Image.DecompressionBombError:
        msg = f"it holds more than {MAX_PIXELS:,} pixels; crop it or make it smaller"
        raise ImageError(msg) from None
    except FileNotFoundError:
        msg = "the file does not exist; check the path, or the link that points to it"
        raise ImageError(msg) from None
    except PermissionError:
        msg = "the file may not be read; change its permissions"
        raise ImageError(msg) from None
    except _ERRORS as error:
        msg = "it is damaged or not a PNG, JPEG, BMP or TIFF picture; export it again"
        raise ImageError(msg) from error


def _pixels(picture: Image.Image) -> Array:
    if picture.mode == "1":
        return np.asarray(picture.convert("L"))
    if picture.mode in _GREY_MODES:
        return plain_dtype(np.asarray(picture))
    if picture.mode in {"LA", "La"}:
        return np.asarray(picture.convert("RGBA"))[..., 0]
    return np.asarray(picture.convert("RGB"))


def _palette_values(picture: Image.Image) -> Array:
    """Values of a palette mask: the grey levels if the palette is grey, else the indices, with black as 0."""
    indices = np.asarray(picture)
    used = np.unique(indices)
    rgb = np.asarray(picture.convert("RGB"))
    colours = np.stack([rgb[indices == index][0] for index in used])
    grey = bool((colours == colours[:, :1]).all())
    if grey and len(np.unique(colours[:, 0])) == len(used):
        return rgb[..., 0]
    black = used[(colours == 0).all(axis=1)]
    if 0 not in used or 0 in black or len(black) != 1:
        return indices
    # Index 0 is a colour and another one is black: an optimiser has reordered the palette.
    return np.where(indices == black[0], 0, indices.astype(np.int32) + 1)


def _visible_values(rgba: Array) -> Array:
    """Grey values where the mask is opaque; the opacity itself where all that is visible has no colour."""
    alpha = rgba[..., 3]
    grey = _flatten(rgba[..., :3])
    if alpha.min() == alpha.max():
        return grey
    visible = np.where(alpha > 127, grey, 0)
    return visible if visible.any() else alpha


def _flatten(pixels: Array) -> Array:
    return pixels if pixels.ndim == 2 else pixels.max(axis=2)
