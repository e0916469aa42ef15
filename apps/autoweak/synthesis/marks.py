"""What says that an image is synthetic: where it lies, what stands in its PNG, and the register in the workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from autoweak import atomic

# Beside the images of patients, never among them: open_studies, MONAI Label and a PACS do not look into it.
FOLDER_NAME = "synthetic"
REGISTER_NAME = "synthetic.json"
_PREFIX = "synthetic-"
_CHUNK = "autoweak-synthetic"
_FORMAT = 1
# A line a sample; far more than anyone draws.
_MOST_BYTES = 64 * 1024 * 1024
_MOST_CHUNK = 4096
_ERRORS = (OSError, ValueError, SyntaxError, TypeError, KeyError, EOFError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Mark:
    """Where a synthetic image comes from: equal marks make equal images.

    Attributes:
        generator: SHA-256 of the generator's weights.
        seed: of the drawing.
        number: of the image in the seed's row, from 1.
        sampler: "ddim" or "ddpm".
        steps: of the sampler.
    """

    generator: str
    seed: int
    number: int
    sampler: str
    steps: int

    @property
    def image_id(self) -> str:
        """`synthetic-<hash of all but the number>-<number>`: no patient's image is called so."""
        from autoweak.workspace import fingerprint

        row = {key: value for key, value in asdict(self).items() if key != "number"}
        return f"{_PREFIX}{fingerprint(row)[:8]}-{self.number:04d}"


def write_marked(path: Path, picture: NDArray[np.uint8], mark: Mark) -> None:
    """Write a picture (H, W, C) uint8 as PNG with its mark, atomically.

    The mark is a text chunk (PNG specification, 11.3.3), and so is a sentence for people who open the file.
    """
    info = PngInfo()
    info.add_text(_CHUNK, json.dumps(asdict(mark), sort_keys=True))
    info.add_text("Description", "Synthetic image drawn by a diffusion model; it shows no patient.")
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    atomic.write_with(path, lambda partial: image.save(partial, pnginfo=info))


def read_mark(path: Path) -> Mark | None:
    """The mark in a PNG; None where there is none that can be read."""
    if path.suffix.lower() != ".png" or not path.is_file():
        return None
    try:
        with Image.open(path, formats=["PNG"]) as image:
            text = image.info.get(_CHUNK)
        if not isinstance(text, str) or len(text) > _MOST_CHUNK:
            return None
        return _mark_from(json.loads(text))
    except _ERRORS:
        return None


def is_marked(path: Path) -> bool:
    """Whether an image says of itself that it is synthetic, by its name or by its mark."""
    return path.name.startswith(_PREFIX) or read_mark(path) is not None


@dataclass(frozen=True)
class Register:
    """What the workspace knows of synthetic images.

    Attributes:
        images: SHA-256 of the file to its mark.
        generators: SHA-256 of a generator to what it learned from: SHA-256 of each image file to the image's id.
    """

    images: Mapping[str, Mark]
    generators: Mapping[str, Mapping[str, str]]

    def learned_from(self, mark: Mark | None) -> Mapping[str, str] | None:
        """The images that stand behind a synthetic one, SHA-256 to id; None where that is not known."""
        return None if mark is None else self.generators.get(mark.generator)

    def with_images(
        self, images: Mapping[str, Mark], *, learned: Mapping[str, Mapping[str, str]] | None = None
    ) -> Register:
        """A register that knows these images as well, and what these generators learned from."""
        return Register({**self.images, **images}, {**self.generators, **(learned or {})})

    def write(self, workspace: Path) -> None:
        """Write `synthetic.json` into the workspace."""
        content = {
            "format": _FORMAT,
            "generators": {name: {"trained_on": dict(learned)} for name, learned in self.generators.items()},
            "images": {name: asdict(mark) for name, mark in self.images.items()},
        }
        atomic.write_json(workspace / REGISTER_NAME, content)


def read_register(workspace: Path) -> Register:
    """The register of a workspace; an empty one where it is missing or damaged, as the marks in the files remain."""
    path = workspace / REGISTER_NAME
    try:
        if path.stat().st_size > _MOST_BYTES:
            return Register({}, {})
        content = json.loads(path.read_text(encoding="utf-8"))
        images = {str(name): _mark_from(entry) for name, entry in content["images"].items()}
        generators = {
            str(name): {str(one): str(image_id) for one, image_id in entry["trained_on"].items()}
            for name, entry in content["generators"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Register({}, {})
    return Register({name: mark for name, mark in images.items() if mark is not None}, generators)


def _mark_from(content: Any) -> Mark | None:
    if not isinstance(content, dict) or set(content) != set(Mark.__dataclass_fields__):
        return None
    mark = Mark(**content)
    kinds = {"generator": str, "seed": int, "number": int, "sampler": str, "steps": int}
    return mark if all(isinstance(getattr(mark, name), kind) for name, kind in kinds.items()) else None
