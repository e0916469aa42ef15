from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from autoweak.studies import check_id, read_image
from autoweak.synthesis.marks import REGISTER_NAME, Mark, Register, is_marked, read_mark, read_register, write_marked

MARK = Mark(generator="a" * 64, seed=3, number=12, sampler="ddim", steps=50)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_marked_picture_keeps_pixels_and_mark(tmp_path: Path, channels: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, channels), dtype=np.uint8)
    path = tmp_path / "anything.png"
    write_marked(path, picture, MARK)
    assert np.array_equal(read_image(path).pixels[0], picture)
    assert read_mark(path) == MARK
    assert is_marked(path)


def test_equal_marks_make_equal_files(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_marked(tmp_path / name, np.zeros((4, 4, 1), np.uint8), MARK)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_ids_say_that_they_are_synthetic_and_differ_with_everything() -> None:
    assert check_id(MARK.image_id).startswith("synthetic-")
    assert MARK.image_id.endswith("-0012")
    others = [
        replace(MARK, **change) for change in ({"seed": 4}, {"number": 13}, {"steps": 51}, {"generator": "b" * 64})
    ]
    assert len({MARK.image_id, *(other.image_id for other in others)}) == 5


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"generator": 1}', "x" * 9000, json.dumps({**vars(MARK), "seed": "3"})]
)
def test_a_damaged_mark_is_none(tmp_path: Path, text: str) -> None:
    info = PngInfo()
    info.add_text("autoweak-synthetic", text)
    Image.new("L", (4, 4)).save(tmp_path / "a.png", pnginfo=info)
    assert read_mark(tmp_path / "a.png") is None
    assert not is_marked(tmp_path / "a.png")


def test_other_files_have_no_mark(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    Image.new("L", (4, 4)).save(tmp_path / "a.jpg")
    assert not any(is_marked(path) for path in tmp_path.iterdir())
    assert not is_marked(tmp_path / "missing.png")


def test_the_register_comes_back(tmp_path: Path) -> None:
    register = Register({}, {}).with_images({"f" * 64: MARK}, learned={MARK.generator: {"0" * 64: "patient1"}})
    register.write(tmp_path)
    found = read_register(tmp_path)
    assert found == register
    assert found.learned_from(MARK) == {"0" * 64: "patient1"}
    assert found.learned_from(replace(MARK, generator="c" * 64)) is None


@pytest.mark.parametrize("content", ["", "[]", '{"images": {}}', '{"images": [], "generators": {}}'])
def test_a_damaged_register_is_empty(tmp_path: Path, content: str) -> None:
    (tmp_path / REGISTER_NAME).write_text(content)
    assert read_register(tmp_path) == Register({}, {})
