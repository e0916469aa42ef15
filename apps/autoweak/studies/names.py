"""Image ids and file endings: which files are images, which are labels, and what an image is called."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from autoweak.errors import StudiesError

MAX_ID_BYTES = 200
_DICOM_OFFSET, _DICOM_MAGIC = 128, b"DICM"
# Not pictures whatever they start with; a DICOMDIR is an index.
_NOT_DICOM = {".txt", ".json", ".yaml", ".yml", ".csv", ".xml", ".html", ".log", ".md", ".pdf", ".zip", ".gz", ".seg"}


class FileKind(str, Enum):
    """How a file is read."""

    RASTER = "raster"
    NIFTI = "nifti"
    NRRD = "nrrd"
    DICOM = "dicom"


# Longest first, since ".seg.nrrd" also ends in ".nrrd".
_ENDINGS: tuple[tuple[str, FileKind], ...] = (
    (".seg.nrrd", FileKind.NRRD),
    (".nii.gz", FileKind.NIFTI),
    (".nii", FileKind.NIFTI),
    (".nrrd", FileKind.NRRD),
    (".png", FileKind.RASTER),
    (".jpg", FileKind.RASTER),
    (".jpeg", FileKind.RASTER),
    (".bmp", FileKind.RASTER),
    (".tif", FileKind.RASTER),
    (".tiff", FileKind.RASTER),
    (".dcm", FileKind.DICOM),
    (".dicom", FileKind.DICOM),
    (".ima", FileKind.DICOM),
)


def ending(name: str) -> str:
    """Return the part of a file name that says its format, as it is written there ("" for none known)."""
    lowered = name.lower()
    for text, _ in _ENDINGS:
        if lowered.endswith(text) and len(name) > len(text):
            return name[-len(text) :]
    return ""


def kind_of(path: Path) -> FileKind | None:
    """Return how `path` is read, by its ending; a file of unknown ending is DICOM if it starts like one."""
    lowered = ending(path.name).lower()
    if lowered:
        return dict(_ENDINGS)[lowered]
    return FileKind.DICOM if _starts_like_dicom(path) else None


def image_id_of(path: Path) -> str:
    """Return the image id: the file name without its image ending ("a.b.nii.gz" is "a.b")."""
    return path.name[: len(path.name) - len(ending(path.name))]


def check_id(image_id: str) -> str:
    """Return `image_id` if it can safely name a file, on any system.

    Spaces and parentheses are fine. Not allowed: nothing at all, a leading dot, path separators, control
    characters, text that is not Unicode, more than 200 bytes.

    Raises:
        StudiesError: the id is not allowed.
    """
    try:
        size = len(image_id.encode("utf-8"))
    except UnicodeEncodeError:
        size = MAX_ID_BYTES + 1
    bad = not image_id or image_id.startswith(".") or size > MAX_ID_BYTES
    if bad or any(sign in "/\\:" or not sign.isprintable() for sign in image_id):
        shown = ascii(image_id if len(image_id) <= 60 else f"{image_id[:57]}...")
        msg = (
            f"The image name {shown} cannot be used; rename the file: no leading dot, no slash, backslash, colon "
            f"or control character, at most {MAX_ID_BYTES} bytes."
        )
        raise StudiesError(msg)
    return image_id


def _starts_like_dicom(path: Path) -> bool:
    if path.suffix.lower() in _NOT_DICOM or path.name.upper() == "DICOMDIR":
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(_DICOM_OFFSET + len(_DICOM_MAGIC))[_DICOM_OFFSET:] == _DICOM_MAGIC
    except OSError:
        return False
