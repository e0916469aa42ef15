"""What all images have in common."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from autoweak.errors import ImageError
from autoweak.studies import image_id_of, read_image

GREY = np.arange(35, dtype=np.uint8).reshape(5, 7)


def test_the_hash_is_of_the_files_bytes(save_picture) -> None:
    path = save_picture("a.png", GREY)
    assert read_image(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_parts_of_an_image(save_picture) -> None:
    path = save_picture("benign (105).png", GREY)
    image = read_image(str(path))
    assert (image.image_id, image.path, image.notes) == ("benign (105)", path, ())
    assert image.pixels.flags["C_CONTIGUOUS"]
    assert image.geometry.shape == (5, 7)


def test_links_are_followed(save_picture, tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(save_picture("a.png", GREY))
    image = read_image(tmp_path / "link.png")
    assert image.image_id == "link"
    assert np.array_equal(image.pixels[0, ..., 0], GREY)


@pytest.mark.parametrize("name", ["gone.png", "gone.nii.gz", "gone.nrrd", "gone.dcm", "gone"])
def test_a_missing_file_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match=f"The image {name} cannot be read: the file does not exist"):
        read_image(tmp_path / name)
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(ImageError, match="does not exist"):
        read_image(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["a.png", "a.nii.gz", "a.nrrd", "a.dcm"])
def test_a_file_that_may_not_be_read_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / name).chmod(0)
    with pytest.raises(ImageError, match="change its permissions"):
        read_image(tmp_path / name)


def test_other_files_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(ImageError, match="it is not PNG, JPEG"):
        read_image(tmp_path / "a.txt")


def test_all_samples_are_read_or_refused_with_one_sentence(data_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    readable, refused = 0, 0
    for path in sorted((data_dir / "samples").rglob("*")):
        # One hundred slices more of one series, and pictures for print, prove nothing more.
        if path.is_dir() or "totalseg_ct_series" in path.parts or "screenshots" in path.parts:
            continue
        try:
            image = read_image(path)
        except ImageError as error:
            refused += 1
            sentence = str(error)
            assert sentence.startswith(f"The image {path.name} cannot be read: ")
            assert sentence.count(".") - path.name.count(".") == 1
        else:
            readable += 1
            assert image.pixels.ndim == 4
            assert image.image_id == image_id_of(path)
    assert (readable, refused) == (43, 12)
    assert capfd.readouterr() == ("", "")
