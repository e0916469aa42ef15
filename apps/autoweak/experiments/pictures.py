"""One case as a row of panels: image, coarse map with its prompts, weak label, truth."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_dilation, binary_erosion

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

# Okabe and Ito's colours, which people with any common colour blindness tell apart; the order puts first what
# stands out from grey images and from skin alike.
LABEL_COLOURS: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)
_HEAT = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))  # 0, 1/4, 1/2, 3/4, 1
_HEAT_FROM, _HEAT_OPACITY = 0.05, 0.72
_BACKGROUND: Colour = (24, 27, 33)
_INK: Colour = (232, 234, 238)
_POSITIVE: Colour = (90, 220, 110)
_NEGATIVE: Colour = (255, 95, 85)
_TITLE_HEIGHT, _GAP, _FONT_SIZE = 20, 6, 12


class PictureFormat(str, Enum):
    """How panels are stored; JPEG is a fifth of the size of PNG on speckle."""

    PNG = "png"
    JPEG = "jpeg"


class PromptLike(Protocol):
    """What is drawn of a prompt; `autoweak.prompts.Prompt` is one."""

    @property
    def label(self) -> int: ...
    @property
    def slice_index(self) -> int: ...
    @property
    def box(self) -> tuple[float, float, float, float] | None: ...
    @property
    def points(self) -> tuple[tuple[float, float, bool], ...]: ...


@dataclass(frozen=True)
class CaseLayers:
    """What there is to show of one image; what is None has no panel.

    Attributes:
        view: (S, H, W, C) uint8, grey or RGB.
        coarse_map: (S, K, H, W) probabilities 0..1, labels in order of value.
        prompts: boxes XYXY and points (x, y, is_positive) in pixels of their slice.
        weak: (S, H, W) label values of the weak label.
        truth: (S, H, W) label values a person made.
        weak_title: what the panel of `weak` is called, where it is the mask of a model.
    """

    view: Pixels
    coarse_map: NDArray[np.floating[Any]] | None = None
    prompts: Sequence[PromptLike] = ()
    weak: Pixels | None = None
    truth: Pixels | None = None
    weak_title: str = "Weak label"


def label_colour(label: int) -> Colour:
    """Colour (R, G, B), 0..255, of a label value from 1 up; the palette repeats after seven."""
    return LABEL_COLOURS[(label - 1) % len(LABEL_COLOURS)]


def draw_case(
    layers: CaseLayers,
    *,
    long_side: int = 256,
    most_slices: int = 1,
    picture_format: PictureFormat | str = PictureFormat.PNG,
) -> bytes:
    """Draw one case as a row of titled panels, one row for each slice shown.

    Args:
        layers: the image and what is known of it.
        long_side: longer side of a panel, in pixels.
        most_slices: of a volume, how many slices to show at most: those with most foreground, in order.
        picture_format: "png" or "jpeg".

    Returns:
        The encoded picture.
    """
    slices = choose_slices(layers, most=most_slices)
    rows = [_draw_slice(layers, index, long_side=long_side) for index in slices]
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height + _GAP for row in rows) - _GAP))
    sheet.paste(_BACKGROUND, (0, 0, sheet.width, sheet.height))
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + _GAP
    return encode(sheet, picture_format)


def encode(picture: Image.Image, picture_format: PictureFormat | str) -> bytes:
    """The picture as bytes of a PNG or JPEG file; the same picture gives the same bytes."""
    stream = io.BytesIO()
    if PictureFormat(picture_format) is PictureFormat.PNG:
        picture.save(stream, "PNG", compress_level=3)
    else:
        # Full colour resolution: halved, thin coloured contours bleed.
        picture.save(stream, "JPEG", quality=80, subsampling=0, optimize=True)
    return stream.getvalue()


def choose_slices(layers: CaseLayers, *, most: int) -> tuple[int, ...]:
    """Indices of the slices with most foreground, in order.

    Foreground is that of the truth, then of the weak label, then of the coarse map above one half; the middle slice
    where there is none.
    """
    count = layers.view.shape[0]
    for mask in (layers.truth, layers.weak):
        if mask is not None and mask.any():
            return _fullest((mask > 0).reshape(count, -1).sum(1), most)
    if layers.coarse_map is not None and (layers.coarse_map > 0.5).any():
        return _fullest((layers.coarse_map > 0.5).reshape(count, -1).sum(1), most)
    return (count // 2,)


def _fullest(areas: NDArray[np.int_], most: int) -> tuple[int, ...]:
    ranked = sorted(np.flatnonzero(areas).tolist(), key=lambda index: (-areas[index], index))
    return tuple(sorted(ranked[: max(1, most)]))


def _draw_slice(layers: CaseLayers, index: int, *, long_side: int) -> Image.Image:
    """A row of panels for one slice."""
    height, width = layers.view.shape[1:3]
    scale = long_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    base = _as_rgb(layers.view[index]).resize(size, Image.Resampling.BILINEAR)
    several = layers.view.shape[0] > 1
    panels = [(f"Image, slice {index + 1} of {layers.view.shape[0]}" if several else "Image", base)]
    if layers.coarse_map is not None:
        panel = _overlay_heat(base, np.asarray(layers.coarse_map[index], np.float32))
        prompts = [prompt for prompt in layers.prompts if prompt.slice_index == index]
        _draw_prompts(panel, prompts, scale=(size[0] / width, size[1] / height))
        panels.append(("Coarse map and prompts", panel))
    if layers.weak is not None:
        panels.append(_mask_panel(layers.weak_title, base, layers.weak[index], "nothing found"))
    if layers.truth is not None:
        panels.append(_mask_panel("Truth", base, layers.truth[index], "nothing there"))
    return _join(panels)


def _as_rgb(pixels: Pixels) -> Image.Image:
    channels = pixels.shape[2]
    return Image.fromarray(pixels if channels == 3 else np.repeat(pixels[..., :1], 3, axis=2))


def _mask_panel(title: str, base: Image.Image, mask: Pixels, empty: str) -> tuple[str, Image.Image]:
    if not mask.any():
        return f"{title}: {empty}", base
    return title, _draw_contours(base, mask)


def _overlay_heat(base: Image.Image, maps: NDArray[np.float32]) -> Image.Image:
    """The base under the coarse map (K, H, W): a heat scale for one label, the labels' colours for several."""
    resized = [_resize_map(one, base.size) for one in maps]
    canvas = np.asarray(base, np.float32)
    if len(resized) == 1:
        canvas = _blend(canvas, _heat_colours(resized[0]), resized[0])
    else:
        for label, probability in enumerate(resized, start=1):
            canvas = _blend(canvas, np.asarray(label_colour(label), np.float32), probability)
    return Image.fromarray(np.asarray(np.clip(canvas + 0.5, 0, 255), np.uint8))


def _resize_map(probability: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(np.clip(np.nan_to_num(probability), 0, 1)))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32)


def _heat_colours(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, 3) float32, 0..255: dark purple for low, through red and orange to pale yellow for high."""
    stops = np.linspace(0, 1, len(_HEAT))
    table = np.stack([np.interp(np.linspace(0, 1, 256), stops, channel) for channel in np.transpose(_HEAT)], 1)
    return np.asarray(table[np.asarray(probability * 255, np.uint8)], np.float32)


def _blend(
    canvas: NDArray[np.float32], colours: NDArray[np.float32], probability: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Colours over the canvas, clear where the probability is next to nothing."""
    opacity = _HEAT_OPACITY * np.clip((probability - _HEAT_FROM) / 0.4, 0, 1)[..., None]
    return np.asarray(canvas + (colours - canvas) * opacity, np.float32)


def _draw_contours(base: Image.Image, mask: Pixels) -> Image.Image:
    """The base with each label tinted and outlined in its colour, on a thin dark line that any background shows."""
    canvas = np.array(base)
    resized = np.asarray(Image.fromarray(mask).resize(base.size, Image.Resampling.NEAREST))
    for label in np.unique(resized[resized > 0]).tolist():
        inside = resized == label
        edge = binary_dilation(inside) & ~binary_erosion(inside, border_value=0)
        colour = np.asarray(label_colour(label))
        canvas[inside] = (canvas[inside] * 0.82 + colour * 0.18).astype(np.uint8)
        casing = binary_dilation(edge) & ~edge & ~inside
        canvas[casing] = (canvas[casing] * 0.35).astype(np.uint8)
        canvas[edge] = colour
    return Image.fromarray(canvas)


def _draw_prompts(panel: Image.Image, prompts: Sequence[PromptLike], *, scale: tuple[float, float]) -> None:
    """Boxes in their label's colour, + for positive and x for negative points."""
    pen = ImageDraw.Draw(panel)
    for prompt in prompts:
        if prompt.box is not None:
            x0, y0, x1, y1 = prompt.box
            corners = (x0 * scale[0], y0 * scale[1], (x1 + 1) * scale[0] - 1, (y1 + 1) * scale[1] - 1)
            pen.rectangle(corners, outline=(0, 0, 0), width=4)
            inner = (corners[0] + 1, corners[1] + 1, corners[2] - 1, corners[3] - 1)
            pen.rectangle(inner, outline=label_colour(prompt.label), width=2)
    for prompt in prompts:
        for x, y, is_positive in prompt.points:
            _draw_point(pen, (x + 0.5) * scale[0], (y + 0.5) * scale[1], is_positive=is_positive)


def _draw_point(pen: ImageDraw.ImageDraw, x: float, y: float, *, is_positive: bool) -> None:
    reach = 5 if is_positive else 4
    first = ((x - reach, y), (x + reach, y)) if is_positive else ((x - reach, y - reach), (x + reach, y + reach))
    second = ((x, y - reach), (x, y + reach)) if is_positive else ((x - reach, y + reach), (x + reach, y - reach))

    def stroke(colour: Colour, width: int) -> None:
        pen.line(first, fill=colour, width=width)
        pen.line(second, fill=colour, width=width)

    stroke((0, 0, 0), 4)
    stroke(_POSITIVE if is_positive else _NEGATIVE, 2)


def _join(panels: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Panels side by side, each under its title."""
    font = ImageFont.load_default(_FONT_SIZE)
    width = sum(panel.width + _GAP for _, panel in panels) - _GAP
    row = Image.new("RGB", (width, _TITLE_HEIGHT + panels[0][1].height), _BACKGROUND)
    pen, left = ImageDraw.Draw(row), 0
    for title, panel in panels:
        pen.text((left + 4, 3), title, fill=_INK, font=font)
        row.paste(panel, (left, _TITLE_HEIGHT))
        left += panel.width + _GAP
    return row
