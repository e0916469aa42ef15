"""Images drawn by the program with the exact masks of their objects, to train the small promptable model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autoweak.phantoms import drawn_marks as marks
from autoweak.phantoms.drawn_shapes import Shape, blob, box_shape, lung, tube, without
from autoweak.phantoms.drawn_textures import Field, TextureBank, to_field

SIDE = 256
_SMALLEST_OBJECT = 40
_LARGEST_OBJECT = SIDE * SIDE * 9 // 10
_MAGNIFIED_SHARE = 0.12  # small matrices, as of a volume cut to an organ, shown large


@dataclass(frozen=True)
class Drawn:
    """A drawn image and the masks of its objects.

    Attributes:
        image: (3, 256, 256) float32, about 0..1, channels equal where the image is grey.
        masks: (N, 256, 256) bool, N at least 1, each with at least 40 pixels; they may nest and overlap.
    """

    image: Field
    masks: NDArray[np.bool_]


@dataclass
class _Canvas:
    rng: np.random.Generator
    bank: TextureBank
    pixels: Field
    masks: list[NDArray[np.bool_]] = field(default_factory=list)

    def paint(self, shape: Shape, inside: Field, *, softness: float, strength: float = 1.0) -> None:
        """Cover the shape's window with `inside` (C or 1, h, w); at times patches of it are lost in the ground."""
        alpha = shape.alpha(softness) * np.float32(strength)
        if self.rng.random() < 0.3:
            lost = np.clip(self.bank.smooth(*alpha.shape), 0, 1.5) * np.float32(self.rng.uniform(0, 0.7))
            alpha = alpha * np.clip(1 - lost, 0, 1)
        window = self.pixels[:, shape.rows, shape.columns]
        window += (inside - window) * alpha

    def keep(self, shape: Shape, *, over: bool = True) -> None:
        """Record the shape as an object; with `over` it hides what lies below, else it is part of it."""
        mask = shape.mask(SIDE)
        if over:
            for below in self.masks:
                below &= ~mask
        self.masks.append(mask)

    def cut(self, shape: Shape) -> Field:
        """What is painted in the shape's window now (C, h, w)."""
        return self.pixels[:, shape.rows, shape.columns].copy()


class Drawer:
    """Draws one image after another; the same seed draws the same sequence."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._bank = TextureBank(self._rng)
        self._drawn = 0

    def draw(self) -> Drawn:
        """Draw the next image."""
        self._drawn += 1
        if self._drawn % 8 == 0:
            self._bank.refresh()
        while True:
            style = _STYLES[int(self._rng.choice(len(_STYLES), p=_SHARES))]
            canvas = style(self._rng, self._bank)
            masks = [mask for mask in canvas.masks if _SMALLEST_OBJECT <= np.count_nonzero(mask) <= _LARGEST_OBJECT]
            if masks:
                return self._finish(canvas.pixels, np.stack(masks))

    def _finish(self, pixels: Field, masks: NDArray[np.bool_]) -> Drawn:
        pixels = marks.degrade(self._rng, self._bank, pixels)
        if self._rng.random() < _MAGNIFIED_SHARE:
            few = int(self._rng.integers(32, 128))
            coarse = marks.magnified_masks(masks, few)
            coarse = coarse[coarse.sum((1, 2)) >= _SMALLEST_OBJECT]
            if len(coarse):
                pixels, masks = marks.magnified(pixels, few), coarse
        if self._rng.random() < 0.5:
            pixels, masks = pixels[..., ::-1], masks[..., ::-1]
        if pixels.shape[0] == 1:
            pixels = np.repeat(pixels, 3, 0)
        return Drawn(np.ascontiguousarray(pixels, np.float32), np.ascontiguousarray(masks))


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _softness(rng: np.random.Generator) -> float:
    return _log_uniform(rng, 0.6, 14) if rng.random() < 0.8 else 1.0


def _seen(rng: np.random.Generator, bank: TextureBank, shape: Shape, *, margin: float, pixels: float = 0.0) -> Shape:
    """What is seen of an object whose outline a person drew: mostly a little less, its edge rougher than the outline.

    Args:
        rng: source of randomness.
        bank: textures that roughen the edge.
        shape: the object as outlined.
        margin: mean distance of the outline from the edge, as a share of the object's radius.
        pixels: more of that distance, whatever the size.
    """
    radius = float(np.sqrt(np.count_nonzero(shape.field > 0) / np.pi))
    change = bank.smooth(*shape.field.shape) * np.float32(radius * rng.uniform(0, 0.06))
    if rng.random() < 0.7:
        change = change - np.float32(radius * np.clip(rng.normal(margin, 0.06), -0.08, 0.3) + pixels)
    if rng.random() < 0.5:
        change = change + bank.rough(*shape.field.shape) * np.float32(min(0.12 * radius, 6) * rng.random())
    return Shape(shape.rows, shape.columns, shape.field + change)


def _any_shape(rng: np.random.Generator, bank: TextureBank, size: float) -> Shape:
    kind = rng.random()
    if kind < 0.66:
        return blob(rng, bank, side=SIDE, size=size)
    if kind < 0.78:
        return box_shape(rng, side=SIDE, size=size)
    if kind < 0.9:
        return tube(rng, side=SIDE, length=size * rng.uniform(2, 5), radius=max(2.0, size * rng.uniform(0.15, 0.45)))
    return without(blob(rng, bank, side=SIDE, size=size), blob(rng, bank, side=SIDE, size=size * 0.7))


def _generic(rng: np.random.Generator, bank: TextureBank) -> _Canvas:
    """Any objects on any ground: darker or brighter, told apart by grey value, texture or outline alone."""
    channels = 3 if rng.random() < 0.4 else 1
    ground = np.float32(rng.uniform(0.0, 0.95, (channels, 1, 1)))
    noise = bank.rough(SIDE, SIDE) * rng.uniform(0, 0.12) + bank.smooth(SIDE, SIDE) * rng.uniform(0, 0.15)
    canvas = _Canvas(rng, bank, to_field(ground + noise))
    for _ in range(int(rng.integers(1, 8))):
        shape = _any_shape(rng, bank, _log_uniform(rng, 6, 95))
        seen = _seen(rng, bank, shape, margin=0.03) if rng.random() < 0.5 else shape
        _paint_generic(canvas, seen, channels)
        canvas.keep(shape, over=rng.random() < 0.7)
    return canvas


def _paint_generic(canvas: _Canvas, shape: Shape, channels: int) -> None:
    rng, bank = canvas.rng, canvas.bank
    size = shape.field.shape
    below = canvas.cut(shape)
    contrast = _log_uniform(rng, 0.03, 0.8) * rng.choice([-1, 1])
    colour = np.float32(contrast * np.clip(1 + rng.normal(0, 0.5, (channels, 1, 1)), -1, 2))
    if rng.random() < 0.5:
        inside = below.mean((1, 2), keepdims=True) + colour + bank.rough(*size) * np.float32(rng.uniform(0, 0.12))
    else:
        inside = below + colour * (1 + bank.smooth(*size) * np.float32(rng.uniform(0, 0.5)))
        inside = inside + bank.rough(*size) * np.float32(rng.uniform(0, 0.08))
    canvas.paint(shape, to_field(inside), softness=_softness(rng))
    if rng.random() < 0.2:
        _rim(canvas, shape)


def _rim(canvas: _Canvas, shape: Shape) -> None:
    """Brighten or darken the outline."""
    width = canvas.rng.uniform(1, 4)
    band = np.exp(-((shape.field / np.float32(width)) ** 2)) * np.float32(canvas.rng.normal(0, 0.15))
    canvas.pixels[:, shape.rows, shape.columns] += band


def _ultrasound(rng: np.random.Generator, bank: TextureBank) -> _Canvas:
    """Layers of tissue under multiplicative speckle; a mostly dark lesion, its shadow or enhancement, decoys."""
    pixels = marks.layers(rng, bank, SIDE)
    canvas = _Canvas(rng, bank, pixels[None])
    for _ in range(int(rng.integers(0, 4))):
        decoy = blob(rng, bank, side=SIDE, size=_log_uniform(rng, 10, 60))
        level = canvas.cut(decoy) * np.float32(rng.uniform(0.5, 1.5))
        canvas.paint(decoy, level, softness=rng.uniform(4, 25), strength=rng.uniform(0.2, 0.9))
    for _ in range(1 if rng.random() < 0.75 else 2):
        _lesion(canvas)
    speckle = bank.speckle(SIDE, SIDE) ** np.float32(rng.uniform(0.1, 0.8))
    mixed = canvas.pixels * speckle + np.float32(rng.uniform(0, 0.03)) * bank.rough(SIDE, SIDE)
    if rng.random() < 0.7:
        mixed = np.maximum(mixed, 0) ** np.float32(rng.uniform(0.5, 1.1))
    canvas.pixels[:] = marks.ultrasound_frame(rng, bank, mixed)
    return canvas


def _lesion(canvas: _Canvas) -> None:
    rng, bank = canvas.rng, canvas.bank
    shape = blob(rng, bank, side=SIDE, size=_log_uniform(rng, 11, 95), wildness=float(rng.beta(2.0, 2.6)))
    seen = _seen(rng, bank, shape, margin=0.03, pixels=1.0)
    outside = canvas.cut(shape).mean()
    factor = _log_uniform(rng, 0.06, 0.8) if rng.random() < 0.88 else rng.uniform(1.2, 1.8)
    level = outside * factor
    inside = level * (1 + np.float32(rng.uniform(0, 0.35)) * bank.smooth(*shape.field.shape))
    inside = inside + np.float32(rng.uniform(0, 0.25) * max(level, 0.1)) * bank.rough(*shape.field.shape)
    marks.posterior(rng, canvas.pixels, shape)
    canvas.paint(seen, np.maximum(inside, 0)[None], softness=_softness(rng), strength=rng.uniform(0.75, 1))
    if rng.random() < 0.3:
        _rim(canvas, seen)
    canvas.keep(shape)
    if rng.random() < 0.25:  # calcifications and septa: bright, and part of the lesion
        marks.specks(rng, canvas.pixels, shape)


def _skin(rng: np.random.Generator, bank: TextureBank) -> _Canvas:
    """A pigmented lesion on skin, in colour: uneven inside, soft or ragged edge, hairs, bubbles, dark corners."""
    skin = np.array([rng.uniform(0.55, 0.95), rng.uniform(0.4, 0.8), rng.uniform(0.35, 0.75)], np.float32)[
        :, None, None
    ]
    tint = np.float32(rng.uniform(0.5, 1.2, (3, 1, 1)))
    ground = skin + tint * (
        bank.smooth(SIDE, SIDE) * np.float32(rng.uniform(0, 0.06))
        + bank.rough(SIDE, SIDE) * np.float32(rng.uniform(0, 0.03))
    )
    canvas = _Canvas(rng, bank, to_field(ground))
    shape = blob(rng, bank, side=SIDE, size=_log_uniform(rng, 18, 165), wildness=float(rng.beta(1.2, 2.2)), ragged=0.1)
    size = shape.field.shape
    depth = np.float32(_log_uniform(rng, 0.06, 0.6) * (1 if rng.random() < 0.93 else -0.5))
    colour = np.float32(np.array([0.7, 1.0, 1.0])[:, None, None] + rng.normal(0, 0.2, (3, 1, 1)))
    uneven = (
        1 + np.float32(rng.uniform(0, 0.4)) * bank.smooth(*size) + np.float32(rng.uniform(0, 0.3)) * bank.rough(*size)
    )
    seen = _seen(rng, bank, shape, margin=0.06)
    fade = np.clip(seen.field / np.float32(rng.uniform(5, 55)), 0, 1) ** np.float32(rng.uniform(0.0, 0.5))
    canvas.paint(seen, canvas.cut(seen) - depth * colour * uneven * fade, softness=_softness(rng))
    canvas.keep(shape)
    for _ in range(int(rng.integers(0, 4))):
        _patch(canvas, shape, float(depth))
    if rng.random() < 0.4:
        decoy = blob(rng, bank, side=SIDE, size=_log_uniform(rng, 5, 40))
        canvas.paint(decoy, canvas.cut(decoy) - np.float32(rng.normal(0, 0.1, (3, 1, 1))), softness=rng.uniform(3, 20))
    marks.hairs(rng, canvas.pixels)
    marks.skin_frame(rng, canvas.pixels)
    return canvas


def _patch(canvas: _Canvas, lesion: Shape, depth: float) -> None:
    """Darken or pale a part of the lesion; sometimes the part is an object of its own, within the lesion."""
    rng = canvas.rng
    inner = blob(rng, canvas.bank, side=SIDE, size=_log_uniform(rng, 5, 47))
    clipped = without(inner, Shape(lesion.rows, lesion.columns, -lesion.field))
    if (clipped.field > 0).sum() < _SMALLEST_OBJECT:
        return
    change = np.float32(depth * rng.normal(0.3, 0.5) + rng.normal(0, 0.05, (3, 1, 1)))
    canvas.paint(clipped, canvas.cut(clipped) - change, softness=_softness(rng))
    if abs(float(change.mean())) > 0.08 and rng.random() < 0.3:
        canvas.keep(clipped, over=False)


def _xray(rng: np.random.Generator, bank: TextureBank) -> _Canvas:
    """Two dark lungs in a bright chest, with heart, ribs and collar bones over them."""
    pixels = to_field(rng.uniform(0.5, 0.85) + bank.smooth(SIDE, SIDE) * rng.uniform(0, 0.08))
    canvas = _Canvas(rng, bank, marks.chest(rng, pixels, SIDE)[None])
    height = SIDE * rng.uniform(0.24, 0.44)
    middle = np.array([SIDE * rng.uniform(0.45, 0.55), SIDE * rng.uniform(0.4, 0.58)])
    apart = SIDE * rng.uniform(0.17, 0.26)
    lungs = []
    for mirrored, sign in ((False, -1), (True, 1)):
        semi = (apart * rng.uniform(0.75, 1.0), height * rng.uniform(0.85, 1.1))
        centre = (middle[0] + sign * apart, middle[1] + rng.normal(0, 4))
        shape = lung(rng, side=SIDE, semi=semi, centre=centre, mirrored=mirrored)
        if mirrored and rng.random() < 0.8:
            shape = without(shape, marks.heart(rng, bank, SIDE, middle, height))
        lungs.append(shape)
    for shape in lungs:
        _lung_inside(canvas, shape)
        canvas.keep(shape)
    canvas.pixels[0] += marks.ribs(rng, SIDE, middle)
    canvas.pixels += bank.rough(SIDE, SIDE) * np.float32(rng.uniform(0, 0.04))
    return canvas


def _lung_inside(canvas: _Canvas, shape: Shape) -> None:
    rng, bank = canvas.rng, canvas.bank
    size = shape.field.shape
    contrast = np.float32(rng.uniform(0.12, 0.5))
    hazy = 1 - np.float32(rng.uniform(0, 0.45)) * np.clip(bank.smooth(*size), -0.5, 2)
    depth = np.clip(shape.field / np.float32(rng.uniform(3, 30)), 0, 1) ** np.float32(rng.uniform(0, 0.7))
    inside = canvas.cut(shape) - contrast * hazy * depth + bank.rough(*size) * np.float32(rng.uniform(0, 0.06))
    canvas.paint(shape, to_field(inside), softness=_log_uniform(rng, 1, 10))


def _halves(rng: np.random.Generator, shape: Shape) -> tuple[Shape, Shape]:
    """Two parts of a shape on both sides of a straight line that nothing shows, as of an organ's head and tail."""
    rows, columns = np.nonzero(shape.field > 0)
    if rows.size == 0:
        return shape, shape
    angle = rng.uniform(0, np.pi)
    y, x = np.ogrid[: shape.field.shape[0], : shape.field.shape[1]]
    spread = 0.3 * np.sqrt(rows.size)
    across = (x - columns.mean()) * np.cos(angle) + (y - rows.mean()) * np.sin(angle) - rng.normal(0, 0.3) * spread
    first = np.minimum(shape.field, across.astype(np.float32))
    second = np.minimum(shape.field, -across.astype(np.float32))
    return Shape(shape.rows, shape.columns, first), Shape(shape.rows, shape.columns, second)


def _slice(rng: np.random.Generator, bank: TextureBank) -> _Canvas:
    """A slice of a body: nested ovals on black and many small structures of little contrast."""
    canvas = _Canvas(rng, bank, np.zeros((1, SIDE, SIDE), np.float32) + np.float32(rng.uniform(0, 0.3)))
    body = blob(rng, bank, side=SIDE, size=SIDE * rng.uniform(0.3, 0.75), wildness=0.15)
    ground = rng.uniform(0.3, 0.6) + bank.smooth(*body.field.shape) * rng.uniform(0, 0.1)
    ground = ground + bank.rough(*body.field.shape) * rng.uniform(0.0, 0.12)
    canvas.paint(body, to_field(ground)[None], softness=rng.uniform(1, 4))
    if rng.random() < 0.3:
        canvas.keep(body, over=False)
    for _ in range(int(rng.integers(3, 14))):
        shape = _any_shape(rng, bank, _log_uniform(rng, 5, 45))
        _paint_generic(canvas, shape, 1)
        parts = _halves(rng, shape) if rng.random() < 0.2 else (shape,)
        over = bool(rng.random() < 0.85)
        for part in parts:
            canvas.keep(part, over=over)
    canvas.pixels += rng.normal(0, 1, canvas.pixels.shape).astype(np.float32) * np.float32(rng.uniform(0, 0.06))
    return canvas


_STYLES: tuple[Callable[[np.random.Generator, TextureBank], _Canvas], ...] = (
    _generic,
    _ultrasound,
    _skin,
    _xray,
    _slice,
)
_SHARES = (0.22, 0.3, 0.2, 0.14, 0.14)
