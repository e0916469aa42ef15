"""The demo's images: phantoms of three kinds with known truth, and a studies folder full of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autoweak import atomic
from autoweak.errors import AutoweakError
from autoweak.phantoms.canvas import Size
from autoweak.phantoms.dermoscopy import draw_dermoscopy
from autoweak.phantoms.ultrasound import draw_ultrasound
from autoweak.phantoms.xray import draw_xray

_SMALLEST_SIDE = 48
_MOST_EMPTY_TRIES = 50

Pixels = NDArray[np.uint8]


class PhantomKind(str, Enum):
    """What a phantom looks like."""

    ULTRASOUND = "ultrasound"
    DERMOSCOPY = "dermoscopy"
    XRAY = "xray"


class PhantomError(AutoweakError):
    """A phantom was asked for that cannot be drawn."""


@dataclass(frozen=True)
class Phantom:
    """An image and its truth.

    Attributes:
        image: (H, W) uint8 grey, or (H, W, 3) uint8 RGB for dermoscopy.
        mask: (H, W) uint8, 0 background; lesion 1; of an X-ray, right lung 1 and left lung 2.
    """

    image: Pixels
    mask: Pixels


_PAINTERS: Mapping[PhantomKind, Callable[[np.random.Generator, Size], tuple[Pixels, Pixels]]] = MappingProxyType(
    {
        PhantomKind.ULTRASOUND: draw_ultrasound,
        PhantomKind.DERMOSCOPY: draw_dermoscopy,
        PhantomKind.XRAY: draw_xray,
    }
)


def make_phantom(kind: PhantomKind | str, *, seed: int, size: Size = (256, 256)) -> Phantom:
    """Draw one phantom; the same kind, seed and size give the same pixels.

    Args:
        kind: "ultrasound", "dermoscopy" or "xray".
        seed: 0 or above.
        size: (H, W) in pixels, at least 48 each.

    Raises:
        PhantomError: the kind is not known, or the size is too small to draw anatomy in.
    """
    chosen = _kind(kind)
    if min(size) < _SMALLEST_SIDE:
        msg = f"A phantom of {size[0]} x {size[1]} pixels is too small; ask for at least {_SMALLEST_SIDE} each way."
        raise PhantomError(msg)
    # The kind is part of the seed: image 3 of one kind must not mirror the layout of image 3 of another.
    rng = np.random.default_rng([seed, zlib.crc32(chosen.value.encode())])
    image, mask = _PAINTERS[chosen](rng, size)
    return Phantom(image=image, mask=mask)


def write_phantom_studies(
    folder: Path,
    kind: PhantomKind | str,
    *,
    gold: int,
    unlabelled: int,
    validation: int,
    seed: int,
    size: Size = (256, 256),
) -> None:
    """Write a studies folder of phantoms, and validation images with their truth beside it.

    `folder/studies/` gets `gold` + `unlabelled` images as PNG, and the truth of the gold ones alone in
    `labels/final/`; `folder/validation/` gets `images/` and `labels/`. Gold images always show something to
    segment; unlabelled and validation images of a kind with lesions may hold none. A killed call can be made
    again: each file is written whole.

    Raises:
        PhantomError: the kind is not known, or a count is below 0.
    """
    if min(gold, unlabelled, validation) < 0:
        msg = f"Numbers of phantoms were {gold}, {unlabelled} and {validation}; give 0 or more of each."
        raise PhantomError(msg)
    chosen, studies, held_out = _kind(kind), folder / "studies", folder / "validation"
    for index in range(gold):
        phantom = _with_foreground(chosen, seed=_image_seed(seed, 0, index), size=size)
        name = f"{chosen.value}_{index:03d}.png"
        _write_png(studies / name, phantom.image)
        _write_png(studies / "labels" / "final" / name, phantom.mask)
    for index in range(unlabelled):
        phantom = make_phantom(chosen, seed=_image_seed(seed, 1, index), size=size)
        _write_png(studies / f"{chosen.value}_{gold + index:03d}.png", phantom.image)
    for index in range(validation):
        phantom = make_phantom(chosen, seed=_image_seed(seed, 2, index), size=size)
        name = f"{chosen.value}_validation_{index:03d}.png"
        _write_png(held_out / "images" / name, phantom.image)
        _write_png(held_out / "labels" / name, phantom.mask)


def _kind(kind: PhantomKind | str) -> PhantomKind:
    try:
        return PhantomKind(kind)
    except ValueError:
        known = ", ".join(member.value for member in PhantomKind)
        msg = f"There is no phantom kind {kind!r}; choose one of {known}."
        raise PhantomError(msg) from None


def _image_seed(seed: int, role: int, index: int) -> int:
    """Seed of one image, far from those of the other images, roles and folders."""
    return int(np.random.SeedSequence([seed, role, index]).generate_state(1, np.uint64)[0])


def _with_foreground(kind: PhantomKind, *, seed: int, size: Size) -> Phantom:
    for attempt in range(_MOST_EMPTY_TRIES):
        phantom = make_phantom(kind, seed=seed + attempt, size=size)
        if phantom.mask.any():
            return phantom
    msg = f"{_MOST_EMPTY_TRIES} phantoms in a row came out empty at {size[0]} x {size[1]} pixels; ask for larger ones."
    raise PhantomError(msg)


def _write_png(path: Path, pixels: Pixels) -> None:
    atomic.write_with(path, Image.fromarray(pixels).save)
