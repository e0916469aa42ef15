"""The drawn training images: exact masks, every style, the same from the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from autoweak.phantoms import drawn
from autoweak.phantoms.drawn import SIDE, Drawer
from autoweak.phantoms.drawn_marks import magnified, magnified_masks, moved
from autoweak.phantoms.drawn_shapes import Shape, blob, lung, tube, without
from autoweak.phantoms.drawn_textures import TextureBank


@pytest.fixture(scope="module")
def images() -> list[drawn.Drawn]:
    drawer = Drawer(11)
    return [drawer.draw() for _ in range(60)]


@pytest.fixture(scope="module")
def bank() -> TextureBank:
    return TextureBank(np.random.default_rng(3), count=3)


def test_images_and_masks_are_as_promised(images: list[drawn.Drawn]) -> None:
    for each in images:
        assert each.image.shape == (3, SIDE, SIDE)
        assert each.image.dtype == np.float32
        assert each.image.min() >= 0
        assert each.image.max() <= 1
        assert each.masks.dtype == np.bool_
        areas = each.masks.sum((1, 2))
        assert areas.min() >= 40
        assert areas.max() <= 0.9 * SIDE * SIDE


def test_images_are_grey_and_coloured(images: list[drawn.Drawn]) -> None:
    grey = [np.ptp(each.image, axis=0).max() == 0 for each in images]
    assert 0.3 < np.mean(grey) < 0.95


def test_the_same_seed_draws_the_same(images: list[drawn.Drawn]) -> None:
    drawer = Drawer(11)
    for each in images[:12]:
        again = drawer.draw()
        assert np.array_equal(again.image, each.image)
        assert np.array_equal(again.masks, each.masks)
    assert not np.array_equal(Drawer(12).draw().image, images[0].image)


def test_most_objects_can_be_told_from_what_is_around_them(images: list[drawn.Drawn]) -> None:
    differences = []
    for each in images:
        grey = each.image.mean(0)
        differences += [abs(grey[mask].mean() - grey[~mask].mean()) for mask in each.masks]
    assert np.median(differences) > 0.04


@pytest.mark.parametrize("style", drawn._STYLES)
def test_every_style_draws_objects(style, bank: TextureBank) -> None:
    rng = np.random.default_rng(5)
    canvases = [style(rng, bank) for _ in range(8)]
    assert all(canvas.masks for canvas in canvases)
    assert all(np.isfinite(canvas.pixels).all() for canvas in canvases)


@pytest.mark.parametrize("kind", ["smooth", "rough", "speckle"])
def test_textures_are_finite_and_as_large_as_asked(bank: TextureBank, kind: str) -> None:
    for _ in range(10):
        cut = getattr(bank, kind)(40, 97)
        assert cut.shape == (40, 97)
        assert np.isfinite(cut).all()
        if kind == "speckle":
            assert cut.min() >= 0


def test_a_blob_without_wildness_is_an_ellipse(bank: TextureBank) -> None:
    shape = blob(np.random.default_rng(0), bank, side=SIDE, size=30, wildness=0.0)
    assert shape.mask(SIDE).sum() == pytest.approx(np.pi * 30**2, rel=0.02)


def test_a_hole_is_cut_out() -> None:
    field = np.full((6, 6), 2.0, np.float32)
    whole = Shape(slice(0, 6), slice(0, 6), field)
    hole = Shape(slice(2, 4), slice(2, 4), np.full((2, 2), 2.0, np.float32))
    assert without(whole, hole).mask(8).sum() == 36 - 4


def test_a_shape_moved_off_the_image_loses_what_leaves_it() -> None:
    shape = Shape(slice(0, 4), slice(0, 4), np.ones((4, 4), np.float32))
    assert moved(shape, down=6, right=0, side=8).mask(8).sum() == 8
    assert moved(shape, down=-1, right=-2, side=8).mask(8).sum() == 6
    assert moved(shape, down=20, right=0, side=8) is shape


def test_coverage_falls_across_the_outline(bank: TextureBank) -> None:
    shape = tube(np.random.default_rng(1), side=SIDE, length=60, radius=8)
    alpha = shape.alpha(4)
    assert alpha[shape.field > 2].min() == 1
    assert alpha[shape.field < -2].max() == 0


def test_a_mirrored_lung_is_a_mirrored_lung() -> None:
    place = {"side": SIDE, "semi": (30.0, 60.0), "centre": (127.5, 127.5)}
    one = lung(np.random.default_rng(2), mirrored=False, **place).mask(SIDE)
    other = lung(np.random.default_rng(2), mirrored=True, **place).mask(SIDE)
    both = np.logical_and(one[:, ::-1], other).sum() / np.logical_or(one[:, ::-1], other).sum()
    assert both > 0.95


def test_what_is_seen_is_mostly_a_little_less_than_what_is_outlined(bank: TextureBank) -> None:
    rng = np.random.default_rng(4)
    shares = []
    for _ in range(60):
        shape = blob(rng, bank, side=SIDE, size=40, wildness=0.2)
        seen = drawn._seen(rng, bank, shape, margin=0.05, pixels=1.0)
        shares.append((seen.field > 0).sum() / (shape.field > 0).sum())
    assert 0.8 < np.mean(shares) < 0.97
    assert min(shares) > 0.4
    assert max(shares) < 1.4


def test_halves_share_a_shape_without_overlap(bank: TextureBank) -> None:
    rng = np.random.default_rng(6)
    for _ in range(10):
        shape = blob(rng, bank, side=SIDE, size=30)
        first, second = (part.mask(SIDE) for part in drawn._halves(rng, shape))
        assert not (first & second).any()
        assert (shape.mask(SIDE) & ~first & ~second).sum() <= 2 * SIDE, "a line between them at most"
        assert not ((first | second) & ~shape.mask(SIDE)).any()


def test_magnified_images_and_masks_have_the_pixels_of_a_small_matrix() -> None:
    rng = np.random.default_rng(2)
    mask = np.hypot(*(np.mgrid[:256, :256] - 120)) < 60
    coarse = magnified_masks(mask[None], 32)[0]
    blocks = coarse.reshape(32, 8, 32, 8)
    assert (blocks.all((1, 3)) | ~blocks.any((1, 3))).all()
    assert (coarse ^ mask).sum() < 0.12 * mask.sum()
    flat = magnified(np.full((1, 256, 256), 0.4, np.float32), 40)
    np.testing.assert_allclose(flat, 0.4, atol=1e-5)
    rough = rng.random((1, 256, 256), dtype=np.float32)
    assert np.abs(np.diff(magnified(rough, 40), axis=-1)).mean() < 0.1 * np.abs(np.diff(rough, axis=-1)).mean()
