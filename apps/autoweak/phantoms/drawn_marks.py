"""What lies around and over the objects of a drawn image: tissue layers, shadows, ribs, hairs, frames, noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from autoweak.phantoms.drawn_shapes import Shape, blob
from autoweak.phantoms.drawn_textures import Field, Floats, TextureBank


def layers(rng: np.random.Generator, bank: TextureBank, side: int) -> Field:
    """Tissue layers of an ultrasound image (side, side): wavy bands of differing echo, fading with depth."""
    edges = np.sort(rng.uniform(0, side, int(rng.integers(2, 9))))
    levels = rng.uniform(0.12, 0.75, edges.size + 1).astype(np.float32)
    depth = np.arange(side, dtype=np.float32)
    profile = ndimage.gaussian_filter1d(levels[np.searchsorted(edges, depth)], rng.uniform(0.5, 5))
    wave = bank.smooth(side, side) * np.float32(rng.uniform(0, 10)) + depth[:, None]
    band = profile[np.clip(wave, 0, side - 1).astype(np.int32)]
    fibres = 1 + np.float32(rng.uniform(0, 0.5)) * bank.rough(side, side)
    fade = np.exp(-depth[:, None] / side * np.float32(rng.uniform(-0.2, 1.6)))
    return np.asarray(np.maximum(band * fibres * fade, 0.01), np.float32)


def posterior(rng: np.random.Generator, pixels: Field, shape: Shape) -> None:
    """Darken (shadow) or brighten (enhancement) the columns below a lesion of an ultrasound image."""
    if rng.random() < 0.4:
        return
    gain = rng.uniform(0.15, 0.8) if rng.random() < 0.55 else rng.uniform(1.1, 1.8)
    across = ndimage.gaussian_filter1d((shape.field > 0).any(0).astype(np.float32), rng.uniform(1, 6))
    start = shape.rows.start + shape.field.shape[0] // 2
    below = pixels[:, start:, shape.columns]
    fall = np.exp(-np.arange(below.shape[1], dtype=np.float32) / np.float32(rng.uniform(30, 200)))[:, None]
    below *= 1 + np.float32(gain - 1) * across * fall


def specks(rng: np.random.Generator, pixels: Field, shape: Shape) -> None:
    """Put a few bright specks inside a shape."""
    rows, columns = np.nonzero(shape.field > 2)
    if rows.size == 0:
        return
    for index in rng.integers(rows.size, size=int(rng.integers(1, 7))):
        y, x = shape.rows.start + rows[index], shape.columns.start + columns[index]
        pixels[:, y : y + int(rng.integers(1, 3)), x : x + int(rng.integers(1, 5))] += np.float32(rng.uniform(0.1, 0.5))


def ultrasound_frame(rng: np.random.Generator, bank: TextureBank, pixels: Field) -> Field:
    """Side shadows, a black border or fan-shaped sector, and letters, over (1, H, W)."""
    side = pixels.shape[-1]
    if rng.random() < 0.35:
        columns = np.clip(1 + bank.smooth(1, side) * rng.uniform(0, 0.6), 0.1, 2).astype(np.float32)
        pixels = pixels * columns
    if rng.random() < 0.3:
        x = np.arange(side, dtype=np.float32)[None]
        y = np.arange(side, dtype=np.float32)[:, None]
        opening, left, right = rng.uniform(0, 0.5), rng.uniform(0, 40), rng.uniform(0, 40)
        pixels = pixels * ((x > left - opening * y) & (x < side - right + opening * y))
    if rng.random() < 0.3:
        pixels[:, : int(rng.integers(1, 16))] = 0
    if rng.random() < 0.3:
        pixels[:, -int(rng.integers(1, 24)) :] = rng.uniform(0, 0.1)
    if rng.random() < 0.3:
        letters(rng, pixels)
    return np.asarray(pixels, np.float32)


def letters(rng: np.random.Generator, pixels: Field) -> None:
    """Write a few letter-like marks near the border."""
    side = pixels.shape[-1]
    level = np.float32(rng.uniform(0.5, 1.1))
    x, y = int(rng.integers(2, side - 50)), int(rng.choice([rng.integers(2, 20), rng.integers(side - 24, side - 10)]))
    for _ in range(int(rng.integers(2, 10))):
        glyph = rng.random((7, 4)) < 0.5
        pixels[:, y : y + 7, x : x + 4][:, glyph] = level
        x += 5


def hairs(rng: np.random.Generator, pixels: Field) -> None:
    """Lay dark, curved, hair-thin lines over (C, H, W) in place."""
    if rng.random() < 0.45:
        return
    side = pixels.shape[-1]
    t = np.linspace(0, 1, 260)[:, None]
    strength = np.float32(rng.uniform(0.2, 0.9))
    for _ in range(int(rng.integers(1, 25))):
        a, b = rng.uniform(-0.2, 1.2, (2, 2)) * side
        bend = (a + b) / 2 + rng.normal(0, 0.15, 2) * side
        path = ((1 - t) ** 2 * a + 2 * t * (1 - t) * bend + t**2 * b).astype(np.int32)
        path = path[((path >= 0) & (path < side)).all(1)]
        pixels[:, path[:, 0], path[:, 1]] *= 1 - strength * np.float32(rng.uniform(0.5, 1))


def skin_frame(rng: np.random.Generator, pixels: Field) -> None:
    """Dark corners, a ruler or a bright bubble over (C, H, W), in place."""
    side = pixels.shape[-1]
    x = (np.arange(side, dtype=np.float32) - side / 2)[None]
    y = x.T
    if rng.random() < 0.35:
        far = np.hypot(x + np.float32(rng.normal(0, 8)), y + np.float32(rng.normal(0, 8)))
        start = side * rng.uniform(0.42, 0.62)
        pixels *= np.clip(1 - (far - np.float32(start)) / np.float32(rng.uniform(1, 40)), 0.02, 1)
    if rng.random() < 0.15:
        column, step = int(rng.integers(0, side - 8)), int(rng.integers(6, 16))
        pixels[:, ::step, column : column + 7] *= np.float32(0.3)
    if rng.random() < 0.2:
        centre = rng.uniform(-0.47, 0.47, 2) * side
        ring = np.abs(np.hypot(x - np.float32(centre[0]), y - np.float32(centre[1])) - np.float32(rng.uniform(3, 12)))
        pixels += np.exp(-ring) * np.float32(rng.uniform(0.1, 0.4))


def chest(rng: np.random.Generator, pixels: Field, side: int) -> Field:
    """Give (side, side) the outline of a chest: dark air at the sides and above the shoulders, a bright spine."""
    x = np.arange(side, dtype=np.float32)[None] / side - np.float32(0.5 + rng.normal(0, 0.02))
    y = np.arange(side, dtype=np.float32)[:, None] / side
    wall = np.float32(rng.uniform(0.4, 0.62)) - np.clip(np.float32(rng.uniform(0.1, 0.5)) - y, 0, 1) * rng.uniform(0, 1)
    body = np.clip((wall - np.abs(x)) * np.float32(rng.uniform(6, 40)) + 0.5, 0, 1)
    spine = np.exp(-((x / np.float32(rng.uniform(0.03, 0.09))) ** 2)) * np.float32(rng.uniform(0, 0.25))
    below = np.clip((y - np.float32(rng.uniform(0.6, 0.85))) * 4, 0, 1) * np.float32(rng.uniform(0, 0.3))
    return np.asarray((pixels + spine + below) * body, np.float32)


def heart(rng: np.random.Generator, bank: TextureBank, side: int, middle: Floats, height: float) -> Shape:
    """The shadow that the heart cuts out of the left lung."""
    shape = blob(rng, bank, side=side, size=height * rng.uniform(0.28, 0.48), wildness=0.1)
    down = int(middle[1] + height * rng.uniform(0.3, 0.6)) - (shape.rows.start + shape.rows.stop) // 2
    right = int(middle[0] + height * rng.uniform(0.05, 0.3)) - (shape.columns.start + shape.columns.stop) // 2
    return moved(shape, down=down, right=right, side=side)


def moved(shape: Shape, *, down: int, right: int, side: int) -> Shape:
    """Shift a shape, cutting off what leaves the image; a shape that would leave it wholly stays."""
    top, left = shape.rows.start + down, shape.columns.start + right
    bottom, end = min(shape.rows.stop + down, side), min(shape.columns.stop + right, side)
    if max(top, 0) >= bottom or max(left, 0) >= end:
        return shape
    part = shape.field[max(-top, 0) : bottom - top, max(-left, 0) : end - left]
    return Shape(slice(max(top, 0), bottom), slice(max(left, 0), end), part)


def ribs(rng: np.random.Generator, side: int, middle: Floats) -> Field:
    """Bright arcs (side, side), repeating downwards, bent down towards the sides, and two collar bones."""
    x = np.abs(np.arange(side, dtype=np.float32)[None] - np.float32(middle[0])) / side
    y = np.arange(side, dtype=np.float32)[:, None] / side
    strength = np.float32(rng.uniform(0, 0.16))
    period, bend = rng.uniform(0.05, 0.12), rng.uniform(-0.8, 1.6)
    wave = np.cos((y - np.float32(bend) * x * (1 - x)) * np.float32(2 * np.pi / period) + np.float32(rng.uniform(0, 6)))
    arcs = np.clip(wave, np.float32(rng.uniform(-1, 0.5)), 1) * strength
    slope, top = np.float32(rng.uniform(-0.4, 0.1)), np.float32(rng.uniform(0.08, 0.25))
    collar = np.exp(-(((y - top - slope * x) / np.float32(0.018)) ** 2)) * np.float32(rng.uniform(0, 0.2)) * (x > 0.03)
    return np.asarray(arcs + collar, np.float32)


def degrade(rng: np.random.Generator, bank: TextureBank, pixels: Field) -> Field:
    """What a camera and a file do to (C, H, W): uneven light, blur, noise, contrast, clipping, black bars, text."""
    side = pixels.shape[-1]
    if rng.random() < 0.4:
        pixels = pixels * (1 + np.float32(rng.uniform(0, 0.25)) * bank.smooth(side, side))
    if rng.random() < 0.35:
        sigma = float(rng.uniform(0.3, 1.6))
        pixels = np.stack([ndimage.gaussian_filter(plane, sigma, truncate=2.5) for plane in pixels])
    if rng.random() < 0.4:
        pixels = pixels + rng.standard_normal(pixels.shape, np.float32) * np.float32(rng.uniform(0, 0.05))
    if rng.random() < 0.12:
        pixels = 1 - pixels
    if rng.random() < 0.08:
        letters(rng, pixels)
    pixels = np.clip(pixels * np.float32(rng.uniform(0.6, 1.3)) + np.float32(rng.normal(0, 0.08)), 0, 1)
    if rng.random() < 0.3:
        pixels = pixels ** np.float32(np.exp(rng.normal(0, 0.35)))
    if rng.random() < 0.08:
        bar = int(rng.integers(2, 24))
        pixels[..., :bar] = 0
        pixels[..., -bar:] = 0
    return np.asarray(pixels, np.float32)


def magnified(pixels: Field, few: int) -> Field:
    """Show (C, side, side) as a matrix of `few` x `few` pixels enlarged: averaged, then linear in between."""
    side = pixels.shape[-1]
    planes = []
    for plane in pixels:
        small = Image.fromarray(np.ascontiguousarray(plane)).resize((few, few), Image.Resampling.BOX)
        planes.append(np.asarray(small.resize((side, side), Image.Resampling.BILINEAR)))
    return np.stack(planes)


def magnified_masks(masks: NDArray[np.bool_], few: int) -> NDArray[np.bool_]:
    """The masks (N, side, side) as such a matrix holds them: a pixel is in or out."""
    side = masks.shape[-1]
    found = []
    for mask in masks:
        small = Image.fromarray(mask.astype(np.float32)).resize((few, few), Image.Resampling.BOX)
        coarse = Image.fromarray((np.asarray(small) > 0.5).astype(np.uint8))
        found.append(np.asarray(coarse.resize((side, side), Image.Resampling.NEAREST)) > 0)
    return np.stack(found)
