"""Measure a promptable model with prompts made from the truth: mean Dice, meaning of its predicted IoU, and time.

    python scripts/evaluate_promptable.py FOLDER [FOLDER ...] --jitter 0.05

Each FOLDER holds `images` and `masks` with equal stems (any non-zero value is the object), or `images` and `labels` of
volumes (each label of each slice is an object). With --components each connected component gets a box of its own. For
scale, the ellipse inscribed in the same true box is measured too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, stats

from autoweak.promptable.model import Promptable, load_promptable

_SMALLEST_COMPONENT = 200
_SMALLEST_IN_SLICE = 20
_KINDS = ("box", "box + own mask", "box + point", "point", "ellipse")
Mask = NDArray[np.bool_]
Pixels = NDArray[Any]


@dataclass
class Measured:
    """One row of the table."""

    dice: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in _KINDS})
    guessed: list[float] = field(default_factory=list)
    encode_seconds: list[float] = field(default_factory=list)
    decode_seconds: list[float] = field(default_factory=list)

    def row(self, name: str) -> str:
        """Format as a row of a Markdown table."""
        true_iou = [each / (2 - each) for each in self.dice["box"]]
        rank = stats.spearmanr(self.guessed, true_iou).statistic
        means = " | ".join(f"{np.mean(self.dice[kind]):.3f}" for kind in _KINDS)
        times = f"{np.median(self.encode_seconds):.3f} | {np.median(self.decode_seconds):.3f}"
        return f"| {name} | {len(self.guessed)} | {means} | {rank:.2f} | {times} |"


def read_cases(folder: Path, *, components: bool, axis: int) -> Iterator[tuple[Pixels, list[Mask]]]:
    """Read images, (H, W, 3) or a slice (H, W), each with the masks (H, W) of its objects, one at least."""
    if (folder / "labels").is_dir():
        yield from _slices(folder, axis=axis)
        return
    masks = {path.stem: path for path in (folder / "masks").iterdir()}
    for path in sorted((folder / "images").iterdir()):
        image = Image.open(path).convert("RGB")
        mask = Image.open(masks[path.stem]).convert("L").resize(image.size, Image.Resampling.NEAREST)
        # JPEG masks have values near 0 and near 255; masks of labels have 0 and 1.
        values = np.asarray(mask)
        found = values > (127 if values.max() > 1 else 0)
        if found.any():
            yield np.asarray(image), parts(found, components=components)


def _slices(folder: Path, *, axis: int) -> Iterator[tuple[Pixels, list[Mask]]]:
    for path in sorted((folder / "images").iterdir()):
        volume = np.asarray(nibabel.load(path).dataobj)
        low, high = np.percentile(volume, (0.5, 99.5))
        view = np.clip((volume - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
        labels = np.asarray(nibabel.load(folder / "labels" / path.name).dataobj)
        for index in range(view.shape[axis]):
            truth = labels.take(index, axis)
            objects = [truth == value for value in np.unique(truth) if value]
            objects = [each for each in objects if each.sum() >= _SMALLEST_IN_SLICE]
            if objects:
                yield view.take(index, axis), objects


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
    model: Promptable, image: Pixels, truths: list[Mask], *, shift: float, rng: np.random.Generator, into: Measured
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
        middle = [[(*_inner_point(truth), True)]]
        began = time.process_time()
        result = model.decode(embedding, boxes=moved[None])
        into.decode_seconds.append(time.process_time() - began)
        found = {
            "box": result,
            "box + own mask": model.decode(embedding, boxes=moved[None], masks=result.low_res_logits),
            "box + point": model.decode(embedding, boxes=moved[None], points=middle),
            "point": model.decode(embedding, points=middle),
        }
        for kind, each in found.items():
            into.dice[kind].append(dice(each.masks[0], truth))
        into.dice["ellipse"].append(dice(ellipse_in(box, truth.shape), truth))
        into.guessed.append(float(result.predicted_iou[0]))


def _inner_point(truth: Mask) -> tuple[float, float]:
    """x and y of the place deepest inside."""
    depth = ndimage.distance_transform_edt(np.pad(truth, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), truth.shape)
    return float(x), float(y)


def main() -> None:
    """Read the options, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", default="small")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--jitter", type=float, default=0.05, help="each side moves by up to this share of the box")
    parser.add_argument("--components", action="store_true", help="a box for each connected component")
    parser.add_argument("--axis", type=int, default=2, choices=(0, 1, 2), help="volumes are sliced along this axis (2)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_promptable(options.model, checkpoint=options.checkpoint)
    print(f"Model {model.name}, weights {model.sha256[:12]}, boxes moved by up to {options.jitter:.0%}, one thread")
    print(f"| folder | objects | {' | '.join(_KINDS)} | rank of IoU | encode s | decode s |")
    print("|---" * (len(_KINDS) + 5) + "|")
    for folder in options.folders:
        measured, rng = Measured(), np.random.default_rng(options.seed)
        for image, objects in read_cases(folder, components=options.components, axis=options.axis):
            measure(model, image, objects, shift=options.jitter, rng=rng, into=measured)
        print(measured.row(f"{folder.parent.name}/{folder.name}"), flush=True)


if __name__ == "__main__":
    main()
