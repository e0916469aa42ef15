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
import yaml
from PIL import Image

from autoweak.experiments.pictures import CaseLayers, draw_case
from autoweak.loop.coarse import train_coarse
from autoweak.loop.context import Context
from autoweak.loop.gold import read_gold
from autoweak.loop.label import Labeller
from autoweak.phantoms.demo import PhantomKind, make_phantom, write_phantom_studies
from autoweak.prompts.prompt import Point, Prompt
from autoweak.server.clicks import Clicks, SliceClicks
from autoweak.server.interact import segment
from autoweak.tasks import load_task

SIZE = (192, 256)
COLOURS = 128


def open_phantoms(folder: Path) -> Context:
    """Eight gold phantoms and a task whose training is short."""
    write_phantom_studies(folder, PhantomKind.ULTRASOUND, gold=8, unlabelled=1, validation=0, seed=2, size=SIZE)
    content = load_task("breast_ultrasound").model_dump(mode="json", exclude_none=True)
    content["coarse"].update(size=64, epochs=12, folds=2)
    path = folder / "task.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return Context.open(folder / "studies", load_task(path))


def weak_label(context: Context) -> bytes:
    """Image, coarse map with its prompt, weak label: what *Auto Segmentation* shows, and where it comes from."""
    labeller = Labeller.load(context, train_coarse(context, read_gold(context)))
    phantom = make_phantom(PhantomKind.ULTRASOUND, seed=40, size=SIZE)
    view = phantom.image[np.newaxis, ..., np.newaxis]
    coarse_map = labeller.coarse.predict(view)
    weak = labeller.generate(view, coarse_map)
    return draw_case(CaseLayers(view, coarse_map, weak.prompts, weak.mask), long_side=SIZE[1])


def clicks(context: Context) -> bytes:
    """A point into the object and the mask that comes back, a point to take something away, and the mask then."""
    model, cache = context.load_promptable()
    phantom = make_phantom(PhantomKind.ULTRASOUND, seed=41, size=SIZE)
    view = phantom.image[np.newaxis, ..., np.newaxis]
    row, column = (float(np.median(axis)) for axis in np.nonzero(phantom.mask))
    points: list[Point] = [(column, row, True)]
    rows, base = [], None
    for _ in range(2):
        said = Clicks({1: {0: SliceClicks(points=list(points))}}, named=True)
        mask = segment(view, said, base=base, model=model, cache=cache, labels=(1,))
        prompt = Prompt(label=1, slice_index=0, box=None, points=tuple(points), threshold=0.5, area=1)
        rows.append(draw_case(CaseLayers(view, prompts=(prompt,), weak=mask), long_side=SIZE[1]))
        edge = np.argwhere(mask[0] > 0)[0]
        points, base = [(float(edge[1]), float(edge[0]), False)], mask
    return stacked(rows)


def stacked(rows: list[bytes]) -> bytes:
    """Pictures below one another."""
    pictures = [Image.open(io.BytesIO(row)) for row in rows]
    sheet = Image.new("RGB", (max(one.width for one in pictures), sum(one.height for one in pictures)))
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def main() -> None:
    """Draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as work:
        context = open_phantoms(Path(work))
        for name, content in (("slicer_weak_label", weak_label(context)), ("slicer_clicks", clicks(context))):
            with Image.open(io.BytesIO(content)) as picture:
                picture.quantize(COLOURS).save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
