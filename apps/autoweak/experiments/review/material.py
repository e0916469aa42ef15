"""What reviews are simulated on: mixed phantoms, and gold labels of real studies dealt out anew for each seed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.transform import resize

from autoweak.errors import ExperimentError
from autoweak.experiments.review.simulate import Case, Course
from autoweak.loop.context import view_of
from autoweak.phantoms.dermoscopy import draw_dermoscopy
from autoweak.phantoms.ultrasound import draw_ultrasound
from autoweak.studies import Study, image_id_of, list_images, read_label, read_study
from autoweak.tasks import Task, load_task
from autoweak.weak_labels.looks import Vector

Bytes = npt.NDArray[np.uint8]
Describe = Callable[[Bytes], Vector]
PHANTOMS = "phantoms"
_LONG_SIDE = 256  # pixels; what the small promptable model sees of an image
_SIDE = 128
_NOISE = 0.1  # of a pool of phantoms
# Kinds of lesions and how many of them there are, as of one department's common and rare devices.
_SHARES = {"ultrasound": 0.55, "dermoscopy": 0.25, "ultrasound_negative": 0.12, "dermoscopy_negative": 0.08}


@dataclass(frozen=True)
class Deal:
    """How many images each part has, how many reviews lie between two trainings, and how often that many are made."""

    start: int
    pool: int
    evaluation: int
    batch: int
    rounds: int


@dataclass(frozen=True)
class Cost:
    """How the coarse model is trained, so that many trainings fit in an hour.

    Attributes:
        size: side of the network's input, pixels.
        epochs: of 25 steps each.
        batch_size: images a step.
        folds: members.
    """

    size: int = 48
    epochs: int = 3
    batch_size: int = 4
    folds: int = 2

    def of(self, task: Task) -> Task:
        """The task, trained at this cost."""
        return task.model_copy(update={"coarse": task.coarse.model_copy(update=vars(self))})


def phantom_course(deal: Deal, *, seed: int, cost: Cost, describe: Describe) -> Course:
    """Lesions of four kinds, one of them common; a tenth of the pool is noise that shows nothing.

    Gold labels of the beginning and evaluation images are drawn like the pool, but without noise.
    """
    rng = np.random.default_rng([seed, zlib.crc32(PHANTOMS.encode())])

    def draw(part: str, count: int, noise: float) -> tuple[Case, ...]:
        return tuple(_phantom(rng, f"{part}_{number:03d}", noise, describe) for number in range(count))

    return Course(
        name=PHANTOMS,
        seed=seed,
        task=cost.of(load_task("breast_ultrasound")),
        start=draw("start", deal.start, 0.0),
        pool=draw("pool", deal.pool, _NOISE),
        evaluation=draw("evaluation", deal.evaluation, 0.0),
        batch=deal.batch,
        rounds=deal.rounds,
    )


def gold_course(folder: Path, task: str, deal: Deal, *, seed: int, cost: Cost, describe: Describe) -> Course:
    """Gold labels of a real data set, dealt out to beginning, pool and evaluation.

    Args:
        folder: with `images` and `masks` of the same names.
        task: name of the task; pictures only.
        deal: how many of each; there may be more images than it takes.
        seed: of the dealing.
        cost: of a training.
        describe: view (S, H, W, C) to vector.

    Raises:
        ExperimentError: there are fewer images than the deal takes.
        AutoweakError: an image or mask cannot be read.
    """
    chosen = load_task(task)
    masks = {image_id_of(path): path for path in sorted((folder / "masks").iterdir())}
    studies = [study for study in list_images(folder / "images") if study.image_id in masks]
    needed = deal.start + deal.pool + deal.evaluation
    if len(studies) < needed:
        raise ExperimentError(f"{folder} has {len(studies)} images with masks and {needed} are needed: take fewer.")
    places = np.random.default_rng([seed, zlib.crc32(task.encode())]).permutation(len(studies))
    drawn = [studies[place] for place in places[:needed]]
    cases = [_real(study, masks[study.image_id], chosen, describe) for study in drawn]
    return Course(
        name=task,
        seed=seed,
        task=cost.of(chosen),
        start=tuple(cases[: deal.start]),
        pool=tuple(cases[deal.start : deal.start + deal.pool]),
        evaluation=tuple(cases[deal.start + deal.pool :]),
        batch=deal.batch,
        rounds=deal.rounds,
    )


def _phantom(rng: np.random.Generator, name: str, noise: float, describe: Describe) -> Case:
    if rng.uniform() < noise:
        image = rng.integers(0, 256, (_SIDE, _SIDE)).astype(np.uint8)
        return _case(f"{name}_noise", image[None, ..., None], np.zeros((1, *image.shape), np.uint8), describe)
    kind = str(rng.choice(list(_SHARES), p=list(_SHARES.values())))
    image, mask = _drawn(rng, kind)
    while not mask.any():
        image, mask = _drawn(rng, kind)
    return _case(f"{name}_{kind}", image[None, ..., None], mask[None], describe)


def _drawn(rng: np.random.Generator, kind: str) -> tuple[Bytes, Bytes]:
    """A grey image (H, W) and its mask (H, W)."""
    image, mask = (draw_ultrasound if kind.startswith("ultrasound") else draw_dermoscopy)(rng, (_SIDE, _SIDE))
    grey = image if image.ndim == 2 else np.asarray(image.mean(axis=2), np.uint8)
    return (np.subtract(255, grey, dtype=np.uint8) if kind.endswith("negative") else grey), mask


def _real(study: Study, label: Path, task: Task, describe: Describe) -> Case:
    image = read_study(study)
    mask = read_label(label, image=image, task=task).mask
    view = view_of(image, task)
    scale = min(1.0, _LONG_SIDE / max(view.shape[1:3]))
    height, width = (max(1, round(side * scale)) for side in view.shape[1:3])
    small = resize(view[0], (height, width), anti_aliasing=True, preserve_range=True)
    truth = resize(mask[0], (height, width), order=0, anti_aliasing=False, preserve_range=True)
    return _case(study.image_id, small.round().astype(np.uint8)[None], truth.astype(np.uint8)[None], describe)


def _case(image_id: str, view: Any, mask: Any, describe: Describe) -> Case:
    return Case(image_id, view, mask, describe(view))
