"""Train the small promptable model on drawn images alone; one CPU core, about 100 minutes.

    OMP_NUM_THREADS=1 python scripts/train_small_promptable.py --out build/small --steps 8500

Started again with the same --out, it goes on from its last checkpoint. Every few minutes it writes the averaged
weights to OUT/small.safetensors and a row of the training curve to OUT/curve.csv.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from autoweak.atomic import write_text, write_with
from autoweak.phantoms.drawn import SIDE, Drawer, Drawn
from autoweak.promptable.small import SmallPromptable, build_small

_IMAGES = 8
_PROMPTS_PER_IMAGE = 3
_SECOND_LOOKS = 6
_WARM_UP_STEPS = 150
_SECOND_LOOKS_FROM = 600  # before, its own masks say nothing
_EMA_DECAY = 0.999
_SAVE_SECONDS = 150.0


@dataclass(frozen=True)
class Batch:
    """Images with prompts: `owner` says to which image a prompt belongs."""

    images: Tensor  # (B, 3, 256, 256) standardised
    owner: Tensor  # (N,)
    truth: Tensor  # (N, 256, 256) 0 or 1
    boxes: Tensor  # (N, 4) XYXY
    points: Tensor  # (N, P, 2) x, y
    labels: Tensor  # (N, P) 1 object, 0 ground


def jittered_box(rng: np.random.Generator, mask: NDArray[np.bool_]) -> list[float]:
    """The box of a mask with each side moved, as a coarse model would have it: mostly 0-10 %, up to 20 %."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.array([columns[0], rows[0], columns[-1], rows[-1]], float)
    size = np.tile(box[2:] - box[:2] + 1, 2)
    most = rng.choice([0.0, 0.05, 0.1, 0.2], p=[0.15, 0.45, 0.25, 0.15])
    box = box + rng.uniform(-most, most, 4) * size
    return list(np.clip(box, 0, SIDE - 1))


def random_points(
    rng: np.random.Generator, mask: NDArray[np.bool_], *, positive: int, negative: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points on the object, the first of them often its middle, then points beside it."""
    points = np.zeros((positive + negative, 2), np.float32)
    rows, columns = np.nonzero(mask)
    ground_rows, ground_columns = np.nonzero(~mask)
    for slot in range(positive):
        if slot == 0 and rng.random() < 0.5:
            pick = int(np.argmin(np.hypot(rows - np.median(rows), columns - np.median(columns))))
        else:
            pick = int(rng.integers(rows.size))
        points[slot] = columns[pick], rows[pick]
    for slot in range(positive, positive + negative):
        pick = int(rng.integers(ground_rows.size))
        points[slot] = ground_columns[pick], ground_rows[pick]
    return points, np.array([1] * positive + [0] * negative)


def make_batch(rng: np.random.Generator, drawer: Drawer) -> Batch:
    """Draw `_IMAGES` images and `_PROMPTS_PER_IMAGE` prompts for each."""
    drawn = [drawer.draw() for _ in range(_IMAGES)]
    # As many points for every prompt of a step: SAM's token for "no point" stays what it is in use.
    positive = int(rng.choice([1, 2, 3], p=[0.6, 0.2, 0.2]))
    negative = int(rng.choice([0, 1, 2, 3], p=[0.35, 0.35, 0.2, 0.1]))
    truth, boxes, points, labels = [], [], [], []
    for image in drawn:
        for mask in _choose(rng, image):
            truth.append(mask)
            boxes.append(jittered_box(rng, mask))
            xy, kind = random_points(rng, mask, positive=positive, negative=negative)
            points.append(xy)
            labels.append(kind)
    images = torch.from_numpy(np.stack([image.image for image in drawn]))
    deviation, mean = torch.std_mean(images, (1, 2, 3), keepdim=True)
    return Batch(
        images=((images - mean) / deviation.clamp_min(1e-3)).contiguous(memory_format=torch.channels_last),
        owner=torch.arange(_IMAGES).repeat_interleave(_PROMPTS_PER_IMAGE),
        truth=torch.from_numpy(np.stack(truth)).float(),
        boxes=torch.tensor(np.array(boxes), dtype=torch.float32),
        points=torch.from_numpy(np.stack(points)) + 0.0,
        labels=torch.from_numpy(np.stack(labels)),
    )


class _Batches(IterableDataset[Batch]):
    """Batches without end; the same seed gives the same sequence."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng(self._seed)
        drawer = Drawer(int(rng.integers(2**31)))
        while True:
            yield make_batch(rng, drawer)


def _choose(rng: np.random.Generator, image: Drawn) -> list[NDArray[np.bool_]]:
    count = len(image.masks)
    order = rng.permutation(count)
    return [image.masks[order[i % count]] for i in range(_PROMPTS_PER_IMAGE)]


def decode(
    model: SmallPromptable,
    features: Tensor,
    *,
    boxes: Tensor | None,
    points: tuple[Tensor, Tensor] | None,
    masks: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """One image embedding a prompt: logits (N, 128, 128) and predicted IoU (N,)."""
    sparse, dense = model.prompt_encoder(points=points, boxes=boxes, masks=masks)
    logits, iou = model.mask_decoder(
        image_embeddings=features,
        image_pe=model.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
    )
    return logits[:, 0].float(), iou[:, 0].float()


def loss_of(logits: Tensor, iou: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Dice + cross entropy + twice the squared error of the predicted IoU; and the Dice of the thresholded masks.

    Cross entropy is divided by the object's area rather than the image's, so that small objects count.
    """
    target = functional.avg_pool2d(truth[:, None], 2)[:, 0]
    probability = logits.sigmoid()
    area = target.sum((1, 2))
    dice = 1 - (2 * (probability * target).sum((1, 2)) + 1) / (probability.sum((1, 2)) + area + 1)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum((1, 2)) / (
        3 * area + 900
    )
    with torch.no_grad():
        found, wanted = logits > 0, target > 0.5
        both = (found & wanted).sum((1, 2)).float()
        total = (found.sum((1, 2)) + wanted.sum((1, 2))).float().clamp_min(1)
        true_iou, hard_dice = both / (total - both).clamp_min(1), 2 * both / total
    return (dice + entropy + 2 * functional.mse_loss(iou, true_iou, reduction="none")).mean(), hard_dice


def corrected(rng: np.random.Generator, logits: Tensor, batch: Batch, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The prompts' points with one more, put where the first look was wrong, or where it was right if all was."""
    found = functional.interpolate(logits[:, None], size=(SIDE, SIDE), mode="bilinear")[:, 0] > 0
    truth = batch.truth[rows] > 0.5
    more, kind = torch.zeros(len(rows), 1, 2), torch.ones(len(rows), 1, dtype=torch.long)
    for n in range(len(rows)):
        choice = torch.nonzero(found[n] != truth[n])
        if len(choice) == 0:
            choice = torch.nonzero(truth[n])
        y, x = choice[int(rng.integers(len(choice)))]
        more[n, 0] = torch.stack([x, y])
        kind[n, 0] = truth[n, y, x]
    return torch.cat([batch.points[rows], more], 1), torch.cat([batch.labels[rows], kind], 1)


def step_loss(model: SmallPromptable, batch: Batch, rng: np.random.Generator, number: int) -> tuple[Tensor, float]:
    """Loss of one step: boxes, points, both, and a second look with the model's own mask."""
    features = model.image_encoder(batch.images).bfloat16()  # half the memory traffic from here on
    kind = torch.from_numpy(rng.choice(3, size=len(batch.owner), p=[0.65, 0.15, 0.2]))
    losses, dice, first = [], 0.0, None
    for value in range(3):
        rows = torch.nonzero(kind == value)[:, 0]
        if len(rows) == 0:
            continue
        points = (batch.points[rows], batch.labels[rows]) if value else None
        logits, iou = decode(
            model,
            features[batch.owner[rows]],
            boxes=None if value == 1 else batch.boxes[rows],
            points=points,
            masks=None,
        )
        loss, hard = loss_of(logits, iou, batch.truth[rows])
        losses.append(loss * len(rows) / len(kind))
        if value == 0:
            dice, first = float(hard.mean()), (logits.detach(), rows)
    if first is not None and number >= _SECOND_LOOKS_FROM:
        before, rows = first[0][:_SECOND_LOOKS], first[1][:_SECOND_LOOKS]
        boxes = batch.boxes[rows] if number % 2 else None
        points = corrected(rng, before, batch, rows) if number % 4 != 1 else None
        logits, iou = decode(model, features[batch.owner[rows]], boxes=boxes, points=points, masks=before[:, None])
        losses.append(loss_of(logits, iou, batch.truth[rows])[0] * len(rows) / len(kind))
    return torch.stack(losses).sum(), dice


class Trainer:
    """Model, its running average, optimiser, and where the training stands."""

    def __init__(self, out: Path, *, seed: int, rate: float) -> None:
        torch.manual_seed(seed)
        self.out, self.seed, self.rate = out, seed, rate
        self.model = build_small().to(memory_format=torch.channels_last)
        self.average = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=rate, weight_decay=0.02, betas=(0.9, 0.98))
        self.step, self.seconds = 0, 0.0
        self.curve = ["step,seconds,loss,dice_from_boxes"]
        self._resume()

    def _resume(self) -> None:
        path = self.out / "checkpoint.pt"
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average, self.step, self.seconds = state["average"], state["step"], state["seconds"]
            self.curve = state["curve"]

    def save(self) -> None:
        """Write the checkpoint, the averaged weights in half precision and the curve."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
            "seconds": self.seconds,
            "curve": self.curve,
        }
        write_with(self.out / "checkpoint.pt", lambda path: torch.save(state, path))
        weights = {name: value.half().contiguous() for name, value in self.average.items()}
        write_with(self.out / "small.safetensors", lambda path: save_file(weights, path))
        write_text(self.out / "curve.csv", "\n".join(self.curve) + "\n")

    def train(self, *, minutes: float, steps: int | None) -> None:
        """Train until `minutes` (or `steps`, if given) are over; the learning rate falls along a cosine."""
        # A new sequence after each resumption: no image is drawn twice.
        rng = np.random.default_rng([self.seed, self.step])
        # Drawn by a process of its own, a few steps ahead.
        batches = iter(
            DataLoader(_Batches(int(rng.integers(2**31))), batch_size=None, num_workers=1, prefetch_factor=4)
        )
        saved, recent = time.monotonic(), []
        while True:
            began = time.monotonic()
            done = self.step / steps if steps else self.seconds / (60 * minutes)
            if done >= 1:
                break
            recent.append(self._one(next(batches), rng, done))
            self.seconds += time.monotonic() - began
            if self.step % 50 == 0:
                loss, dice = np.mean(recent, 0)
                recent = []
                self.curve.append(f"{self.step},{self.seconds:.0f},{loss:.4f},{dice:.4f}")
                print(self.curve[-1], flush=True)
            if time.monotonic() - saved > _SAVE_SECONDS:
                self.save()
                saved = time.monotonic()
        self.save()

    def _one(self, batch: Batch, rng: np.random.Generator, done: float) -> tuple[float, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min(
                (self.step + 1) / _WARM_UP_STEPS, 0.5 + 0.5 * math.cos(math.pi * done) + 0.002
            )
        with torch.autocast("cpu", torch.bfloat16):
            loss, dice = step_loss(self.model, batch, rng, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(_EMA_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)
        return float(loss.detach()), dice


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, weights and curve")
    parser.add_argument("--minutes", type=float, default=100.0, help="length of the training on the clock")
    parser.add_argument("--steps", type=int, help="length in steps instead, for a run that can be repeated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=8e-4, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    Trainer(options.out, seed=options.seed, rate=options.rate).train(minutes=options.minutes, steps=options.steps)


if __name__ == "__main__":
    main()
