"""Damaged files: whatever the bytes, there is an image or one sentence, and nothing on the terminal."""

from __future__ import annotations

import contextlib
import io
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from autoweak.errors import AutoweakError
from autoweak.studies import read_image, read_label, write_mask

ENDINGS = [".png", ".jpg", ".bmp", ".tif", ".nii", ".nii.gz", ".nrrd", ".dcm"]
QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
STARTS = {
    ".png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    ".jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    ".bmp": b"BM",
    ".tif": b"II*\0\x08\0\0\0",
    ".nii": (348).to_bytes(4, "little"),
    ".nii.gz": b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    ".nrrd": b"NRRD0004\n",
    ".dcm": b"\0" * 128 + b"DICM",
}


@pytest.fixture
def whole(save_dicom) -> dict[str, bytes]:
    """A good file of each kind."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (24, 32), dtype=np.uint8)
    files = {}
    for ending, name in ((".png", "PNG"), (".jpg", "JPEG"), (".bmp", "BMP"), (".tif", "TIFF")):
        stream = io.BytesIO()
        options = {"compression": "tiff_lzw"} if name == "TIFF" else {}
        Image.fromarray(grey).save(stream, format=name, **options)
        files[ending] = stream.getvalue()
    volume = nibabel.Nifti1Image(rng.integers(0, 99, (5, 6, 7)).astype(np.int16), np.eye(4))
    path = save_dicom("whole/x.dcm", grey)
    files[".dcm"] = path.read_bytes()
    for ending in (".nii", ".nii.gz"):
        nibabel.save(volume, path.parent / f"x{ending}")
        files[ending] = (path.parent / f"x{ending}").read_bytes()
    files[".nrrd"] = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 8 24\nencoding: raw\n\n" + grey.tobytes()
    return files


def survives(folder: Path, ending: str, content: bytes, make_task) -> bool:
    """Read the bytes as an image and as a label; any exception but ours fails the test."""
    path = folder / f"x{ending}"
    path.write_bytes(content)
    image = None
    with contextlib.suppress(AutoweakError):
        image = read_image(path)
        assert image.pixels.ndim == 4
        assert image.pixels.dtype.kind in "iuf"
        assert np.isfinite(image.pixels).all()
        suffix = ".nii.gz" if image.geometry.is_volume else ".png"
        write_mask(folder / f"m{suffix}", np.zeros(image.pixels.shape[:3], dtype=np.uint8), image=image)
    picture = folder / "i.png"
    Image.fromarray(np.zeros((24, 32), dtype=np.uint8)).save(picture)
    for labelled in filter(None, (image, read_image(picture))):
        with contextlib.suppress(AutoweakError):
            read_label(path, image=labelled, task=make_task(2))
    return image is not None


@pytest.mark.parametrize("ending", ENDINGS)
def test_good_files_survive(whole, tmp_path: Path, make_task, ending: str) -> None:
    assert survives(tmp_path, ending, whole[ending], make_task)


@pytest.mark.parametrize("ending", ENDINGS)
@QUICK
@given(start=st.booleans(), content=st.binary(max_size=600))
def test_random_bytes(tmp_path: Path, make_task, ending: str, start: bool, content: bytes) -> None:
    survives(tmp_path, ending, (STARTS[ending] if start else b"") + content, make_task)


@pytest.mark.parametrize("ending", ENDINGS)
def test_truncated_files(whole, tmp_path: Path, make_task, capfd: pytest.CaptureFixture[str], ending: str) -> None:
    content = whole[ending]
    for length in np.linspace(0, len(content) - 1, 40).astype(int):
        survives(tmp_path, ending, content[:length], make_task)
    said = capfd.readouterr()
    # libtiff, within PIL, writes to the terminal by itself.
    assert (said.out, "" if ending == ".tif" else said.err) == ("", "")


@pytest.mark.parametrize("ending", ENDINGS)
@QUICK
@given(data=st.data())
def test_flipped_bytes(whole, tmp_path: Path, make_task, ending: str, data: st.DataObject) -> None:
    content = bytearray(whole[ending])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 700) - 1))] = data.draw(st.integers(0, 255))
    survives(tmp_path, ending, bytes(content), make_task)


def test_half_a_picture_is_no_image(whole, tmp_path: Path, make_task) -> None:
    for ending in ENDINGS:
        assert not survives(tmp_path, ending, whole[ending][: len(whole[ending]) // 2], make_task)


def test_what_nibabel_mends_in_a_header_is_not_printed(whole, tmp_path: Path, make_task, capfd) -> None:
    content = bytearray(whole[".nii"])
    content[0] ^= 1  # the size of the header
    assert survives(tmp_path, ".nii", bytes(content), make_task)
    assert capfd.readouterr() == ("", "")


def test_a_long_thin_mask_is_counted_fast(tmp_path: Path, make_task) -> None:
    from autoweak.studies.label_values import decode

    start = time.monotonic()
    decode(np.zeros((300_000, 8), dtype=np.uint8), ("a", "b"), volume=False)
    assert time.monotonic() - start < 10
