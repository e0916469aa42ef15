"""Reading any image as a stack of slices."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from autoweak.errors import ImageError
from autoweak.hashing import file_sha256
from autoweak.studies import stored as stored_module
from autoweak.studies.folder import Study
from autoweak.studies.geometry import Array, Geometry, picture_geometry, volume_geometry
from autoweak.studies.names import FileKind, image_id_of, kind_of
from autoweak.studies.stored import Stored

READABLE = "PNG, JPEG, BMP, TIFF, NIfTI, NRRD or DICOM"


@dataclass(frozen=True, eq=False)
class StudyImage:
    """One image of the studies.

    Attributes:
        image_id: the file name without its image ending; of one picture of several, with what tells it apart.
        path: the file, or the folder of a DICOM series.
        pixels: (S, H, W, C) in the stored type, C 1 (grey) or 3 (RGB); a picture has S = 1.
        geometry: how the slices lie in the stored array and in space.
        sha256: of the file's bytes; of a series, of the hashes of its files in order of name; of a frame, of the file's
            hash and the frame's number.
        notes: sentences on what was changed while reading.
        frame: number of the frame, from 1, of a DICOM film; None for an image of its own file or folder.
    """

    image_id: str
    path: Path
    pixels: Array
    geometry: Geometry
    sha256: str
    notes: tuple[str, ...] = ()
    frame: int | None = None


def read_study(study: Study, *, plane: str = "axial") -> StudyImage:
    """Read the image of a study, see `read_image`.

    Raises:
        ImageError: the image cannot be read.
    """
    return read_image(study.path, plane=plane, frame=study.frame, image_id=study.image_id)


def read_image(
    path: Path, *, plane: str = "axial", frame: int | None = None, image_id: str | None = None
) -> StudyImage:
    """Read a picture, a volume or a folder with a DICOM series.

    Pictures keep their stored rows and columns. Volumes are sliced along `plane`, each slice upright: axial with the
    patient's right on the left and the front on top, coronal with the head on top, sagittal with the face to the left.

    Args:
        path: a file, or a folder that holds one DICOM series.
        plane: "axial", "coronal" or "sagittal"; pictures and volumes of one slice take no notice of it.
        frame: of a DICOM film, the number of the frame, from 1.
        image_id: what the image is called; None for the name of its file.

    Raises:
        ImageError: the image cannot be read; one sentence with the file's name and nothing of its header.
    """
    path = Path(path)
    try:
        loaded = read_stored(path, frame=frame)
        array, notes = stored_module.finite(loaded.array)
        geometry = _geometry(loaded, plane=plane)
        digest = image_sha256(path, frame)
    except ImageError as error:
        msg = f"The image {path.name} cannot be read: {error}."
        raise ImageError(msg) from error
    pixels = array[np.newaxis] if array.ndim == 3 and loaded.affine is None else geometry.to_slices(array)
    if pixels.ndim == 3:
        pixels = pixels[..., np.newaxis]
    return StudyImage(
        image_id=image_id_of(path) if image_id is None else image_id,
        path=path,
        pixels=np.ascontiguousarray(pixels),
        geometry=geometry,
        sha256=digest,
        notes=(*loaded.notes, *notes),
        frame=frame,
    )


def read_stored(path: Path, *, frame: int | None = None) -> Stored:
    """Read the array of a file or series as it is stored.

    Raises:
        ImageError: it cannot be read; the sentence lacks the path and the full stop.
    """
    if path.is_dir():
        from autoweak.studies import dicom_series

        return dicom_series.read(path)
    kind = kind_of(path)
    if kind is FileKind.RASTER:
        from autoweak.studies import raster

        return Stored(raster.read_pixels(path))
    if kind is FileKind.NIFTI:
        from autoweak.studies import nifti

        return nifti.read(path)
    if kind is FileKind.NRRD:
        from autoweak.studies import nrrd

        return nrrd.read(path)
    if kind is FileKind.DICOM:
        from autoweak.studies import dicom

        return dicom.read(path, frame=frame)
    msg = f"it is not {READABLE}" if path.exists() else "the file does not exist; check the path"
    raise ImageError(msg)


def _geometry(loaded: Stored, *, plane: str) -> Geometry:
    if loaded.affine is None:
        height, width = loaded.array.shape[:2]
        return picture_geometry((height, width))
    first, second, third = loaded.array.shape
    return volume_geometry(
        (first, second, third),
        loaded.affine,
        plane=plane,
        file_shape=loaded.file_shape,
        nifti_header=loaded.nifti_header,
    )


def image_sha256(path: Path, frame: int | None = None) -> str:
    """The hash of an image as `StudyImage` has it, without reading its pixels.

    Raises:
        ImageError: it went away.
    """
    try:
        if frame is not None:
            status = path.stat()
            film = _film_digest(path, status.st_mtime_ns, status.st_size)
            return hashlib.sha256(f"{film} frame {frame}".encode("ascii")).hexdigest()
        if not path.is_dir():
            return file_sha256(path)
        from autoweak.studies import dicom_series

        joined = "".join(file_sha256(file) for file in dicom_series.files(path))
        return hashlib.sha256(joined.encode("ascii")).hexdigest()
    except OSError as error:
        msg = "it went away or changed while it was read; try again"
        raise ImageError(msg) from error


@lru_cache(maxsize=1000)
def _film_digest(path: Path, _changed: int, _size: int) -> str:
    """A film is large, and asked for once a frame."""
    return file_sha256(path)
