"""Pictures in all the ways that PNG, JPEG, BMP and TIFF store them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoweak.errors import ImageError
from autoweak.studies import raster, read_image, stored

GREY = np.arange(5 * 7, dtype=np.uint8).reshape(5, 7) * 7
RGB = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.TIFF", "a.PNG"])
@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "rgb"])
def test_lossless_formats_are_read_exactly(save_picture, name: str, pixels: np.ndarray) -> None:
    image = read_image(save_picture(name, pixels))
    assert image.pixels.dtype == np.uint8
    assert np.array_equal(image.pixels, pixels.reshape(1, 5, 7, -1))
    assert image.image_id == "a"


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.JPG"])
def test_jpeg_is_read(save_picture, name: str) -> None:
    smooth = np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8) * 3
    image = read_image(save_picture(name, smooth, quality=95))
    assert image.pixels.shape == (1, 32, 48, 1)
    assert np.abs(image.pixels[0, ..., 0].astype(int) - smooth).max() < 8


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_grey_keeps_its_values(save_picture, name: str) -> None:
    values = (np.arange(35, dtype=np.uint16) * 1871).reshape(5, 7)
    pixels = read_image(save_picture(name, values)).pixels
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels[0, ..., 0], values)


def test_float_tiff_keeps_its_values(save_picture) -> None:
    values = np.linspace(-1, 3, 35, dtype=np.float32).reshape(5, 7)
    assert np.array_equal(read_image(save_picture("a.tif", values)).pixels[0, ..., 0], values)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff_is_read(save_picture, compression: str) -> None:
    assert np.array_equal(read_image(save_picture("a.tif", RGB, compression=compression)).pixels[0], RGB)


def test_transparency_is_dropped(save_picture) -> None:
    rgba = np.dstack([RGB, GREY])
    assert np.array_equal(read_image(save_picture("a.png", rgba)).pixels[0], RGB)
    grey_alpha = np.dstack([GREY, GREY[::-1]])
    assert np.array_equal(read_image(save_picture("b.png", grey_alpha, mode="LA")).pixels[0, ..., 0], GREY)


def test_palettes_become_rgb_and_one_bit_becomes_0_and_255(save_picture) -> None:
    blocks = np.repeat(np.array([[255, 0, 0], [0, 0, 255]], dtype=np.uint8), 6, axis=0).reshape(3, 4, 3)
    assert np.array_equal(read_image(save_picture("p.png", blocks, mode="P")).pixels[0], blocks)
    bits = (GREY > 100).astype(np.uint8) * 255
    assert np.array_equal(read_image(save_picture("b.png", bits, mode="1")).pixels[0, ..., 0], bits)


def test_cmyk_jpeg_becomes_rgb(save_picture) -> None:
    red = np.zeros((16, 16, 3), dtype=np.uint8)
    red[..., 0] = 200
    pixels = read_image(save_picture("c.jpg", red, mode="CMYK", quality=95)).pixels[0].astype(int)
    assert np.abs(pixels - red).max() < 12


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_an_exif_orientation_is_not_applied(save_picture, name: str, orientation: int) -> None:
    """Masks are drawn on the pixels as they are stored."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8) * 3
    pixels = read_image(save_picture(name, smooth, exif=exif)).pixels
    assert pixels.shape == (1, 32, 48, 1)
    assert np.abs(pixels[0, ..., 0].astype(int) - smooth).max() < 8


def test_tiff_orientation_is_part_of_how_rows_are_stored(save_picture) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    assert np.array_equal(read_image(save_picture("a.tif", GREY, exif=exif)).pixels[0, ..., 0], GREY[::-1, ::-1])


def test_the_content_counts_not_the_ending(save_picture, tmp_path: Path) -> None:
    save_picture("a.jpg", RGB, quality=95).rename(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").pixels.shape == (1, 5, 7, 3)


def test_pages_are_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY), Image.fromarray(GREY)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ImageError, match=r"a\.tif cannot be read: it holds 2 pages"):
        read_image(tmp_path / "a.tif")


def test_too_many_pixels_are_refused_before_they_are_unpacked(save_picture, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_picture("a.png", GREY)
    monkeypatch.setattr(raster, "MAX_PIXELS", 34)
    with pytest.raises(ImageError, match="35 pixels and the limit is 34"):
        read_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    with pytest.raises(ImageError, match="more than 34 pixels"):
        read_image(path)
    assert stored.MAX_PIXELS >= 50_000_000


def test_other_formats_are_refused(save_picture, tmp_path: Path) -> None:
    save_picture("a.gif", GREY).rename(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png cannot be read: it is damaged or not a PNG"):
        read_image(tmp_path / "a.png")


def test_a_palette_mask_is_read_by_its_indices(tmp_path: Path) -> None:
    indices = np.array([[0, 1], [2, 0]], dtype=np.uint8)
    picture = Image.fromarray(indices, mode="P")
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    picture.save(tmp_path / "voc.png")
    assert np.array_equal(raster.read_grey(tmp_path / "voc.png"), indices)


def test_a_grey_palette_mask_is_read_by_its_greys(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[1, 0], [1, 1]], dtype=np.uint8), mode="P")
    picture.putpalette([255, 255, 255, 0, 0, 0])
    picture.save(tmp_path / "turned.png")
    assert np.array_equal(raster.read_grey(tmp_path / "turned.png"), [[0, 255], [0, 0]])


def test_black_is_background_in_a_coloured_palette_of_any_order(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[1, 0], [1, 1]], dtype=np.uint8), mode="P")
    picture.putpalette([255, 0, 0, 0, 0, 0])
    picture.save(tmp_path / "red.png")
    assert np.array_equal(raster.read_grey(tmp_path / "red.png") > 0, [[False, True], [False, False]])


def test_opacity_alone_is_a_mask(save_picture) -> None:
    shape = (GREY > 100).astype(np.uint8) * 255
    black, white = np.zeros_like(RGB), np.full_like(RGB, 255)
    for name, colour in (("black.png", black), ("white.png", white)):
        values = raster.read_grey(save_picture(name, np.dstack([colour, shape])))
        assert np.array_equal(values > 0, shape > 0)


def test_opacity_hides_what_is_below_it(save_picture) -> None:
    values = np.tile(np.array([1, 2], dtype=np.uint8), (5, 4))[:, :7]
    alpha = np.full_like(GREY, 255)
    alpha[0] = 0
    found = raster.read_grey(save_picture("a.png", np.dstack([values, values, values, alpha])))
    assert (found[0] == 0).all()
    assert np.array_equal(found[1:], values[1:])
