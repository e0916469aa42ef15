"""Measure a promptable model from boxes of the truth: mean Dice, meaning of its predicted IoU, and time.

    python scripts/evaluate_promptable.py FOLDER [FOLDER ...] --jitter 0.05

Each FOLDER holds `images` and `masks` with equal stems; any non-zero value is the object. With --components each
connected component gets a box of its own. For scale, the ellipse inscribed in the same true box is measured too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, stats

from autoweak.promptable.model import Promptable, load_promptable

_SMALLEST_COMPONENT = 200
Mask = NDArray[np.bool_]


@dataclass
class Measured:
    """One row of the table."""

    dice: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    point: list[float] = field(default_factory=list)
    ellipse: list[float] = field(default_factory=list)
    guessed: list[float] = field(default_factory=list)
    true_iou: list[float] = field(default_factory=list)
    encode_seconds: list[float] = field(default_factory=list)
    decode_seconds: list[float] = field(default_factory=list)

    def row(self, name: str) -> str:
        """Format as a row of a Markdown table."""
        rank = stats.spearmanr(self.guessed, self.true_iou).statistic
        means = " | ".join(f"{np.mean(each):.3f}" for each in (self.dice, self.second, self.point, self.ellipse))
        times = f"{np.median(self.encode_seconds):.3f} | {np.median(self.decode_seconds):.3f}"
        return f"| {name} | {len(self.dice)} | {means} | {rank:.2f} | {times} |"


def read_pairs(folder: Path) -> Iterator[tuple[NDArray[np.uint8], Mask]]:
    """Read the images (H, W, 3) and masks (H, W) of a folder, those without an object left out."""
    masks = {path.stem: path for path in (folder / "masks").iterdir()}
    for path in sorted((folder / "images").iterdir()):
        image = Image.open(path).convert("RGB")
        mask = Image.open(masks[path.stem]).convert("L").resize(image.size, Image.Resampling.NEAREST)
        # JPEG masks have values near 0 and near 255; masks of labels have 0 and 1.
        values = np.asarray(mask)
        found = values > (127 if values.max() > 1 else 0)
        if found.any():
            yield np.asarray(image), found


def parts(mask: Mask, *, components: bool) -> list[Mask]:
    """The objects to be prompted, one by one."""
    if not components:
        return [mask]
    labels, count = ndimage.label(mask)
    each = [labels == index + 1 for index in range(count)]
    return [part for part in each if part.sum() >= _SMALLEST_COMPONENT]


def dice(found: Mask, truth: Mask) -> float:
    """2 |A and B| / (|A| + |B|)."""
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def ellipse_in(box: NDArray[np.float64], shape: tuple[int, ...]) -> Mask:
    """The ellipse inscribed in a box with inclusive corners."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2] + 1) / 2
    inside: Mask = ((columns - centre[0]) / half[0]) ** 2 + ((rows - centre[1]) / half[1]) ** 2 <= 1
    return inside


def measure(
    model: Promptable,
    image: NDArray[np.uint8],
    truths: list[Mask],
    *,
    shift: float,
    rng: np.random.Generator,
    into: Measured,
) -> None:
    """Prompt the objects of one image and note the results."""
    began = time.process_time()
    embedding = model.encode(image)
    into.encode_seconds.append(time.process_time() - began)
    for truth in truths:
        rows, columns = np.nonzero(truth)
        box = np.array([columns.min(), rows.min(), columns.max(), rows.max()], float)
        moved = box + rng.uniform(-shift, shift, 4) * np.tile(box[2:] - box[:2] + 1, 2)
        moved = np.clip(moved, 0, np.tile([truth.shape[1] - 1, truth.shape[0] - 1], 2))
        middle = [[(float(np.median(columns)), float(np.median(rows)), True)]]
        began = time.process_time()
        result = model.decode(embedding, boxes=moved[None])
        into.decode_seconds.append(time.process_time() - began)
        again = model.decode(embedding, boxes=moved[None], masks=result.low_res_logits)
        into.dice.append(dice(result.masks[0], truth))
        into.second.append(dice(again.masks[0], truth))
        into.point.append(dice(model.decode(embedding, points=middle).masks[0], truth))
        into.ellipse.append(dice(ellipse_in(box, truth.shape), truth))
        into.guessed.append(float(result.predicted_iou[0]))
        into.true_iou.append(into.dice[-1] / (2 - into.dice[-1]))


def main() -> None:
    """Read the options, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", default="small")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--jitter", type=float, default=0.05, help="each side moves by up to this share of the box")
    parser.add_argument("--components", action="store_true", help="a box for each connected component")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_promptable(options.model, checkpoint=options.checkpoint)
    print(f"Model {model.name}, weights {model.sha256[:12]}, boxes moved by up to {options.jitter:.0%}, one thread")
    print("| folder | objects | box | box + own mask | point | ellipse | rank of IoU | encode s | decode s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for folder in options.folders:
        measured, rng = Measured(), np.random.default_rng(options.seed)
        for image, mask in read_pairs(folder):
            objects = parts(mask, components=options.components)
            measure(model, image, objects, shift=options.jitter, rng=rng, into=measured)
        print(measured.row(f"{folder.parent.name}/{folder.name}"))


if __name__ == "__main__":
    main()
