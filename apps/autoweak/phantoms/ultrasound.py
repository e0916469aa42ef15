"""Ultrasound-like phantoms: layered tissue under speckle, a dark lesion with its shadow or enhancement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from autoweak.phantoms.canvas import Float, Size, blob, coordinates, smooth_noise, soft_inside, strokes, to_pixels, wave

_WITHOUT_LESION = 0.12  # of all images: a screening set has images with nothing to find


def draw_ultrasound(rng: np.random.Generator, size: Size) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one image (H, W) uint8 and its mask (H, W) uint8, lesion 1; some images hold no lesion.

    The image is the log-compressed magnitude of a speckle field, as a scanner forms it: echo strength times the
    magnitude of complex Gaussian noise smoothed by a point-spread function wider across than along the beam.
    """
    y, x = coordinates(size)
    echo = tissue(rng, y, x, size) + fat_lobules(rng, y, x)
    mask = np.zeros(size, bool)
    if rng.random() >= _WITHOUT_LESION:
        echo, mask = _add_lesion(rng, echo, y, x, size)
    echo = echo - shadows(rng, y, x)
    attenuation = rng.uniform(0.1, 0.75) * np.maximum(y - rng.uniform(0.35, 0.6), 0) / float(y.max()) * 1.6
    gain = np.float32(rng.uniform(-0.08, 0.08))
    image = echo - attenuation + gain + np.float32(0.062) * speckle(rng, size)
    image = np.where(y < 0.012, np.maximum(image, 0.8), image)
    return to_pixels(np.clip(image, 0.0, 1.0) ** np.float32(1.1)), mask.astype(np.uint8)


def tissue(rng: np.random.Generator, y: Float, x: Float, size: Size) -> Float:
    """Echo strength (H, W), 0..1: skin, fat with septa, gland, muscle; boundaries run in waves across."""
    drift = np.float32(0.04) * wave(rng, x)
    depth = y / y.max() + drift + np.float32(0.03) * smooth_noise(rng, size, rows=4, columns=5)
    tops = np.cumsum([rng.uniform(0.03, 0.06), rng.uniform(0.12, 0.26), rng.uniform(0.25, 0.4)])
    strengths = rng.normal((0.62, 0.36, 0.5, 0.38), (0.05, 0.04, 0.05, 0.05))
    echo = np.full(size, strengths[0], np.float32)
    for top, before, after in zip(tops, strengths, strengths[1:], strict=False):
        echo += np.float32(after - before) * soft_inside(np.float32(top) - depth, 0.05)
        echo += np.float32(rng.uniform(0.0, 0.14)) * np.exp(-(((depth - np.float32(top)) / 0.012) ** 2))
    fibres = smooth_noise(rng, size, rows=26, columns=5, octaves=2)
    clumps = smooth_noise(rng, size, rows=6, columns=6, octaves=3)
    echo += np.float32(0.055) * fibres + np.float32(0.06) * clumps + np.float32(0.3) * _septa(rng, size)
    return echo


def _septa(rng: np.random.Generator, size: Size) -> Float:
    """Thin bright connective-tissue lines (H, W), 0..1, mostly across the beam."""
    height, width = size
    lines = []
    for _ in range(int(rng.integers(14, 30))):
        length, start = rng.uniform(0.12, 0.55) * width, rng.uniform(-0.1, 0.95) * width
        across = np.linspace(start, start + length, 12, dtype=np.float32)
        slope, level = rng.normal(0, 0.18), rng.uniform(0.05, 0.85) * height
        bend = 0.015 * height * wave(rng, across[None] / width * 2, bends=5)[0]
        lines.append((np.stack([across, level + slope * (across - start) + bend], 1), rng.uniform(0.6, 1.8)))
    return np.asarray(gaussian_filter(strokes(lines, size), (0.6, 1.2)), np.float32)


def fat_lobules(rng: np.random.Generator, y: Float, x: Float) -> Float:
    """Slightly dark ovals (H, W), 0 or below: what a lesion may be mistaken for."""
    echo = np.zeros((y.shape[0], x.shape[1]), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        centre = (rng.uniform(0.1, 0.8) * float(y.max()), rng.uniform(0, 1) * float(x.max()))
        shape = {"aspect": rng.uniform(1.5, 3.5), "angle": rng.normal(0, 0.25), "roughness": 0.05}
        level = blob(rng, y, x, centre=centre, radius=rng.uniform(0.04, 0.09), **shape)
        echo -= np.float32(rng.uniform(0.05, 0.15)) * soft_inside(level, 0.05)
    return echo


def _add_lesion(
    rng: np.random.Generator, echo: Float, y: Float, x: Float, size: Size
) -> tuple[Float, NDArray[np.bool_]]:
    """The echo strength with one dark lesion and the change behind it, and the lesion's mask (H, W)."""
    radius = float(np.exp(rng.uniform(np.log(0.06), np.log(0.19))))
    centre = (rng.uniform(0.24, 0.6) * float(y.max()), rng.uniform(0.2, 0.8) * float(x.max()))
    shape = {"aspect": rng.uniform(1.05, 1.9), "angle": rng.normal(0, 0.35), "roughness": rng.uniform(0.02, 0.1)}
    level = blob(rng, y, x, centre=centre, radius=radius, **shape)
    level += np.float32(0.07 * radius) * smooth_noise(rng, size, rows=14, columns=14)
    inside = soft_inside(level, rng.uniform(0.015, 0.07))
    interior = rng.uniform(0.04, 0.26) + np.float32(0.035) * smooth_noise(rng, size, rows=10, columns=10, octaves=2)
    rim = np.float32(rng.uniform(0, 0.12)) * np.exp(-((level / 0.012) ** 2))
    # What lies deeper than the lesion in the same beam is dimmed by a solid one, brightened by a cyst.
    beam = gaussian_filter1d(inside.max(axis=0), 0.02 * size[1])[None, :]
    behind = beam * soft_inside(np.float32(centre[0] + 0.6 * radius) - y, 0.08) * (1 - inside)
    change = rng.choice([-1.0, 1.0]) * rng.uniform(0.03, 0.24)
    echo = echo + np.float32(change) * behind * np.exp(-np.maximum(y - np.float32(centre[0]), 0) * 1.5)
    echo = echo * (1 - inside) + np.maximum(interior, 0.01) * inside + rim
    return np.asarray(echo, np.float32), level < 0


def shadows(rng: np.random.Generator, y: Float, x: Float) -> Float:
    """Dark bands down the beam (H, W), 0 or above: poor contact, ribs, Cooper's ligaments."""
    shadow = np.zeros((y.shape[0], x.shape[1]), np.float32)
    for _ in range(int(rng.integers(0, 4))):
        column, width = rng.uniform(-0.05, 1.05) * float(x.max()), rng.uniform(0.02, 0.1)
        start = rng.uniform(0.0, 0.6) * float(y.max())
        band = np.exp(-(((x - np.float32(column) - 0.05 * (y - start)) / np.float32(width)) ** 2))
        shadow += np.float32(rng.uniform(0.04, 0.2)) * band * soft_inside(np.float32(start) - y, 0.15)
    return shadow


def speckle(rng: np.random.Generator, size: Size) -> Float:
    """Log of a Rayleigh-distributed speckle magnitude (H, W), mean 0 and standard deviation 1."""
    spread = (0.0028 * min(size), 0.006 * min(size))
    real, imaginary = (
        gaussian_filter(rng.standard_normal(size).astype(np.float32), spread, truncate=2.5) for _ in range(2)
    )
    magnitude = np.log(np.hypot(real, imaginary) + np.float32(0.25 * real.std()))
    return np.asarray((magnitude - magnitude.mean()) / magnitude.std(), np.float32)
