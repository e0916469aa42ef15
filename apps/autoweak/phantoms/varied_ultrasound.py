"""Ultrasound-like phantoms of wide variety, to train on: lesions of all sizes, places and echoes, and what misleads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter1d, zoom

from autoweak.phantoms.canvas import Float, Size, blob, coordinates, smooth_noise, soft_inside, to_pixels, wave
from autoweak.phantoms.ultrasound import fat_lobules, shadows, speckle, tissue

_LESIONS = (0, 1, 2)
_LESION_SHARES = (0.2, 0.7, 0.1)  # of images with so many lesions


def draw_varied_ultrasound(rng: np.random.Generator, size: Size) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one image (H, W) uint8 and its mask (H, W) uint8, lesion 1; a fifth of the images holds no lesion."""
    y, x = coordinates(size)
    echo = tissue(rng, y, x, size) + fat_lobules(rng, y, x)
    echo = echo + np.float32(rng.uniform(0.0, 0.25)) * _fibres(rng, size)
    echo = _vessels(rng, echo, y, x)
    mask = np.zeros(size, bool)
    for _ in range(int(rng.choice(_LESIONS, p=_LESION_SHARES))):
        echo, lesion = _add_lesion(rng, echo, y, x, size)
        mask |= lesion
    echo = echo - shadows(rng, y, x) - _deep_dark(rng, y, x, size)
    grain = np.float32(rng.uniform(0.02, 0.08)) * _grain(rng, size)
    image = echo - _attenuation(rng, y) + np.float32(rng.uniform(-0.12, 0.12)) + grain
    image = np.where(y < rng.uniform(0.0, 0.03), np.maximum(image, rng.uniform(0.4, 0.9)), image)
    image = np.clip(image * np.float32(rng.uniform(0.8, 1.3)), 0.0, 1.0) ** np.float32(rng.uniform(0.7, 1.5))
    image, mask = _sector(rng, image, mask, y, x)
    return _annotated(rng, to_pixels(image), mask), mask.astype(np.uint8)


def _grain(rng: np.random.Generator, size: Size) -> Float:
    """Speckle of varied size: that of a fine image, or of one that was enlarged."""
    scale = float(rng.choice([1.0, 1.0, 1.6, 2.4]))
    small = (max(8, round(size[0] / scale)), max(8, round(size[1] / scale)))
    grain = speckle(rng, small)
    if small == size:
        return grain
    return np.asarray(zoom(grain, (size[0] / small[0], size[1] / small[1]), order=1), np.float32)


def _fibres(rng: np.random.Generator, size: Size) -> Float:
    """Strands (H, W) along wavy layers, about -1..1: coarse fibroglandular tissue."""
    rows = int(rng.integers(10, 40))
    field = smooth_noise(rng, size, rows=rows, columns=int(rng.integers(3, 10)), octaves=2)
    return np.asarray(np.clip(field, -1.5, 2.5) * 0.5, np.float32)


def _vessels(rng: np.random.Generator, echo: Float, y: Float, x: Float) -> Float:
    """The echo strength with a few small dark tubes and dots that are no lesions: ducts and vessels."""
    for _ in range(int(rng.choice([0, 0, 1, 3]))):
        centre = (rng.uniform(0.15, 0.9) * float(y.max()), rng.uniform(0, 1) * float(x.max()))
        shape = {"aspect": rng.uniform(3, 8), "angle": rng.normal(0, 0.4), "roughness": 0.05}
        level = blob(rng, y, x, centre=centre, radius=rng.uniform(0.012, 0.03), **shape)
        echo = echo * (1 - np.float32(rng.uniform(0.3, 0.8)) * soft_inside(level, 0.02))
    return np.asarray(echo, np.float32)


def _add_lesion(
    rng: np.random.Generator, echo: Float, y: Float, x: Float, size: Size
) -> tuple[Float, NDArray[np.bool_]]:
    """The echo strength with one lesion and the change behind it, and its outline as a person draws it (H, W)."""
    radius = float(np.exp(rng.uniform(np.log(0.035), np.log(0.34))))
    centre = (rng.uniform(0.1, 0.68) * float(y.max()), rng.uniform(0.06, 0.94) * float(x.max()))
    rough = float(rng.choice([0.02, 0.06, 0.12, 0.2]))
    shape = {"aspect": rng.uniform(1.0, 2.6), "angle": rng.normal(0, 0.3), "roughness": rough}
    outline = blob(rng, y, x, centre=centre, radius=radius, **shape)
    level = outline + np.float32(rng.uniform(0.03, 0.25) * radius) * smooth_noise(rng, size, rows=14, columns=14)
    inside = soft_inside(level, rng.uniform(0.01, 0.1))
    around = float(np.sum(echo * inside) / max(float(inside.sum()), 1e-3))
    interior = _interior(rng, around, size)
    rim = np.float32(rng.uniform(-0.05, 0.2)) * np.exp(-((level / np.float32(rng.uniform(0.008, 0.03))) ** 2))
    beam = gaussian_filter1d(inside.max(axis=0), 0.02 * size[1])[None, :]
    behind = beam * soft_inside(np.float32(centre[0] + 0.6 * radius) - y, 0.08) * (1 - inside)
    change = rng.choice([-1.0, 1.0, 0.0], p=[0.45, 0.35, 0.2]) * rng.uniform(0.05, 0.4)
    echo = echo + np.float32(change) * behind * np.exp(-np.maximum(y - np.float32(centre[0]), 0) * 1.5)
    echo = echo * (1 - inside) + np.maximum(interior, 0.01) * inside + rim
    return np.asarray(echo, np.float32), outline < 0


def _interior(rng: np.random.Generator, around: float, size: Size) -> Float:
    """Echo strength (H, W) of a lesion's inside: mostly dark, sometimes like its surroundings or brighter, mottled."""
    kind = rng.uniform()
    if kind < 0.78:
        mean = rng.uniform(0.02, max(0.03, 0.75 * around))
    elif kind < 0.92:
        mean = around * rng.uniform(0.75, 0.95)
    else:
        mean = around * rng.uniform(1.15, 1.5)
    mottled = np.float32(rng.uniform(0.0, 0.12)) * smooth_noise(rng, size, rows=9, columns=9, octaves=3)
    return np.asarray(mean + mottled, np.float32)


def _deep_dark(rng: np.random.Generator, y: Float, x: Float, size: Size) -> Float:
    """Darkness (H, W), 0 or above, of what is no lesion: chest wall, rib shadows with a bright cap, lung."""
    dark = np.zeros(size, np.float32)
    if rng.uniform() < 0.35:
        top = np.float32(rng.uniform(0.55, 0.95) * float(y.max())) + np.float32(0.05) * wave(rng, x)
        dark += np.float32(rng.uniform(0.1, 0.4)) * soft_inside(top - y, rng.uniform(0.03, 0.2))
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        centre = (rng.uniform(0.5, 0.85) * float(y.max()), rng.uniform(0, 1) * float(x.max()))
        shape = {"aspect": rng.uniform(1, 2), "angle": 0.0, "roughness": 0.05}
        cap = blob(rng, y, x, centre=centre, radius=rng.uniform(0.05, 0.12), **shape)
        below = soft_inside(cap, 0.04).max(axis=0)[None, :] * soft_inside(np.float32(centre[0]) - y, 0.05)
        dark += np.float32(rng.uniform(0.15, 0.4)) * below
        dark -= np.float32(rng.uniform(0.1, 0.35)) * np.exp(-((cap / 0.015) ** 2)) * (y < centre[0])
    return dark


def _attenuation(rng: np.random.Generator, y: Float) -> Float:
    """Loss of echo (H, W) with depth."""
    begin = np.float32(rng.uniform(0.2, 0.7)) * y.max()
    return np.asarray(rng.uniform(0.0, 1.0) * np.maximum(y - begin, 0) / y.max(), np.float32)


def _sector(
    rng: np.random.Generator, image: Float, mask: NDArray[np.bool_], y: Float, x: Float
) -> tuple[Float, NDArray[np.bool_]]:
    """Black corners beside the beams of a curved or virtually convex probe, in some images."""
    if rng.uniform() > 0.12:
        return image, mask
    slope, offset = rng.uniform(0.1, 0.5), rng.uniform(-0.1, 0.15)
    left = x < np.float32(offset) + np.float32(slope) * (y.max() * np.float32(rng.uniform(0.2, 1)) - y)
    cut = left | (left[:, ::-1] if rng.uniform() < 0.6 else np.zeros_like(left))
    return np.where(cut, 0.0, image).astype(np.float32), mask & ~cut


def _annotated(rng: np.random.Generator, image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The image with writing, and with calipers at a lesion's ends, as archives hold them."""
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    height, width = image.shape
    if rng.uniform() < 0.35:
        text = "".join(rng.choice(list("ABELRTX 1278"), int(rng.integers(2, 12))))
        place = (rng.uniform(0, 0.6) * width, float(rng.choice([rng.uniform(0.6, 0.9), rng.uniform(0, 0.05)])) * height)
        pen.text(place, text, fill=int(rng.integers(170, 256)))
    if mask.any() and rng.uniform() < 0.25:
        _calipers(rng, pen, mask)
    return np.asarray(picture)


def _calipers(rng: np.random.Generator, pen: ImageDraw.ImageDraw, mask: NDArray[np.bool_]) -> None:
    rows, columns = np.nonzero(mask)
    fill, arm = int(rng.integers(180, 256)), max(1.0, 0.012 * mask.shape[0])
    for axis in range(int(rng.integers(1, 3))):
        order = np.argsort(columns if axis == 0 else rows)
        ends = [(float(columns[order[i]]), float(rows[order[i]])) for i in (0, -1)]
        for column, row in ends:
            pen.line([(column - arm, row), (column + arm, row)], fill=fill)
            pen.line([(column, row - arm), (column, row + arm)], fill=fill)
        if rng.uniform() < 0.6:
            for part in np.linspace(0, 1, 14):
                column, row = (ends[0][i] * (1 - part) + ends[1][i] * part for i in (0, 1))
                pen.point((column, row), fill=fill)
