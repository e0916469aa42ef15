"""NIfTI volumes: read with everything that a mask of the same geometry needs, written atomically."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autoweak import atomic
from autoweak.errors import ImageError
from autoweak.studies.geometry import Array, Geometry
from autoweak.studies.stored import Stored, check_spatial, plain_dtype

_NIFTI_1_BYTES = 348
_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    AttributeError,
    struct.error,
    zlib.error,
)


def read(path: Path) -> Stored:
    """Read a NIfTI-1 or NIfTI-2 file (`.nii`, `.nii.gz`) of two or three axes; further axes must have length 1.

    Returns:
        array (I, J, K) with the header's slope and intercept applied; integers stay integers where there are none.

    Raises:
        ImageError: the file is damaged, too large or not a grey volume (no path in the sentence).
    """
    with _faults():
        import nibabel

        volume: Any = nibabel.load(path)
        if not isinstance(volume, nibabel.Nifti1Image):  # NIfTI-2 is a subclass
            msg = "it is not a NIfTI file; export it as .nii.gz"
            raise ImageError(msg)
        file_shape = tuple(int(length) for length in volume.shape)
        shape = check_spatial(file_shape)
        if not np.issubdtype(volume.get_data_dtype(), np.number):
            msg = "it holds colours, not grey values; export it as a grey volume"
            raise ImageError(msg)
        with np.errstate(all="ignore"):
            array = np.asanyarray(volume.dataobj).reshape(shape)
        affine = np.asarray(volume.header.get_best_affine(), dtype=np.float64)
        return Stored(plain_dtype(array), affine, file_shape, volume.header.binaryblock)


def write(path: Path, stored: npt.NDArray[np.uint8], *, geometry: Geometry) -> None:
    """Write a mask (I, J, K) or (H, W) as NIfTI, atomically, with the geometry of its image.

    A NIfTI image's own header is used again, so that the affine and its codes are the same to the last bit.
    A picture gets the affine that ITK gives to one: 1 mm pixels, columns to the left, rows to the back.
    """
    import nibabel

    if geometry.affine is None:
        array, affine = stored.T[..., np.newaxis], np.diag([-1.0, -1.0, 1.0, 1.0])
    else:
        array, affine = stored.reshape(geometry.file_shape), geometry.affine
    with _quiet():
        mask = _image(nibabel, array, affine, header=geometry.nifti_header)
        atomic.write_with(path, lambda partial: nibabel.save(mask, partial))


def write_volume(path: Path, stored: Array, *, affine: npt.NDArray[np.float64]) -> None:
    """Write grey values (I, J, K) as NIfTI, atomically.

    Args:
        path: ends in `.nii` or `.nii.gz`.
        stored: values in their own type.
        affine: (4, 4), voxel index to RAS+ millimetres.
    """
    import nibabel

    volume = _image(nibabel, stored, affine, header=None)
    atomic.write_with(path, lambda partial: nibabel.save(volume, partial))


def _image(nibabel: Any, array: Array, affine: npt.NDArray[np.float64], *, header: bytes | None) -> Any:
    if header is None:
        mask = nibabel.Nifti1Image(array, affine)
        mask.header.set_xyzt_units("mm")
        mask.set_sform(affine, code=1)
        if _is_rigid(affine):
            mask.set_qform(affine, code=1)
        return mask
    kind = nibabel.Nifti1Image if len(header) == _NIFTI_1_BYTES else nibabel.Nifti2Image
    own = kind.header_class(header, check=False)
    own.set_data_dtype(np.uint8)
    own.set_slope_inter(1, 0)
    own["cal_min"] = own["cal_max"] = 0  # the image's display window would hide the labels
    for text in {"descrip", "intent_name", "aux_file", "db_name"} & set(own.keys()):
        own[text] = b""  # may name a patient
    return kind(array, own.get_best_affine(), own)


def _is_rigid(affine: npt.NDArray[np.float64]) -> bool:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.allclose(axes.T @ axes, np.eye(3), atol=1e-4))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep nibabel from printing what it mends in a header."""
    from nibabel.imageglobals import logger

    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _faults() -> Iterator[None]:
    """Turn what nibabel and gzip raise on damaged files into one kind of error, without its warnings."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    try:
        with _quiet():
            yield
    except FileNotFoundError:
        msg = "the file does not exist; check the path, or the link that points to it"
        raise ImageError(msg) from None
    except PermissionError:
        msg = "the file may not be read; change its permissions"
        raise ImageError(msg) from None
    except (*_ERRORS, ImageFileError, HeaderDataError, WrapStructError) as error:
        msg = "it is damaged or not a NIfTI file; export it again"
        raise ImageError(msg) from error
