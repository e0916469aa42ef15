"""Random closed shapes for the drawn training images, as signed fields on a window of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoweak.phantoms.drawn_textures import Field, Floats, TextureBank

_ANGLES = 256
_RAGGED_SHARE = 0.4  # people outline most objects with a smooth line
# A right lung seen from the front, (x, y) within -1..1, y downwards: apex, outer wall, base, inner wall.
_LUNG = np.array(
    [
        (0.15, -1.0), (-0.25, -0.86), (-0.58, -0.5), (-0.8, 0.0), (-0.92, 0.5), (-0.95, 0.95),
        (-0.5, 0.72), (0.05, 0.68), (0.55, 0.8), (0.62, 0.35), (0.6, -0.1), (0.5, -0.55), (0.42, -0.86),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """A shape within an image.

    Attributes:
        rows, columns: the window of the image that the shape lies in, with a rim around it.
        field: (h, w) of the window, about the distance to the outline in pixels, positive inside.
    """

    rows: slice
    columns: slice
    field: Field

    def alpha(self, softness: float) -> Field:
        """Coverage 0..1 on the window, falling from 1 to 0 over `softness` pixels across the outline."""
        return np.clip(0.5 + self.field / np.float32(max(softness, 0.5)), 0, 1)

    def mask(self, side: int) -> NDArray[np.bool_]:
        """The shape as a (side, side) mask."""
        mask = np.zeros((side, side), bool)
        mask[self.rows, self.columns] = self.field > 0
        return mask


def blob(
    rng: np.random.Generator,
    bank: TextureBank,
    *,
    side: int,
    size: float,
    wildness: float | None = None,
    ragged: float = _RAGGED_SHARE,
) -> Shape:
    """Draw a rounded shape: near an ellipse for small `wildness`, lobed and ragged for large.

    Args:
        rng: source of randomness.
        bank: textures that roughen the outline.
        side: image size in pixels.
        size: mean radius in pixels.
        wildness: 0 for an ellipse; drawn at random, mostly small, where None.
        ragged: how often the outline is rough as well.
    """
    if wildness is None:
        wildness = float(rng.beta(1.0, 2.5))
    order = np.arange(2, 9)
    weight = wildness * 0.45 * rng.standard_normal(order.size) / order ** rng.uniform(0.8, 1.6)
    turn = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    radius = 1 + (weight[:, None] * np.cos(order[:, None] * turn + rng.uniform(0, 2 * np.pi, (order.size, 1)))).sum(0)
    aspect = np.exp(rng.normal(0, 0.38))
    tilt = rng.normal(0, 0.5) if rng.random() < 0.7 else rng.uniform(0, np.pi)
    shape = _polar(
        rng,
        np.clip(radius, 0.3, 2.0),
        side=side,
        semi=(size * np.sqrt(aspect), size / np.sqrt(aspect)),
        tilt=tilt,
    )
    roughness = wildness * min(0.12 * size, 6.0) * rng.random() if rng.random() < ragged else 0.0
    if roughness > 0.3:
        shape.field[:] += np.float32(roughness) * bank.rough(*shape.field.shape)
    return shape


def lung(
    rng: np.random.Generator, *, side: int, semi: tuple[float, float], centre: tuple[float, float], mirrored: bool
) -> Shape:
    """Draw a lung-like shape; `semi` is half its width and height and `centre` (x, y), in pixels."""
    points = _LUNG + rng.normal(0, 0.05, _LUNG.shape)
    points = points - points.mean(0)
    tilt = rng.normal(0, 0.06)
    if mirrored:
        points = points * (-1, 1)
    angle = np.arctan2(points[:, 1], points[:, 0])
    order = np.argsort(angle)
    turn = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    radius = np.interp(turn, angle[order], np.hypot(*points.T)[order], period=2 * np.pi)
    kernel = np.hanning(15) / np.hanning(15).sum()
    radius = np.convolve(np.concatenate([radius[-7:], radius, radius[:7]]), kernel, "valid")
    return _polar(rng, radius, side=side, semi=semi, tilt=-tilt if mirrored else tilt, centre=centre)


def box_shape(rng: np.random.Generator, *, side: int, size: float) -> Shape:
    """Draw a rounded rectangle, a diamond or anything between, at any angle."""
    power = rng.choice([1.0, 1.5, 3.0, 6.0])
    turn = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    radius = (np.abs(np.cos(turn)) ** power + np.abs(np.sin(turn)) ** power) ** (-1 / power)
    aspect = np.exp(rng.normal(0, 0.5))
    return _polar(
        rng, radius, side=side, semi=(size * np.sqrt(aspect), size / np.sqrt(aspect)), tilt=rng.uniform(0, np.pi)
    )


def tube(rng: np.random.Generator, *, side: int, length: float, radius: float) -> Shape:
    """Draw a curved tube of `length` and `radius` pixels, thicker at one end."""
    start = rng.uniform(0.15, 0.85, 2) * side
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.05) + rng.normal(0, 0.06, 24))
    path = start + np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1) * length / 24, 0)
    thickness = radius * np.linspace(1, rng.uniform(0.4, 1.2), 24)
    rows, columns = _window(path.min(0) - radius, path.max(0) + radius, side)
    y, x = _grid(rows, columns)
    distance = np.hypot(x[..., None] - path[:, 0], y[..., None] - path[:, 1]) - thickness
    return Shape(rows, columns, (-distance.min(-1)).astype(np.float32))


def without(shape: Shape, other: Shape) -> Shape:
    """Cut `other` out of `shape`: a crescent, a ring or a bitten shape."""
    side = max(shape.rows.stop, shape.columns.stop, other.rows.stop, other.columns.stop)
    cut = np.full((side, side), -np.float32(1e3))
    cut[other.rows, other.columns] = other.field
    return Shape(shape.rows, shape.columns, np.minimum(shape.field, -cut[shape.rows, shape.columns]))


def _polar(
    rng: np.random.Generator,
    radius: Floats,
    *,
    side: int,
    semi: tuple[float, float],
    tilt: float,
    centre: tuple[float, float] | None = None,
) -> Shape:
    """Shape whose outline lies at `radius` (of `_ANGLES` directions) × `semi` (x, y) around its centre."""
    reach = float(radius.max()) * max(semi)
    if centre is None:
        low = min(0.5, 0.6 * reach / side)
        centre = (side * rng.uniform(low, 1 - low), side * rng.uniform(low, 1 - low))
    middle = np.asarray(centre)
    rows, columns = _window(middle - reach, middle + reach, side)
    y, x = _grid(rows, columns)
    x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
    cosine, sine = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    across, down = (x * cosine + y * sine) / np.float32(semi[0]), (y * cosine - x * sine) / np.float32(semi[1])
    place = (np.arctan2(down, across) * np.float32(_ANGLES / (2 * np.pi))).astype(np.int32) % _ANGLES
    field = (radius.astype(np.float32)[place] - np.hypot(across, down)) * np.float32(min(semi))
    return Shape(rows, columns, field)


def _window(low: Floats, high: Floats, side: int) -> tuple[slice, slice]:
    rim = 8
    left, top = (int(v) for v in np.clip(np.floor(low) - rim, 0, side - 1))
    right, bottom = (int(v) for v in np.clip(np.ceil(high) + rim, 1, side))
    return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


def _grid(rows: slice, columns: slice) -> tuple[Field, Field]:
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None]
    return np.broadcast_to(y, (y.size, x.size)), np.broadcast_to(x, (y.size, x.size))
