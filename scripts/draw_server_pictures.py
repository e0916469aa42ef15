"""Draw the pictures of docs/slicer.md: what goes between the server and a viewer, on a phantom.

    python scripts/draw_server_pictures.py docs/pictures

They are drawn by the program's own code and are no screenshots of a viewer. A minute on one core.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from autoweak.experiments.pictures import CaseLayers, draw_case, label_colour
from autoweak.loop.coarse import train_coarse
from autoweak.loop.context import Context
from autoweak.loop.gold import read_gold
from autoweak.loop.label import Labeller
from autoweak.phantoms.demo import PhantomKind, make_phantom, write_phantom_studies
from autoweak.prompts.prompt import Point
from autoweak.server.clicks import Clicks, SliceClicks
from autoweak.server.interact import segment
from autoweak.tasks import load_task

Pixels = npt.NDArray[np.uint8]
SIZE = (192, 256)
COLOURS = 128


def open_phantoms(folder: Path) -> Context:
    """Eight gold phantoms and a task whose training is short."""
    write_phantom_studies(folder, PhantomKind.DERMOSCOPY, gold=8, unlabelled=1, validation=0, seed=2, size=SIZE)
    content = load_task("skin_lesion").model_dump(mode="json", exclude_none=True)
    content["coarse"].update(size=64, epochs=12, folds=2)
    path = folder / "task.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return Context.open(folder / "studies", load_task(path))


def weak_label(context: Context) -> bytes:
    """Image, coarse map with its prompt, weak label: what *Auto Segmentation* shows, and where it comes from."""
    labeller = Labeller.load(context, train_coarse(context, read_gold(context)))
    view = make_phantom(PhantomKind.DERMOSCOPY, seed=40, size=SIZE).image[np.newaxis]
    made = labeller.generate(view)
    return draw_case(CaseLayers(view, made.coarse_map, made.weak.prompts, made.weak.mask), long_side=SIZE[1])


def clicks(context: Context) -> bytes:
    """A point into the object and the mask that comes back, a point to take something away, and the mask then."""
    model, cache = context.load_promptable()
    phantom = make_phantom(PhantomKind.DERMOSCOPY, seed=41, size=SIZE)
    view = phantom.image[np.newaxis]
    row, column = (float(np.median(axis)) for axis in np.nonzero(phantom.mask))
    point: Point = (column, row, True)
    base, panels = None, []
    for name in ("first click", "second click"):
        said = Clicks({1: {0: SliceClicks(points=[point])}}, named=True)
        mask = segment(view, said, base=base, model=model, cache=cache, labels=(1,))
        shown = np.zeros(SIZE, dtype=bool) if base is None else base[0] > 0
        panels += [panel(phantom.image, shown, name, point), panel(phantom.image, mask[0] > 0, "answer")]
        top = np.argwhere(mask[0] > 0)[0]
        base, point = mask, (float(top[1]), float(top[0]), False)
    sheet = Image.new("RGB", (sum(one.width for one in panels), panels[0].height))
    for place, one in enumerate(panels):
        sheet.paste(one, (place * one.width, 0))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def panel(image: Pixels, mask: npt.NDArray[np.bool_], title: str, point: Point | None = None) -> Image.Image:
    """The image (H, W, 3) with the edge of a mask and a click: green into the object, red to take something away."""
    rgb = image.copy()
    rgb[mask & ~binary_erosion(mask, iterations=2)] = label_colour(1)
    picture = Image.fromarray(rgb)
    draw = ImageDraw.Draw(picture)
    if point is not None:
        x, y, positive = point
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=(90, 220, 110) if positive else (255, 95, 85))
    draw.text((5, 3), title, fill=(255, 255, 255))
    return picture


def main() -> None:
    """Draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as work:
        context = open_phantoms(Path(work))
        for name, content in (("slicer_weak_label", weak_label(context)), ("slicer_clicks", clicks(context))):
            with Image.open(io.BytesIO(content)) as picture:
                picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
