"""Dermoscopy-like phantoms: skin, a pigmented lesion with an irregular border, hair and a vignette."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from autoweak.phantoms.canvas import Float, Size, blob, coordinates, smooth_noise, soft_inside, strokes, to_pixels

_SKINS = ((0.87, 0.67, 0.58), (0.80, 0.58, 0.47), (0.90, 0.76, 0.72), (0.84, 0.68, 0.66), (0.72, 0.50, 0.38))
_PIGMENTS = ((0.47, 0.27, 0.16), (0.33, 0.18, 0.12), (0.60, 0.38, 0.25), (0.24, 0.15, 0.14), (0.55, 0.25, 0.18))


def draw_dermoscopy(rng: np.random.Generator, size: Size) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one image (H, W, 3) uint8 RGB and its mask (H, W) uint8, lesion 1."""
    y, x = coordinates(size)
    image = _skin(rng, y, x, size)
    image, mask = _add_lesion(rng, image, y, x, size)
    image = add_hair(rng, image, size)
    image = add_bubbles(rng, image, y, x)
    image = image * light(rng, y, x)[..., None]
    image += np.float32(0.012) * rng.standard_normal((*size, 3)).astype(np.float32)
    return to_pixels(image), mask.astype(np.uint8)


def _skin(rng: np.random.Generator, y: Float, x: Float, size: Size) -> Float:
    """Skin (H, W, 3), 0..1: base colour, mottling, pores, redness, freckles."""
    base = np.asarray(_SKINS[rng.integers(len(_SKINS))], np.float32) + rng.normal(0, 0.03, 3).astype(np.float32)
    mottling = np.float32(0.022) * smooth_noise(rng, size, rows=5, columns=5, octaves=4)
    pores = np.float32(0.012) * smooth_noise(rng, size, rows=60, columns=60)
    image = base * (1 + mottling + pores)[..., None]
    redness = np.float32(rng.uniform(0.0, 0.05)) * np.maximum(smooth_noise(rng, size, rows=4, columns=4, octaves=3), 0)
    image -= redness[..., None] * np.asarray((0.1, 1.0, 0.7), np.float32)
    tint = np.asarray(_PIGMENTS[2], np.float32)
    for _ in range(int(rng.integers(0, 6))):
        centre = (rng.uniform(0, 1) * float(y.max()), rng.uniform(0, 1) * float(x.max()))
        level = blob(rng, y, x, centre=centre, radius=rng.uniform(0.012, 0.04), aspect=1.3, angle=0, roughness=0.08)
        freckle = np.float32(rng.uniform(0.15, 0.5)) * soft_inside(level, 0.02)[..., None]
        image = image * (1 - freckle) + tint * freckle
    return np.asarray(image, np.float32)


def _add_lesion(
    rng: np.random.Generator, image: Float, y: Float, x: Float, size: Size
) -> tuple[Float, NDArray[np.bool_]]:
    """The skin with one pigmented lesion, and the lesion's mask (H, W)."""
    radius = float(rng.uniform(0.11, 0.32))
    centre = (rng.uniform(0.38, 0.62) * float(y.max()), rng.uniform(0.35, 0.65) * float(x.max()))
    shape = {"aspect": rng.uniform(1.0, 1.7), "angle": rng.uniform(0, np.pi), "roughness": rng.uniform(0.03, 0.11)}
    level = blob(rng, y, x, centre=centre, radius=radius, **shape)
    level += np.float32(radius * rng.uniform(0.03, 0.1)) * smooth_noise(rng, size, rows=12, columns=12, octaves=3)
    inside = soft_inside(level, rng.uniform(0.015, 0.09))
    depth = np.clip(-level / np.float32(radius), 0, 1)
    density = pigment_density(rng, depth, size) * inside
    cover = density[..., None]
    image = np.asarray(image * (1 - cover) + _pigment_colour(rng, depth, size) * cover, np.float32)
    return image, level < 0


def pigment_density(rng: np.random.Generator, depth: Float, size: Size) -> Float:
    """How much pigment covers the skin (H, W), 0..1: clumps, a fine network, sometimes a pale middle."""
    clumps = np.float32(rng.uniform(0.06, 0.16)) * smooth_noise(rng, size, rows=7, columns=7, octaves=4)
    mesh = np.abs(smooth_noise(rng, size, rows=34, columns=34)) < 0.5
    network = np.float32(rng.uniform(0.0, 0.16)) * (gaussian_filter(mesh.astype(np.float32), 0.8) - 0.4)
    centre = rng.uniform(-0.45, 0.35) * depth
    return np.asarray(np.clip(rng.uniform(0.5, 0.9) + centre + clumps + network, 0.12, 0.97), np.float32)


def _pigment_colour(rng: np.random.Generator, depth: Float, size: Size) -> Float:
    """Colour of the pigment (H, W, 3), 0..1: two tones in patches, darker with depth."""
    first, second = (np.asarray(_PIGMENTS[i], np.float32) for i in rng.choice(len(_PIGMENTS), 2, replace=False))
    patches = soft_inside(smooth_noise(rng, size, rows=4, columns=4, octaves=3) - np.float32(rng.normal(0, 0.6)), 1.2)
    shade = 1 - np.float32(rng.uniform(0, 0.25)) * depth
    return (first * patches[..., None] + second * (1 - patches[..., None])) * shade[..., None]


def add_hair(rng: np.random.Generator, image: Float, size: Size) -> Float:
    """The image with a few to many thin curved hairs, dark or fair."""
    unit = min(size)
    lines = []
    flow = rng.uniform(0, np.pi)
    for _ in range(int(rng.choice([0, 3, 8, 18]))):
        start = rng.uniform(-0.1, 1.1, 2) * (size[1], size[0])
        bend, direction = rng.normal(0, 0.5), flow + rng.normal(0, 0.5)
        step = np.linspace(0, 1, 14)
        turning = direction + bend * step
        path = np.cumsum(np.stack([np.cos(turning), np.sin(turning)], 1), 0) * rng.uniform(0.015, 0.06) * unit
        lines.append((start + path, rng.uniform(0.0025, 0.006) * unit))
    hair = np.float32(rng.uniform(0.55, 0.95)) * strokes(lines, size)[..., None]
    colour = np.asarray((0.16, 0.11, 0.09) if rng.random() < 0.8 else (0.85, 0.74, 0.6), np.float32)
    return np.asarray(image * (1 - hair) + colour * hair, np.float32)


def add_bubbles(rng: np.random.Generator, image: Float, y: Float, x: Float) -> Float:
    """The image with a few bright rings: air caught in the contact gel."""
    for _ in range(int(rng.choice([0, 0, 2, 5]))):
        row, column = rng.uniform(0, 1) * float(y.max()), rng.uniform(0, 1) * float(x.max())
        radius = rng.uniform(0.008, 0.03)
        distance = np.hypot(y - np.float32(row), x - np.float32(column)) - np.float32(radius)
        image = image + np.float32(rng.uniform(0.05, 0.2)) * np.exp(-((distance / 0.003) ** 2))[..., None]
    return image


def light(rng: np.random.Generator, y: Float, x: Float) -> Float:
    """Brightness (H, W), 0..1: uneven light, and in some images the dark rim of the lens."""
    down, right = y / y.max() - 0.5, x / x.max() - 0.5
    slope = rng.normal(0, 0.08, 2)
    light = 1 + slope[0] * down + slope[1] * right - np.float32(rng.uniform(0.05, 0.5)) * (down**2 + right**2)
    if rng.random() < 0.35:
        distance = np.hypot(y - y.max() / 2, x - x.max() / 2) - np.float32(rng.uniform(0.52, 0.64))
        light = light * (1 - 0.97 * soft_inside(-distance, rng.uniform(0.02, 0.09)))
    return np.asarray(light, np.float32)
