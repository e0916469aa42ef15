"""Tight boxes that a person gives: `boxes.csv` beside the images."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from autoweak.errors import StudiesError

BOXES_FILE = "boxes.csv"
_COLUMNS = ("image_id", "label", "x0", "y0", "x1", "y1")
_SLICE = "slice"


@dataclass(frozen=True)
class PixelBox:
    """A tight box in a slice: whole pixels, all four corners inclusive.

    Attributes:
        x0: first column of the object, from 0 at the left; `y0`: its first row, from 0 at the top.
        x1: last column of the object; `y1`: its last row.
    """

    x0: int
    y0: int
    x1: int
    y1: int


@dataclass(frozen=True)
class GivenBox:
    """One row of the file: a tight box of the label of value `label`, in a slice of an image, counted from 0."""

    label: int
    slice: int
    box: PixelBox


def read_boxes(root: Path, *, labels: Mapping[str, int], images: Collection[str]) -> dict[str, tuple[GivenBox, ...]]:
    """Read the boxes of a studies folder, if it has any.

    The columns are image_id, label (a name of the task), x0, y0, x1, y1: pixels of the slice, from 0 at the top left,
    the first and the last column and row that the object has (inclusive). A column `slice`, from 0 and along the
    task's plane, is needed for volumes.

    Args:
        root: the studies folder.
        labels: names of the task's labels with their values.
        images: ids of the images that are there.

    Returns:
        image id to its boxes, in the file's order.

    Raises:
        StudiesError: columns are missing, or a row names an image or label that is not there, or is no box.
    """
    path = root / BOXES_FILE
    if not path.is_file():
        return {}
    found: dict[str, list[GivenBox]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            names = [name.strip() for name in rows.fieldnames or ()]
            if not set(_COLUMNS) <= set(names):
                msg = f"{path} needs the columns {', '.join(_COLUMNS)}, and has {', '.join(names) or 'none'}."
                raise StudiesError(msg)
            rows.fieldnames = names
            for row in rows:
                where = f"{path}, line {rows.line_num}"
                found.setdefault(_image(row, images, where), []).append(_given(row, labels, where))
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"{path} cannot be read as a table ({type(error).__name__}); save it as CSV in UTF-8."
        raise StudiesError(msg) from error
    return {image_id: tuple(boxes) for image_id, boxes in found.items()}


def check_inside(boxes: tuple[GivenBox, ...], *, image_id: str, shape: tuple[int, ...]) -> None:
    """Check that the boxes of an image lie in it.

    Args:
        boxes: of the image.
        image_id: of the image.
        shape: (S, H, W) of the image.

    Raises:
        StudiesError: one does not.
    """
    slices, height, width = shape
    for given in boxes:
        box = given.box
        if given.slice >= slices or box.x1 >= width or box.y1 >= height:
            msg = (
                f"{BOXES_FILE} has a box of {image_id} to column {box.x1}, row {box.y1}, slice {given.slice}, and the "
                f"image ends at {width - 1}, {height - 1}, {slices - 1} (counted from 0): correct that row."
            )
            raise StudiesError(msg)


def _image(row: Mapping[str, str | None], images: Collection[str], where: str) -> str:
    image_id = (row["image_id"] or "").strip()
    if image_id not in images:
        msg = f"{where}: there is no image {image_id[:80]!r}; write the file name without its ending, as in the labels."
        raise StudiesError(msg)
    return image_id


def _given(row: Mapping[str, str | None], labels: Mapping[str, int], where: str) -> GivenBox:
    name = (row["label"] or "").strip()
    if name not in labels:
        msg = f"{where}: there is no label {name[:80]!r}; the task has {', '.join(labels)}."
        raise StudiesError(msg)
    x0, y0, x1, y1 = (_whole(row[column], column, where) for column in _COLUMNS[2:])
    if x1 < x0 or y1 < y0:
        msg = f"{where}: a box needs x0 <= x1 and y0 <= y1, got {x0}, {y0}, {x1}, {y1}; the corners are inclusive."
        raise StudiesError(msg)
    return GivenBox(labels[name], _whole(row.get(_SLICE) or "0", _SLICE, where), PixelBox(x0, y0, x1, y1))


def _whole(text: str | None, column: str, where: str) -> int:
    stripped = (text or "").strip()
    if not (stripped.isascii() and stripped.isdigit() and len(stripped) <= 9):
        msg = f"{where}: {column} must be a whole number of pixels, 0 or more, got {stripped[:40]!r}."
        raise StudiesError(msg)
    return int(stripped)
