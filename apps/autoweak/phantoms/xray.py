"""X-ray-like phantoms: a chest from the front; lungs, ribs, clavicles, spine, heart, diaphragm."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from autoweak.phantoms.canvas import Float, Size, polygon, smooth_noise, strokes, to_pixels

# Outlines in a frame of their own: x from -1 (the patient's right, left in the image) to 1, y from -1 (top) to 1.
_RIGHT_LUNG = ((-0.13, -0.70), (-0.34, -0.84), (-0.55, -0.62), (-0.70, -0.15), (-0.76, 0.35), (-0.77, 0.66),
               (-0.55, 0.52), (-0.34, 0.42), (-0.17, 0.47), (-0.13, 0.10), (-0.15, -0.30))  # fmt: skip
_LEFT_LUNG = ((0.13, -0.70), (0.34, -0.84), (0.55, -0.62), (0.70, -0.15), (0.76, 0.35), (0.77, 0.72),
              (0.60, 0.60), (0.48, 0.52), (0.40, 0.34), (0.27, 0.08), (0.16, -0.10), (0.17, -0.36))  # fmt: skip
_TORSO = ((-0.22, -1.0), (-0.5, -0.9), (-0.93, -0.72), (-1.05, -0.2), (-1.0, 0.4), (-0.98, 1.2), (-0.9, 2.0),
          (0.9, 2.0), (0.98, 1.2), (1.0, 0.4), (1.05, -0.2), (0.93, -0.72), (0.5, -0.9), (0.22, -1.0))  # fmt: skip
_HEART = ((-0.14, -0.30), (0.06, -0.42), (0.18, -0.22), (0.30, 0.08), (0.44, 0.34), (0.46, 0.54),
          (0.10, 0.64), (-0.18, 0.52), (-0.22, 0.22))  # fmt: skip


def draw_xray(rng: np.random.Generator, size: Size) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one image (H, W) uint8 and its mask (H, W) uint8: right lung 1, left lung 2.

    The patient faces the viewer, so that the right lung is on the left of the image.
    """
    place = _Placement(rng, size)
    lungs = [polygon(place(_jitter(rng, outline)), size) for outline in (_RIGHT_LUNG, _LEFT_LUNG)]
    mask = np.zeros(size, np.uint8)
    mask[lungs[0]], mask[lungs[1]] = 1, 2
    image = _soft_tissue(rng, place, mask, size) + _bones(rng, place, size)
    image += _vessels(rng, place, size) * gaussian_filter((mask > 0).astype(np.float32), 1.0)
    image += _opacities(rng, mask, size)
    image += _bowel_gas(rng, place, size) * (mask == 0)
    image += np.float32(0.018) * smooth_noise(rng, size, rows=8, columns=8, octaves=4)
    image = _expose(rng, image) + np.float32(0.013) * rng.standard_normal(size).astype(np.float32)
    return to_pixels(_mark(rng, image, size)), mask


class _Placement:
    """Where the chest lies in the image: frame coordinates to pixels, with a small turn, shift and scale."""

    def __init__(self, rng: np.random.Generator, size: Size) -> None:
        unit = min(size) / 2
        self.scale = np.asarray((rng.uniform(0.74, 1.02), rng.uniform(0.74, 0.98))) * unit
        self.angle = np.radians(rng.normal(0, 2.5))
        self.centre = np.asarray((size[1], size[0])) / 2 + rng.normal(0, 0.045, 2) * unit

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Pixels (N, 2) of (x, y) from frame coordinates (N, 2) of (x, y)."""
        scaled = np.asarray(points, np.float64) * self.scale
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        turned = scaled @ np.asarray(((cosine, sine), (-sine, cosine)))
        return np.asarray(turned + self.centre, np.float64)


def _jitter(rng: np.random.Generator, outline: ArrayLike) -> NDArray[np.float64]:
    """An outline (N, 2) with every point moved a little, and the lung base raised or lowered as breathing does."""
    points = np.asarray(outline, np.float64) + rng.normal(0, 0.022, np.shape(outline))
    points[:, 1] += np.where(points[:, 1] > 0.2, rng.normal(-0.02, 0.09), 0)
    points[:, 0] *= rng.uniform(0.92, 1.06)
    return points


def _soft_tissue(rng: np.random.Generator, place: _Placement, mask: NDArray[np.uint8], size: Size) -> Float:
    """Brightness (H, W) of torso, arms, mediastinum, heart and abdomen, darker where the lungs hold air."""
    blur = 0.006 * min(size)

    def part(outline: ArrayLike, softness: float = 1.0) -> Float:
        filled = polygon(place(_jitter(rng, outline)), size).astype(np.float32)
        return np.asarray(gaussian_filter(filled, blur * softness), np.float32)

    torso = part(_TORSO, 2.0)
    air = np.asarray(gaussian_filter((mask > 0).astype(np.float32), blur * rng.uniform(0.6, 1.6)), np.float32)
    heart = part(_HEART, rng.uniform(1.0, 2.5))
    middle = part(((-0.12, -1.1), (-0.13, 0.0), (-0.16, 1.2), (0.16, 1.2), (0.13, 0.0), (0.12, -1.1)), 2.0)
    wall = np.asarray(gaussian_filter(torso, 0.05 * min(size)), np.float32)
    aeration = rng.uniform(0.2, 0.48, 2)[:, None, None] * (mask[None] == np.asarray((1, 2))[:, None, None])
    depth = np.asarray(gaussian_filter(aeration.sum(0).astype(np.float32), blur), np.float32)
    below = np.linspace(-0.08, 0.14, size[0], dtype=np.float32)[:, None]
    image = 0.62 * torso + 0.10 * (torso - wall) + 0.16 * middle + 0.14 * heart * (1 - 0.65 * air)
    return np.asarray(image + below * torso - depth - 0.05 * air, np.float32)


def _bones(rng: np.random.Generator, place: _Placement, size: Size) -> Float:
    """Brightness (H, W) that ribs, clavicles, shoulder blades and spine add."""
    unit = min(size)
    lines: list[tuple[NDArray[np.float64], float]] = []
    edges: list[tuple[NDArray[np.float64], float]] = []
    first, spacing = rng.uniform(-0.82, -0.74), rng.uniform(0.145, 0.175)
    angle = np.linspace(0, 1, 20)
    for side in (-1, 1):
        for rib in range(9):
            top, reach = first + spacing * rib, 0.5 + 0.33 * min(1.0, (rib + 1) / 4)
            back = np.stack([side * (0.08 + (reach - 0.08) * angle), top - 0.10 * np.sin(np.pi * angle * 0.9)], 1)
            front = np.stack([side * (reach - 0.42 * angle), top + 0.06 + 0.30 * angle**1.2], 1)
            lines.append((place(back + [0, 0.14] * angle[:, None] ** 2), 0.030 * unit))
            edges.extend((place(back + [0, d] + [0, 0.14] * angle[:, None] ** 2), 0.006 * unit) for d in (-0.03, 0.03))
            lines.append((place(front), 0.024 * unit))
        clavicle = np.asarray(((0.07, -0.62), (0.25, -0.70), (0.5, -0.82), (0.78, -0.86))) * (side, 1)
        lines.append((place(clavicle + rng.normal(0, 0.015, (4, 2))), 0.042 * unit))
        blade = np.asarray(((0.72, -0.85), (0.66, -0.45), (0.78, -0.1), (0.92, -0.5))) * (side, 1)
        edges.append((place(blade), 0.014 * unit))
    spine = np.asarray(((0, -1.2), (0.01, -0.4), (0, 0.3), (0, 1.3))) + rng.normal(0, 0.01, (4, 2))
    column = gaussian_filter(strokes([(place(spine), 0.085 * unit)], size), 0.008 * unit)
    discs = [(place([(-0.085, level), (0.085, level)]), 0.008 * unit) for level in np.arange(-1.1, 1.2, 0.13)]
    ribs = gaussian_filter(strokes(lines, size), 0.005 * unit) + 0.6 * strokes(edges, size)
    strength = rng.uniform(0.07, 0.15)
    return np.asarray(strength * ribs + 0.10 * column - 0.05 * strokes(discs, size), np.float32)


def _vessels(rng: np.random.Generator, place: _Placement, size: Size) -> Float:
    """Brightness (H, W) of the vessels that branch from each lung's root outwards."""
    lines = []
    for side in (-1, 1):
        for _ in range(16):
            heading, length = rng.uniform(-1.35, 1.45), rng.uniform(0.2, 0.55)
            along = np.linspace(0, 1, 10)[:, None]
            bend = heading + rng.normal(0, 0.5) * along
            path = (side * 0.18, -0.02) + length * along * np.hstack([side * np.cos(bend), np.sin(bend)])
            points = place(path)
            width = rng.uniform(0.006, 0.013) * min(size)
            lines.extend([(points[:5], width), (points[4:], width * 0.55)])
    drawn = gaussian_filter(strokes(lines, size), 0.004 * min(size))
    return np.asarray(rng.uniform(0.06, 0.14) * drawn, np.float32)


def _opacities(rng: np.random.Generator, mask: NDArray[np.uint8], size: Size) -> Float:
    """Brightness (H, W) of haze within the lungs and of fluid at a lung's base; about half the images have neither."""
    added = np.zeros(size, np.float32)
    if rng.random() < 0.4:
        haze = np.maximum(smooth_noise(rng, size, rows=4, columns=4, octaves=3) - np.float32(0.2), 0)
        added += np.float32(rng.uniform(0.08, 0.28)) * haze
    for lung in (1, 2):
        rows = np.flatnonzero((mask == lung).any(axis=1))
        if rng.random() < 0.25 and rows.size:
            level = rows[-1] - rng.uniform(0.05, 0.45) * rows.size
            depth = (np.arange(size[0], dtype=np.float32)[:, None] - np.float32(level)) / (0.12 * min(size))
            added += np.float32(rng.uniform(0.2, 0.42)) * np.clip(depth, 0, 1) * (mask == lung)
    return np.asarray(added * gaussian_filter((mask > 0).astype(np.float32), 0.004 * min(size)), np.float32)


def _bowel_gas(rng: np.random.Generator, place: _Placement, size: Size) -> Float:
    """Brightness (H, W), 0 or below, of gas under the diaphragm: as dark as a lung, and none."""
    gas = np.zeros(size, np.float32)
    for _ in range(int(rng.integers(0, 4))):
        centre = np.asarray((rng.uniform(-0.1, 0.7), rng.uniform(0.78, 1.1)))
        angle = np.linspace(0, 2 * np.pi, 9)[:-1, None]
        radius = rng.uniform(0.07, 0.2) * rng.uniform(0.7, 1.3, (8, 1))
        bubble = polygon(place(centre + radius * np.hstack([1.3 * np.cos(angle), np.sin(angle)])), size)
        gas -= np.float32(rng.uniform(0.12, 0.34)) * bubble
    return np.asarray(gaussian_filter(gas, 0.008 * min(size)), np.float32)


def _expose(rng: np.random.Generator, image: Float) -> Float:
    """The image with a random exposure and contrast curve, 0..1."""
    low, high = np.percentile(image[::4, ::4], (3, 99.5))
    scaled = np.clip((image - low) / max(float(high - low), 1e-3), 0, 1.2)
    return np.asarray(scaled ** rng.uniform(0.8, 1.35) * rng.uniform(0.8, 0.98), np.float32)


def _mark(rng: np.random.Generator, image: Float, size: Size) -> Float:
    """The image with the side marker, the collimator's black edge, and sometimes a device on the chest."""
    drawn = Image.fromarray(np.ascontiguousarray(image))
    pen = ImageDraw.Draw(drawn)
    unit = min(size)
    pen.text((0.9 * size[1], 0.06 * size[0]), "L", fill=1.0, font_size=max(8, 0.05 * unit))
    if rng.random() < 0.1:
        x, y = rng.uniform(0.25, 0.35) * size[1], rng.uniform(0.28, 0.4) * size[0]
        pen.ellipse((x, y, x + 0.08 * unit, y + 0.09 * unit), fill=0.92, outline=0.7)
        lead = [
            (x + 0.04 * unit, y),
            (x + 0.1 * unit, y - 0.06 * unit),
            (0.49 * size[1], y),
            (0.52 * size[1], y + 0.22 * unit),
        ]
        pen.line(lead, fill=0.95, width=max(1, unit // 160), joint="curve")
    marked = np.array(drawn, np.float32)
    edge = [round(max(0.0, rng.normal(0, 0.03)) * unit) for _ in range(4)]
    marked[: edge[0]], marked[size[0] - edge[1] :] = 0, 0
    marked[:, : edge[2]], marked[:, size[1] - edge[3] :] = 0, 0
    return marked
