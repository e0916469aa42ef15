"""The studies folder: images at the top, labels of persons and of the program below `labels`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from autoweak.errors import StudiesError
from autoweak.studies.names import FileKind, check_id, ending, image_id_of, kind_of

GOLD_FOLDER = Path("labels", "final")
WEAK_FOLDER = Path("labels", "original")
# A folder is taken for a DICOM series by its first files; one full of something else is not read to its end.
_LOOKED_AT = 32


@dataclass(frozen=True)
class Study:
    """One image with what is known of it.

    Attributes:
        image_id: the file name without its image ending; of one picture of several, with what tells it apart.
        path: the file, or the folder of a DICOM series.
        gold: the label that a person made or accepted (`labels/final`).
        weak: the label that the program made (`labels/original`).
        sidecar: the weak label's JSON.
        synthetic: whether a generator drew the image; see `autoweak.synthesis`.
        frame: number of the frame, from 1, of a DICOM film; None where the path is of this image alone.
    """

    image_id: str
    path: Path
    gold: Path | None = None
    weak: Path | None = None
    sidecar: Path | None = None
    synthetic: bool = False
    frame: int | None = None


@dataclass(frozen=True)
class StudiesFolder:
    """All images of a studies folder, in order of id, and notes on what was left aside."""

    root: Path
    studies: tuple[Study, ...]
    notes: tuple[str, ...] = ()

    @property
    def gold(self) -> tuple[Study, ...]:
        """Studies with a label by a person."""
        return tuple(study for study in self.studies if study.gold is not None)

    @property
    def unlabelled(self) -> tuple[Study, ...]:
        """Studies without a label by a person; they may have a weak label."""
        return tuple(study for study in self.studies if study.gold is None)

    def get(self, image_id: str) -> Study:
        """Return the study called `image_id`.

        Raises:
            StudiesError: there is none.
        """
        for study in self.studies:
            if study.image_id == image_id:
                return study
        msg = f"There is no image {image_id[:80]!r} in {self.root}; its images are those that `autoweak status` counts."
        raise StudiesError(msg)


def open_studies(root: Path) -> StudiesFolder:
    """List the images of a studies folder and their labels; nothing is read yet.

    Images are PNG, JPEG, BMP, TIFF, NIfTI, NRRD and DICOM files at the top level, in any case of letters, and folders
    there that hold a DICOM series. Each frame of a DICOM film, and each picture of a series of stills, is an image of
    its own. Hidden files and files of other kinds are passed over.

    Args:
        root: the folder.

    Raises:
        StudiesError: no such folder, no images in it, two images with one id, or a name that cannot be an id.
    """
    root = Path(root)
    images = _unique(_images(root))
    ids = {study.image_id for study in images}
    gold, gold_notes = _labels(root / GOLD_FOLDER, ids=ids)
    weak, weak_notes = _labels(root / WEAK_FOLDER, ids=ids)
    studies = tuple(
        replace(
            study,
            gold=gold.get(study.image_id),
            weak=weak.get(study.image_id),
            sidecar=_sidecar(root, study.image_id),
        )
        for study in images
    )
    return StudiesFolder(root=root, studies=studies, notes=(*gold_notes, *weak_notes))


def list_images(path: Path) -> tuple[Study, ...]:
    """List the images of any folder, or one image; a folder that holds one DICOM series is one image.

    Raises:
        StudiesError: see `open_studies`.
    """
    path = Path(path)
    if path.is_dir():
        if _is_one_series(path):
            return (Study(image_id=check_id(path.resolve().name), path=path),)
        return _unique(_images(path))
    if not path.exists():
        msg = f"There is no file or folder {path}; check the path."
        raise StudiesError(msg)
    if kind_of(path) is None:
        msg = f"{path.name} is not an image; give PNG, JPEG, BMP, TIFF, NIfTI, NRRD or DICOM."
        raise StudiesError(msg)
    return tuple(_of_entry(path, image_id_of(path)))


def _images(root: Path) -> list[Study]:
    found = []
    for entry in _entries(root):
        if entry.is_dir():
            if entry.name != "labels" and _holds_dicom(entry):
                found += _of_entry(entry, entry.name)
        elif kind_of(entry) is not None:
            found += _of_entry(entry, image_id_of(entry))
    if not found:
        msg = (
            f"There are no images in {root}; put PNG, JPEG, BMP, TIFF, NIfTI, NRRD or DICOM files, "
            "or folders with a DICOM series, at its top level."
        )
        raise StudiesError(msg)
    return found


def _of_entry(entry: Path, name: str) -> list[Study]:
    """The image or images of a file, or of a folder with a DICOM series."""
    whole = [Study(image_id=check_id(name), path=entry)]
    if not entry.is_dir() and kind_of(entry) is not FileKind.DICOM:
        return whole
    from autoweak.studies import dicom_pictures, dicom_series

    if entry.is_dir() and dicom_pictures.is_slice(next(filter(_is_dicom, _first_files(entry)))):
        return whole  # a volume has hundreds of files, which need not be looked at
    files = dicom_series.files(entry) if entry.is_dir() else [entry]
    pictures = dicom_pictures.pictures_in(files)
    if len(pictures) < 2:
        return whole
    return [Study(check_id(f"{name}{one.suffix}"), files[one.index], frame=one.frame) for one in pictures]


def _entries(folder: Path) -> list[Path]:
    """Everything in `folder` that is not hidden, in order of name."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        msg = f"The studies folder {folder} {what}; give the folder that holds the images."
        raise StudiesError(msg)
    try:
        return sorted(
            (entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=lambda entry: entry.name
        )
    except OSError as error:
        msg = f"The folder {folder} cannot be listed ({error.strerror}); check its permissions."
        raise StudiesError(msg) from error


def _unique(studies: Iterable[Study]) -> tuple[Study, ...]:
    by_id: dict[str, Study] = {}
    for study in studies:
        other = by_id.setdefault(study.image_id, study)
        if other is not study:
            msg = (
                f"The images {other.path.name} and {study.path.name} have one id, {study.image_id!r}, "
                "and would share their labels; rename one."
            )
            raise StudiesError(msg)
    return tuple(sorted(by_id.values(), key=lambda study: study.image_id))


def _holds_dicom(folder: Path) -> bool:
    return any(map(_is_dicom, _first_files(folder)))


def _is_dicom(path: Path) -> bool:
    return kind_of(path) is FileKind.DICOM


def _first_files(folder: Path) -> list[Path]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith(".") and entry.is_file())
    except OSError:
        return []
    return [folder / name for name in names[:_LOOKED_AT]]


def _is_one_series(folder: Path) -> bool:
    """Whether all files of `folder` are DICOM and the first two are slices of one series."""
    files = _first_files(folder)
    if len(files) < 2 or any(kind_of(file) is not FileKind.DICOM for file in files):
        return False
    from autoweak.studies import dicom_series

    return dicom_series.are_slices_of_one(files[0], files[1])


def _labels(folder: Path, *, ids: set[str]) -> tuple[dict[str, Path], list[str]]:
    """Find the label of each image in `folder`, the newest where there are several."""
    if not folder.is_dir():
        return {}, []
    found: dict[str, list[Path]] = {}
    notes = []
    for entry in _entries(folder):
        kind = kind_of(entry) if ending(entry.name) else None
        if kind is None or kind is FileKind.DICOM or entry.is_dir():
            continue
        image_id = _owner(entry, ids)
        if image_id is None:
            notes.append(f"The label {entry.name} in {folder.name} belongs to no image and is left aside.")
        else:
            found.setdefault(image_id, []).append(entry)
    newest = {}
    for image_id, files in found.items():
        newest[image_id] = max(files, key=_age)
        if len(files) > 1:
            names, first = ", ".join(file.name for file in files), newest[image_id].name
            notes.append(
                f"Image {image_id} has {len(files)} labels in {folder.name} ({names}); {first}, the newest, counts."
            )
    return newest, notes


def _owner(label: Path, ids: set[str]) -> str | None:
    """The image a label belongs to: "a.seg.nrrd" belongs to "a", or to "a.seg" if there is such an image."""
    candidates = [image_id_of(label)]
    if label.name.lower().endswith(".seg.nrrd"):
        candidates.insert(0, label.name[: -len(".nrrd")])
    return next((candidate for candidate in candidates if candidate in ids), None)


def _age(file: Path) -> tuple[int, str]:
    try:
        return file.stat().st_mtime_ns, file.name
    except OSError:  # a dangling link
        return 0, file.name


def _sidecar(root: Path, image_id: str) -> Path | None:
    path = root / WEAK_FOLDER / f"{image_id}.json"
    return path if path.is_file() else None
