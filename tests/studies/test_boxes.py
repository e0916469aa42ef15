"""Boxes that a person gives in a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoweak.errors import StudiesError
from autoweak.studies.boxes import BOXES_FILE, GivenBox, PixelBox, check_inside, read_boxes

LABELS = {"right_lung": 1, "left_lung": 2}
HEAD = "image_id,label,x0,y0,x1,y1"


def read(folder: Path, *lines: str) -> dict[str, tuple[GivenBox, ...]]:
    (folder / BOXES_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_boxes(folder, labels=LABELS, images={"a", "b"})


def test_without_the_file_there_are_none(tmp_path: Path) -> None:
    assert read_boxes(tmp_path, labels=LABELS, images={"a"}) == {}


def test_boxes_are_read_by_image_label_and_slice(tmp_path: Path) -> None:
    found = read(tmp_path, f"{HEAD},slice", "a,left_lung,1,2,3,4,7", "a,right_lung,0,0,0,0,", "b, left_lung ,5,6,7,8,0")

    assert found == {
        "a": (GivenBox(2, 7, PixelBox(1, 2, 3, 4)), GivenBox(1, 0, PixelBox(0, 0, 0, 0))),
        "b": (GivenBox(2, 0, PixelBox(5, 6, 7, 8)),),
    }


def test_a_table_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / BOXES_FILE).write_bytes(b"\xef\xbb\xbfimage_id,label,x0,y0,x1,y1,by\r\na,left_lung,1,2,3,4,me\r\n")

    assert read_boxes(tmp_path, labels=LABELS, images={"a"}) == {"a": (GivenBox(2, 0, PixelBox(1, 2, 3, 4)),)}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("c,left_lung,1,2,3,4", "line 2: there is no image 'c'"),
        ("../a,left_lung,1,2,3,4", "there is no image"),
        ("a,heart,1,2,3,4", "there is no label 'heart'; the task has right_lung, left_lung"),
        ("a,left_lung,3,2,1,4", "needs x0 <= x1 and y0 <= y1, got 3, 2, 1, 4"),
        ("a,left_lung,1.5,2,3,4", "x0 must be a whole number of pixels, 0 or more, got '1.5'"),
        ("a,left_lung,1,2,3,-4", "y1 must be a whole number"),
        ("a,left_lung,1,2,3", "y1 must be a whole number of pixels, 0 or more, got ''"),
        ("a,left_lung,1,2,3,99999999999", "y1 must be a whole number"),
        ("a,left_lung,1,2,3,²", "y1 must be a whole number"),
    ],
)
def test_what_is_no_box_gets_one_sentence(tmp_path: Path, row: str, told: str) -> None:
    with pytest.raises(StudiesError) as error:
        read(tmp_path, HEAD, row)

    assert told in str(error.value)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(StudiesError, match="needs the columns image_id, label, x0, y0, x1, y1, and has image, box"):
        read(tmp_path, "image,box", "a,1")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / BOXES_FILE).write_bytes(b"\xff\xfe\x00\x01")

    with pytest.raises(StudiesError, match="cannot be read as a table"):
        read_boxes(tmp_path, labels=LABELS, images={"a"})


@pytest.mark.parametrize("box", [(0, PixelBox(0, 0, 9, 3)), (0, PixelBox(0, 0, 3, 8)), (2, PixelBox(0, 0, 1, 1))])
def test_a_box_outside_its_image_is_refused(box: tuple[int, PixelBox]) -> None:
    with pytest.raises(StudiesError, match="the image ends at 8, 7, 1"):
        check_inside((GivenBox(1, *box),), image_id="a", shape=(2, 8, 9))
    check_inside((GivenBox(1, 1, PixelBox(0, 0, 8, 7)),), image_id="a", shape=(2, 8, 9))
