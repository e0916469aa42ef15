"""Dermoscopy-like phantoms of wide variety, to train on: lesions of all sizes and tones, and what lies about them."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from autoweak.phantoms.canvas import Float, Size, blob, coordinates, smooth_noise, soft_inside, to_pixels
from autoweak.phantoms.dermoscopy import add_bubbles, add_hair, light, pigment_density


def draw_varied_dermoscopy(rng: np.random.Generator, size: Size) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one image (H, W, 3) uint8 RGB and its mask (H, W) uint8, lesion 1."""
    y, x = coordinates(size)
    base = _skin_colour(rng)
    image = _skin(rng, base, size)
    radius = float(np.exp(rng.uniform(np.log(0.05), np.log(0.55))))
    image = _other_naevi(rng, image, y, x, largest=0.5 * radius)
    image, mask = _add_lesion(rng, image, y, x, size, radius=radius)
    if rng.random() < 0.6:
        image = add_hair(rng, image, size)
    image = add_bubbles(rng, image, y, x)
    image = _gel_ring(rng, image, y, x)
    image = _reflections(rng, image, y, x)
    image = image * light(rng, y, x)[..., None]
    image += np.float32(rng.uniform(0.003, 0.02)) * rng.standard_normal((*size, 3)).astype(np.float32)
    pixels, cover = _laid_on(rng, to_pixels(image))
    return pixels, (mask & ~cover).astype(np.uint8)


def _skin_colour(rng: np.random.Generator) -> NDArray[np.float32]:
    """From pale to brown, from pink to yellow, and the casts that cameras add."""
    hue, saturation, value = rng.uniform(-0.03, 0.11) % 1.0, rng.uniform(0.06, 0.45), rng.uniform(0.6, 1.0)
    if rng.random() < 0.12:
        hue, saturation = rng.uniform(0.6, 0.95), rng.uniform(0.03, 0.2)  # a bluish or violet cast
    return np.asarray(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def _skin(rng: np.random.Generator, base: NDArray[np.float32], size: Size) -> Float:
    """Skin (H, W, 3), 0..1: mottling, pores, redness in patches."""
    mottling = np.float32(rng.uniform(0.01, 0.06)) * smooth_noise(rng, size, rows=5, columns=5, octaves=4)
    pores = np.float32(rng.uniform(0.0, 0.03)) * smooth_noise(rng, size, rows=60, columns=60)
    image = base * (1 + mottling + pores)[..., None]
    patches = np.maximum(smooth_noise(rng, size, rows=4, columns=4, octaves=3), 0)
    image = image - np.float32(rng.uniform(0, 0.08)) * patches[..., None] * np.asarray((0.1, 1.0, 0.7), np.float32)
    return np.asarray(image, np.float32)


def _absorbed(rng: np.random.Generator) -> NDArray[np.float32]:
    """What share of red, green and blue a pigment lets through: brown, black, red, blue-grey."""
    kind = rng.uniform()
    if kind < 0.68:
        strength = rng.uniform(0.35, 1.7)
        through = np.exp(-strength * np.asarray((0.45, 1.0, 1.35)) * rng.uniform(0.85, 1.15, 3))
    elif kind < 0.8:
        through = rng.uniform(0.1, 0.35) * rng.uniform(0.8, 1.2, 3)
    elif kind < 0.92:
        through = np.exp(-rng.uniform(0.15, 0.9) * np.asarray((0.15, 1.0, 0.85)))
    else:
        through = np.exp(-rng.uniform(0.4, 1.2) * np.asarray((1.1, 0.9, 0.6)))
    return np.asarray(through, np.float32)


def _add_lesion(
    rng: np.random.Generator, image: Float, y: Float, x: Float, size: Size, *, radius: float
) -> tuple[Float, NDArray[np.bool_]]:
    """The skin with one lesion, and the lesion's mask (H, W) as a person outlines it: smoother, a little outside."""
    away = max(0.08, 0.3 - 0.4 * radius)
    centre = tuple(rng.uniform(0.5 - away, 0.5 + away) * float(axis.max()) for axis in (y, x))
    rough = float(rng.choice([0.02, 0.06, 0.1, 0.16]))
    shape = {"aspect": rng.uniform(1.0, 1.9), "angle": rng.uniform(0, np.pi), "roughness": rough}
    outline = blob(rng, y, x, centre=(centre[0], centre[1]), radius=radius, **shape)
    level = outline + np.float32(radius * rng.uniform(0.02, 0.15)) * smooth_noise(
        rng, size, rows=int(rng.integers(5, 14)), columns=int(rng.integers(5, 14)), octaves=3
    )
    soft = max(0.01, radius * rng.uniform(0.03, 0.5))
    cover = (pigment_density(rng, np.clip(-level / np.float32(radius), 0, 1), size) * soft_inside(level, soft))[
        ..., None
    ]
    image = image * (1 - cover * (1 - _tones(rng, size)))
    if rng.random() < 0.35:  # a darker part inside, in the middle or aside
        inner = [place + rng.normal(0, 0.25) * radius for place in centre]
        core = blob(rng, y, x, centre=(inner[0], inner[1]), radius=radius * rng.uniform(0.2, 0.65), **shape)
        strength = np.float32(rng.uniform(0.3, 0.95)) * soft_inside(core, radius * rng.uniform(0.1, 0.5))
        image = image * (1 - strength[..., None] * (1 - _absorbed(rng)))
    grown = outline - np.float32(rng.choice([0.0, 0.0, 0.03, 0.1])) * np.float32(radius)
    return np.asarray(image, np.float32), grown < 0


def _tones(rng: np.random.Generator, size: Size) -> Float:
    """Light let through (H, W, 3): one tone, or two in patches."""
    first, second = _absorbed(rng), _absorbed(rng)
    if rng.random() < 0.6:
        second = first ** np.float32(rng.uniform(0.6, 1.5))
    field = smooth_noise(rng, size, rows=int(rng.integers(3, 12)), columns=int(rng.integers(3, 12)), octaves=3)
    patches = soft_inside(field - np.float32(rng.normal(0, 0.6)), 1.2)[..., None]
    through = first * patches + second * (1 - patches)
    return np.asarray(through, np.float32)


def _other_naevi(rng: np.random.Generator, image: Float, y: Float, x: Float, *, largest: float) -> Float:
    """Freckles and small naevi beside the lesion, which nobody outlines."""
    for _ in range(int(rng.choice([0, 0, 0, 2, 6]))):
        centre = (rng.uniform(0, 1) * float(y.max()), rng.uniform(0, 1) * float(x.max()))
        spot = rng.uniform(0.2, 1.0) * min(largest, 0.06)
        level = blob(rng, y, x, centre=centre, radius=spot, aspect=1.3, angle=0, roughness=0.08)
        strength = np.float32(rng.uniform(0.15, 0.6)) * soft_inside(level, 0.02)[..., None]
        image = image * (1 - strength * (1 - _absorbed(rng)))
    return np.asarray(image, np.float32)


def _gel_ring(rng: np.random.Generator, image: Float, y: Float, x: Float) -> Float:
    """The edge of the contact gel or of the lens: a thin bright or dark closed line, in some images."""
    if rng.random() > 0.12:
        return image
    centre = (rng.uniform(0.35, 0.65) * float(y.max()), rng.uniform(0.35, 0.65) * float(x.max()))
    shape = {"aspect": rng.uniform(1, 1.5), "angle": rng.uniform(0, np.pi), "roughness": 0.05}
    level = blob(rng, y, x, centre=centre, radius=rng.uniform(0.25, 0.5), **shape)
    line = np.exp(-((level / np.float32(rng.uniform(0.004, 0.015))) ** 2))[..., None]
    return np.asarray(image + np.float32(rng.choice([-0.15, 0.2])) * line, np.float32)


def _reflections(rng: np.random.Generator, image: Float, y: Float, x: Float) -> Float:
    """White patches where the lamp is mirrored, at the rim of some images."""
    for _ in range(int(rng.choice([0, 0, 0, 0, 1, 2]))):
        centre = (rng.uniform(0, 1) * float(y.max()), float(rng.choice([0.0, 1.0])) * float(x.max()))
        level = blob(rng, y, x, centre=centre, radius=rng.uniform(0.03, 0.12), aspect=1.5, angle=1.5, roughness=0.2)
        image = image + np.float32(rng.uniform(0.3, 1.0)) * soft_inside(level, 0.08)[..., None]
    return np.asarray(image, np.float32)


def _laid_on(rng: np.random.Generator, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The image with stickers, rulers and frames, and what they hide (H, W) bool."""
    height, width = image.shape[:2]
    picture, cover = Image.fromarray(image), Image.new("1", (width, height))
    pens = ImageDraw.Draw(picture), ImageDraw.Draw(cover)
    if rng.random() < 0.16:
        _stickers(rng, pens, width, height)
    if rng.random() < 0.2:
        _ruler(rng, pens[0], width, height)
    if rng.random() < 0.1:
        edge = rng.uniform(0.01, 0.08) * width
        for x0, x1 in ((0, edge), (width - edge, width)):
            pens[0].rectangle((x0, 0, x1, height), fill=(0, 0, 0))
    return np.asarray(picture), np.asarray(cover, bool)


def _stickers(
    rng: np.random.Generator, pens: tuple[ImageDraw.ImageDraw, ImageDraw.ImageDraw], width: int, height: int
) -> None:
    for _ in range(int(rng.integers(1, 3))):
        along, beside = rng.uniform(0, 1), rng.uniform(-0.12, 0.1)
        place = (along, beside) if rng.random() < 0.4 else (beside, along)
        column, row = ((abs(part - 1) if rng.random() < 0.5 else part) for part in place)
        column, row, reach = column * width, row * height, rng.uniform(0.1, 0.3) * height
        colour = colorsys.hsv_to_rgb(rng.uniform(0, 1), rng.uniform(0.3, 1.0), rng.uniform(0.5, 1.0))
        box = (column - reach * rng.uniform(0.5, 1), row - reach, column + reach * rng.uniform(0.5, 1), row + reach)
        pens[0].ellipse(box, fill=tuple(int(255 * part) for part in colour))
        pens[1].ellipse(box, fill=1)
        if rng.random() < 0.4:
            inner = (
                box[0] * 0.6 + column * 0.4,
                box[1] * 0.6 + row * 0.4,
                box[2] * 0.6 + column * 0.4,
                row + reach * 0.6,
            )
            pens[0].ellipse(inner, fill=tuple(int(value) for value in rng.integers(0, 256, 3)))


def _ruler(rng: np.random.Generator, pen: ImageDraw.ImageDraw, width: int, height: int) -> None:
    start = np.asarray(
        (rng.uniform(0.1, 0.6) * width, rng.choice([rng.uniform(0.75, 0.97), rng.uniform(0.03, 0.2)]) * height)
    )
    angle, length = rng.normal(0, 0.3), rng.uniform(0.2, 0.5) * width
    along = np.asarray((np.cos(angle), np.sin(angle)))
    across = np.asarray((-along[1], along[0])) * rng.uniform(0.015, 0.04) * height
    colour = tuple(int(value) for value in rng.uniform(20, 110) + rng.uniform(0, 20, 3))
    end = start + along * length
    pen.line([tuple(start), tuple(end)], fill=colour)
    for part in np.linspace(0, 1, int(rng.integers(8, 22))):
        tick = start + along * length * part
        pen.line([tuple(tick), tuple(tick - across)], fill=colour)
