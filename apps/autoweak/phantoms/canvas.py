"""What every demo phantom is drawn with: coordinates, smooth noise, irregular outlines, soft edges, lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.interpolate import CubicSpline

Float = NDArray[np.float32]
Size = tuple[int, int]


def coordinates(size: Size) -> tuple[Float, Float]:
    """Row and column of every pixel, in units of the shorter side.

    Args:
        size: (H, W) in pixels.

    Returns:
        `y` (H, 1) and `x` (1, W), float32; 0..1 along the shorter side, beyond 1 along the longer.
    """
    height, width = size
    unit = np.float32(min(size))
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / unit
    x = (np.arange(width, dtype=np.float32)[None, :] + 0.5) / unit
    return y, x


def smooth_noise(rng: np.random.Generator, size: Size, *, rows: int, columns: int, octaves: int = 1) -> Float:
    """Smooth random field (H, W), mean 0 and standard deviation 1.

    Args:
        rng: source of randomness.
        size: (H, W) in pixels.
        rows: random cells from top to bottom in the coarsest octave.
        columns: random cells from left to right in the coarsest octave.
        octaves: how many finer fields, each of half the strength and twice the cells, are added.
    """
    field = np.zeros(size, np.float32)
    for octave in range(octaves):
        cells = (max(2, rows << octave), max(2, columns << octave))
        coarse = rng.standard_normal(cells).astype(np.float32)
        field += resize(coarse, size) * np.float32(0.5**octave)
    spread = float(field.std())
    return np.asarray((field - field.mean()) / max(spread, 1e-6), np.float32)


def resize(field: Float, size: Size) -> Float:
    """Bicubic resampling of a float field (h, w) to (H, W)."""
    image = Image.fromarray(np.ascontiguousarray(field, np.float32))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BICUBIC), np.float32)


def wave(rng: np.random.Generator, x: Float, *, bends: int = 4) -> Float:
    """Smooth random curve over `x`, the same shape as `x`, values about -1..1."""
    curve = np.zeros_like(x)
    for bend in range(1, bends + 1):
        phase, strength = rng.uniform(0, 2 * np.pi), rng.normal(0, 1 / bend)
        curve += np.float32(strength) * np.sin(np.float32(np.pi * bend) * x + np.float32(phase))
    return curve


def blob(
    rng: np.random.Generator,
    y: Float,
    x: Float,
    *,
    centre: tuple[float, float],
    radius: float,
    aspect: float,
    angle: float,
    roughness: float,
) -> Float:
    """Level set (H, W) of an irregular ellipse: below 0 inside, about the distance to its outline.

    Args:
        rng: source of randomness for the bumps of the outline.
        y: rows as `coordinates` gives them.
        x: columns as `coordinates` gives them.
        centre: (y, x), in the same units.
        radius: geometric mean of the half axes, in the same units.
        aspect: the longer half axis divided by the shorter.
        angle: direction of the longer half axis, radians.
        roughness: strength of the bumps, as a part of the radius.
    """
    down, right = y - np.float32(centre[0]), x - np.float32(centre[1])
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    stretch = np.float32(np.sqrt(aspect))
    along, across = (right * cosine + down * sine) / stretch, (down * cosine - right * sine) * stretch
    direction = np.arctan2(across, along)
    bumps = np.ones_like(direction)
    for order in range(2, 8):
        strength, phase = rng.normal(0, roughness / np.sqrt(order - 1)), rng.uniform(0, 2 * np.pi)
        bumps += np.float32(strength) * np.cos(np.float32(order) * direction + np.float32(phase))
    level = np.hypot(along, across) - np.float32(radius) * np.maximum(bumps, np.float32(0.35))
    return np.asarray(level, np.float32)


def soft_inside(level: Float, width: float) -> Float:
    """How much of a pixel belongs to a level set's inside, 0..1, with a smooth edge about `width` wide."""
    steepness = np.float32(4 / max(width, 1e-4))
    return np.asarray(1 / (1 + np.exp(np.clip(level * steepness, -30, 30))), np.float32)


def polygon(points: NDArray[np.floating[Any]], size: Size, *, smooth: int = 8) -> NDArray[np.bool_]:
    """Filled closed smooth curve through `points` ((N, 2) of (x, y) in pixels) as a mask (H, W)."""
    closed = np.vstack([points, points[:1]])
    curve = CubicSpline(np.arange(len(closed)), closed, bc_type="periodic")
    outline = curve(np.linspace(0, len(points), len(points) * smooth, endpoint=False))
    image = Image.new("1", (size[1], size[0]))
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in outline], fill=1)
    return np.asarray(image, bool)


def strokes(
    lines: Sequence[tuple[NDArray[np.floating[Any]], float]], size: Size, *, oversampling: int = 2, strength: int = 255
) -> Float:
    """Smooth lines on an empty canvas.

    Args:
        lines: for each line its points (N, 2) of (x, y) in pixels and its width in pixels.
        size: (H, W) in pixels.
        oversampling: lines are drawn this many times larger and averaged, so that thin ones stay smooth.
        strength: 0..255, what a line adds where it covers a pixel.

    Returns:
        (H, W) float32, 0..1.
    """
    image = Image.new("L", (size[1] * oversampling, size[0] * oversampling))
    pen = ImageDraw.Draw(image)
    for points, width in lines:
        path = [(float(x) * oversampling, float(y) * oversampling) for x, y in points]
        pen.line(path, fill=strength, width=max(1, round(width * oversampling)), joint="curve")
    return np.asarray(image.reduce(oversampling), np.float32) / np.float32(255)


def to_pixels(image: Float) -> NDArray[np.uint8]:
    """Values 0..1 as uint8 0..255, clipped and rounded."""
    return np.asarray(np.clip(image * 255 + 0.5, 0, 255), np.uint8)
