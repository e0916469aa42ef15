"""A folder with one DICOM series, as a volume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autoweak.errors import ImageError
from autoweak.studies import dicom
from autoweak.studies.dicom_geometry import SlicePlane, arrange
from autoweak.studies.geometry import Affine
from autoweak.studies.names import FileKind, kind_of
from autoweak.studies.stored import MAX_VOXELS, Stored, check_size, finite, plain_dtype

_TAGS = [
    "Modality",
    "SOPClassUID",
    "SeriesInstanceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
]


def files(folder: Path) -> list[Path]:
    """Return the DICOM files of `folder`, in order of name; hidden files and other kinds are passed over."""
    entries = (entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_file())
    return sorted(entry for entry in entries if kind_of(entry) is FileKind.DICOM)


def read(folder: Path) -> Stored:
    """Read the series in `folder`, slices in order of their position along the normal.

    A folder with one file is read as that file.

    Returns:
        array (I, J, K): columns, rows, slices; rescale slope and intercept applied slice by slice.

    Raises:
        ImageError: the files are of several series, sizes or directions, or do not lie at even distances.
    """
    with dicom.faults():
        paths = files(folder)
        if not paths:
            msg = "the folder holds no DICOM files"
            raise ImageError(msg)
        if len(paths) == 1:
            return dicom.read(paths[0])
        ordered, affine = _arranged(paths)
        slices = []
        for path in ordered:
            dataset = dicom.open_dataset(path)
            dicom.check_image(dataset)
            slices.append(plain_dtype(dicom.pixel_values(dataset)))
        array, notes = finite(np.stack(slices).transpose(2, 1, 0))
        return Stored(plain_dtype(array), affine, array.shape, notes=notes)


def in_order(folder: Path) -> list[Path]:
    """Return the DICOM files of a series in the order of the slices that `read` makes of them.

    Raises:
        ImageError: the files do not make up a volume.
    """
    with dicom.faults():
        paths = files(folder)
        return _arranged(paths)[0] if len(paths) > 1 else paths


def _arranged(paths: Sequence[Path]) -> tuple[list[Path], Affine]:
    headers = [_header(path) for path in paths]
    _check_one_series(headers)
    order, affine = arrange([_plane(header) for header in headers])
    return [paths[index] for index in order], affine


def are_slices_of_one(first: Path, second: Path) -> bool:
    """Whether two DICOM files are slices of one series (files that cannot be read are not)."""
    try:
        with dicom.faults():
            one, other = _header(first), _header(second)
            return bool(one.get("SeriesInstanceUID") == other.get("SeriesInstanceUID")) and all(
                header.get("ImagePositionPatient") for header in (one, other)
            )
    except ImageError:
        return False


def _header(path: Path) -> Any:
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)


def _check_one_series(headers: Sequence[Any]) -> None:
    series = len({str(header.get("SeriesInstanceUID", "")) for header in headers})
    if series > 1:
        msg = f"the folder holds files of {series} series; give each series a folder of its own"
        raise ImageError(msg)
    sizes = sorted({(int(header.get("Columns") or 0), int(header.get("Rows") or 0)) for header in headers})
    if len(sizes) > 1:
        shown = " and ".join(f"{columns} x {rows}" for columns, rows in (sizes[0], sizes[-1]))
        msg = f"its slices have {len(sizes)} sizes ({shown}); keep one series in the folder, without localisers"
        raise ImageError(msg)
    if any(int(header.get("NumberOfFrames") or 1) > 1 for header in headers):
        msg = "the folder holds several multi-frame files; put each at the top level"
        raise ImageError(msg)
    if any(int(header.get("SamplesPerPixel") or 1) > 1 for header in headers):
        msg = "its slices are in colour and have positions; put each at the top level, as a picture"
        raise ImageError(msg)
    check_size(len(headers) * sizes[0][0] * sizes[0][1], limit=MAX_VOXELS, unit="voxel")


def _plane(header: Any) -> SlicePlane:
    placed = all(header.get(key) for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
    if not placed:
        msg = "some of its files have no position, direction or pixel size; keep one series in the folder"
        raise ImageError(msg)
    return SlicePlane(
        position=tuple(float(value) for value in header.ImagePositionPatient),
        cosines=tuple(float(value) for value in header.ImageOrientationPatient),
        spacing=tuple(float(value) for value in header.PixelSpacing),
    )
