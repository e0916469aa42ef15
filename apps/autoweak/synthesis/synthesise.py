"""From the unlabelled images of studies to synthetic ones beside them: train, draw, drop near copies, write, register.

The generator learns from no gold image, and from no image of a patient who has one: whatever a fold holds out, what
is drawn has nothing of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoweak.errors import ImageError
from autoweak.loop.context import Context
from autoweak.progress import each
from autoweak.resources import resource_path
from autoweak.studies.patients import Patients, read_patients
from autoweak.synthesis.bundle import BUNDLE, noise_schedule_of, sampling_scheduler
from autoweak.synthesis.copies import distances
from autoweak.synthesis.generator import Generator
from autoweak.synthesis.images import check_count
from autoweak.synthesis.marks import Mark, read_register, write_marked
from autoweak.synthesis.pixels import check_shape, network_shape, to_pixels, to_tensor
from autoweak.synthesis.train import Training, TrainingImage, train_generator
from autoweak.tasks import Mirror

# Of fewer a diffusion model still learns much by heart.
_ADVISED = 100


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        count: images to draw.
        size: their longer side in pixels.
        epochs: passes of the training; None is the bundle's number.
        sampler: "ddim" or "ddpm".
        steps: of DDIM.
    """

    count: int
    size: int = 64
    epochs: int | None = None
    sampler: str = "ddim"
    steps: int = 50

    def check(self) -> None:
        """Refuse numbers that cannot be used.

        Raises:
            ImageError: a number is too small, or the size is no multiple of 8.
            CheckpointError: there is no such sampler, or it has fewer steps.
        """
        for name, value in (("--count", self.count), ("--epochs", self.epochs)):
            if value is not None and value < 1:
                msg = f"{name} must be 1 or more, got {value}."
                raise ImageError(msg)
        check_shape((self.size, self.size))
        # Refused now, not after hours of training.
        sampling_scheduler(noise_schedule_of(resource_path("bundles") / BUNDLE), self.sampler, self.steps)


@dataclass(frozen=True)
class Synthesised:
    """What was done.

    Attributes:
        folder: where the images are.
        generator: SHA-256 of its weights.
        training_images: how many images it learned from.
        epochs, loss: of its training; the loss is the mean of the last epoch.
        written: images written now.
        kept: images that were there already.
        copies: drawn images that were near copies of training images and were dropped.
        likeness: the figures of `Distances`, for all drawn images.
    """

    folder: Path
    generator: str
    training_images: int
    epochs: int
    loss: float
    written: int
    kept: int
    copies: int
    likeness: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As plain data for `--json`."""
        return {**vars(self), "folder": str(self.folder)}


def synthesise(context: Context, request: Request) -> Synthesised:
    """Draw synthetic images for studies; the same request draws the same images, and writes none again.

    The workspace must be locked.

    Raises:
        ImageError: the request cannot be met, or the task is for volumes.
        StudiesError: there are too few unlabelled images.
        CheckpointError: the generator is damaged, or there is no such sampler.
    """
    request.check()
    if context.task.dimension != 2:
        msg = f"A generator draws pictures, and task {context.task.name} is for volumes: use a 2D task."
        raise ImageError(msg)
    images = _training_images(context)
    check_count(len(images), where=f"{context.studies.root} without a gold label")
    if len(images) < _ADVISED:
        context.notes.append(
            f"The generator learns from {len(images)} images; of fewer than {_ADVISED} it repeats much of what it saw."
        )
    context.remember_task()
    generator = _generator(context, request, images)
    pictures = _draw(context, request, generator)
    return _write(context, generator, pictures, images)


def _training_images(context: Context) -> list[TrainingImage]:
    """The unlabelled images to learn from; unreadable ones become problems, those left out a note."""
    patients = Patients.of(context.studies.studies, read_patients(context.studies.root)).joined()
    with_gold = {patients[study.image_id] for study in context.studies.gold if study.image_id in patients}
    gold = {read[0].sha256 for study in context.studies.gold if (read := context.read(study)) is not None}
    context.progress.stage("Reading unlabelled images")
    found, left_out = [], 0
    for study in each(context.studies.unlabelled, context.progress):
        read = context.read(study)
        if read is None or context.synthetic.holds(read[0]):
            continue
        if patients.get(study.image_id) in with_gold or read[0].sha256 in gold:
            left_out += 1
            continue
        found.append(TrainingImage(study.image_id, read[1][0], read[0].sha256))
    if left_out:
        context.notes.append(
            f"The generator does not learn from {left_out} unlabelled images whose patients have gold labels, "
            "since what it draws would bring held-out gold into the training."
        )
    return found


def _generator(context: Context, request: Request, images: list[TrainingImage]) -> Generator:
    """The generator of these images and settings: found, gone on with, or trained from the start."""
    training = Training(
        shape=network_shape(
            [image.view.shape[0] for image in images], [image.view.shape[1] for image in images], size=request.size
        ),
        channels=context.task.channels,
        mirror=Mirror.HORIZONTAL in context.task.mirror,
        epochs=request.epochs,
        seed=context.seed,
    )
    key = training.fingerprint(images)
    folder = context.workspace.root / "generators" / key[:16]
    found = Generator.load(folder)
    if found is not None and found.card.fingerprint == key and found.card.epochs >= (request.epochs or 0):
        return found
    context.progress.stage("Training the generator")
    generator = train_generator(images, training, folder=folder / "training", progress=context.progress)
    generator.save(folder)
    return generator


def _draw(context: Context, request: Request, generator: Generator) -> dict[Mark, NDArray[np.uint8]]:
    """Each mark with its picture (rows, columns, C) uint8."""
    context.progress.stage("Drawing synthetic images")
    steps = request.steps if request.sampler == "ddim" else int(generator.card.noise_schedule["num_train_timesteps"])
    drawn = {}
    numbers = range(1, request.count + 1)
    for number, picture in generator.draw(numbers, seed=context.seed, sampler=request.sampler, steps=steps):
        mark = Mark(generator.sha256, context.seed, number, request.sampler, steps)
        drawn[mark] = picture
        context.progress.update(number, request.count, "")
    return drawn


def _write(
    context: Context,
    generator: Generator,
    pictures: dict[Mark, NDArray[np.uint8]],
    images: list[TrainingImage],
) -> Synthesised:
    learned = [to_pixels(to_tensor(image.view, generator.card.shape)[None])[0] for image in images]
    likeness = distances(list(pictures.values()), learned)
    folder, known, kept, fresh = context.synthetic.root, {}, 0, 0
    folder.mkdir(exist_ok=True)
    # Before the first image: wherever this is killed, it is known what the generator learned from.
    register = read_register(context.workspace.root).with_images(
        {}, learned={generator.sha256: generator.card.trained_on}
    )
    register.write(context.workspace.root)
    for (mark, picture), copy in zip(pictures.items(), likeness.copies, strict=True):
        if copy:
            continue
        path = folder / f"{mark.image_id}.png"
        there = path.is_file()
        if not there:
            write_marked(path, picture, mark)
        kept, fresh = kept + there, fresh + (not there)
        known[hashlib.sha256(path.read_bytes()).hexdigest()] = mark
    register.with_images(known).write(context.workspace.root)
    others = len(context.synthetic.studies) - kept
    if others:
        context.notes.append(
            f"{others} other synthetic images are in {folder}, from earlier requests or brought there; delete what you "
            "do not want to be used."
        )
    return Synthesised(
        folder=folder,
        generator=generator.sha256,
        training_images=len(images),
        epochs=generator.card.epochs,
        loss=generator.card.loss,
        written=fresh,
        kept=kept,
        copies=int(likeness.copies.sum()),
        likeness=likeness.to_dict(),
    )
