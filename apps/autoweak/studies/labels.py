"""Reading gold and weak labels in the frame of their image, and writing masks in the frame of theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoweak import atomic
from autoweak.errors import AutoweakError, ImageError, LabelError
from autoweak.studies import alignment, label_values
from autoweak.studies.geometry import Array
from autoweak.studies.images import StudyImage, read_stored
from autoweak.studies.names import FileKind, ending, kind_of
from autoweak.studies.stored import Stored
from autoweak.tasks import Task

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class LabelRead:
    """A label in the frame of its image.

    Attributes:
        mask: (S, H, W) uint8, 0 background, else the task's label values.
        resampled: a sentence, if the mask had another size than the image and was resampled.
        notes: sentences on all that was interpreted while reading, `resampled` included.
    """

    mask: Mask
    resampled: str | None = None
    notes: tuple[str, ...] = ()


def read_label(path: Path, *, image: StudyImage, task: Task) -> LabelRead:
    """Read a label of `image`, whatever tool has written it.

    A picture's label may be a picture, or a NIfTI or NRRD volume of one slice as 3D Slicer saves it. A volume's label
    may be stored in another orientation than the volume. A segmentation of 3D Slicer (`.seg.nrrd`) may be cropped to
    its segments; if all of them are called like labels of the task, their names tell which they are. See
    `label_values.decode` for the meaning of the values.

    Args:
        path: PNG, JPEG, BMP, TIFF, NIfTI or NRRD.
        image: the image it belongs to.
        task: names the labels.

    Raises:
        LabelError: the file is damaged, of another size or place than the image, or holds values not in the task.
    """
    path = Path(path)
    try:
        loaded = _read(path)
        array, resampled, notes = alignment.onto_image(loaded, geometry=image.geometry)
        array = _by_name(array, loaded, task)
        mask, decoded = label_values.decode(array, task.label_names, volume=image.geometry.is_volume)
    except AutoweakError as error:
        msg = f"The label {path.name} of image {image.image_id} cannot be used: {error}."
        raise LabelError(msg) from error
    slices = np.ascontiguousarray(image.geometry.to_slices(mask), dtype=np.uint8)
    said = [*loaded.notes, *notes, *([resampled] if resampled else []), *([decoded] if decoded else [])]
    return LabelRead(mask=slices, resampled=resampled, notes=tuple(said))


def write_mask(path: Path, mask: Array, *, image: StudyImage, compress: bool = True) -> None:
    """Write a mask in its image's own size and geometry, atomically, label values as they are.

    Args:
        path: ends in `.png` (pictures), or `.nii.gz`, `.nii` or `.nrrd` (volumes, and pictures for 3D Slicer).
        mask: (S, H, W), values 0..255, in the frame of `image.pixels`.
        image: the image it belongs to.
        compress: pack the values of `.nrrd`.

    Raises:
        LabelError: the mask has another size, values outside 0..255, or the format cannot hold it.
    """
    expected = image.pixels.shape[:3]
    if mask.shape != expected:
        msg = f"The mask of image {image.image_id} must have the shape {expected}, got {mask.shape}."
        raise LabelError(msg)
    if mask.size and (int(mask.min()) < 0 or int(mask.max()) > 255):
        msg = f"The mask of image {image.image_id} must hold values 0 to 255, got {mask.min()} to {mask.max()}."
        raise LabelError(msg)
    stored = np.ascontiguousarray(image.geometry.from_slices(mask.astype(np.uint8)), dtype=np.uint8)
    suffix = ending(path.name).lower()
    if suffix == ".png" and not image.geometry.is_volume:
        _write_png(path, stored)
    elif suffix in {".nii", ".nii.gz"}:
        from autoweak.studies import nifti

        nifti.write(path, stored, geometry=image.geometry)
    elif suffix == ".nrrd":
        from autoweak.studies import nrrd

        nrrd.write(path, stored, geometry=image.geometry, compress=compress)
    else:
        msg = f"The mask of image {image.image_id} is written as {mask_suffix(image)}, got the name {path.name}."
        raise LabelError(msg)


def mask_suffix(image: StudyImage) -> str:
    """Return the ending of mask files of `image`: ".png" for pictures, ".nii.gz" for volumes."""
    return ".nii.gz" if image.geometry.is_volume else ".png"


def _read(path: Path) -> Stored:
    kind = kind_of(path) if path.is_file() else None
    if kind is FileKind.RASTER:
        from autoweak.studies import raster

        return Stored(raster.read_grey(path))
    if kind in {FileKind.NIFTI, FileKind.NRRD}:
        loaded = read_stored(path)
        return _without_nan(loaded)
    if kind is FileKind.DICOM:
        msg = "DICOM labels are not read; save it as .nii.gz or .png"
        raise ImageError(msg)
    msg = "it is not PNG, JPEG, BMP, TIFF, NIfTI or NRRD" if path.exists() else "the file does not exist"
    raise ImageError(msg)


def _by_name(array: Array, loaded: Stored, task: Task) -> Array:
    """Give segments the values of the labels they are called like; 3D Slicer numbers them in the order of its list."""
    names = loaded.segmentation.names if loaded.segmentation else {}
    values = {name.casefold(): value for name, value in task.labels.items()}
    present = [int(value) for value in np.unique(array) if value]
    if not present or not all(names.get(value, "").casefold() in values for value in present):
        return array
    renamed: Array = np.zeros(array.shape, dtype=np.uint8)
    for value in present:
        renamed[array == value] = values[names[value].casefold()]
    return renamed


def _without_nan(loaded: Stored) -> Stored:
    if loaded.array.dtype.kind != "f" or np.isfinite(loaded.array).all():
        return loaded
    clean: Array = np.nan_to_num(loaded.array, nan=0.0, posinf=0.0, neginf=0.0)
    return replace(loaded, array=clean, notes=(*loaded.notes, "Its NaN or infinite values were read as background."))


def _write_png(path: Path, stored: Mask) -> None:
    from PIL import Image

    picture = Image.fromarray(stored)
    atomic.write_with(path, lambda partial: picture.save(partial, format="PNG"))
