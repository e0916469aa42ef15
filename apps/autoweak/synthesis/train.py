"""Training a generator from Python, with the recipe of the bundle's `configs/train.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from numpy.typing import NDArray

from autoweak.progress import Progress
from autoweak.resources import resource_path
from autoweak.synthesis.bundle import BUNDLE, definition_of, noise_schedule_of
from autoweak.synthesis.generator import Generator, GeneratorCard
from autoweak.synthesis.handlers import LOGGER, KeepState
from autoweak.training.seeds import derive_seed


@dataclass(frozen=True)
class TrainingImage:
    """One image to learn from: its id, its view (H, W, C) uint8, and the SHA-256 of its file."""

    image_id: str
    view: NDArray[np.uint8]
    sha256: str


@dataclass(frozen=True)
class Training:
    """How a generator is trained; what is not here is the bundle's.

    Attributes:
        shape: (rows, columns) of its images, multiples of 8.
        channels: 1 or 3.
        mirror: whether images may be flipped left to right.
        epochs: passes over the images; None is the bundle's number. A longer training goes on where a shorter ended.
        seed: fixes everything random.
        overrides: other entries of train.json to set, e.g. batch_size.
    """

    shape: tuple[int, int]
    channels: int
    mirror: bool
    epochs: int | None = None
    seed: int = 0
    overrides: tuple[tuple[str, Any], ...] = ()

    def config(self, images: Sequence[TrainingImage], *, output_dir: Path) -> ConfigParser:
        """The bundle's train.json with these settings and images."""
        root = resource_path("bundles") / BUNDLE
        parser = ConfigParser()
        parser.read_config(str(root / "configs" / "train.json"))
        values: dict[str, Any] = {
            "bundle_root": str(root),
            "output_dir": str(output_dir),
            "spatial_shape": list(self.shape),
            "image_channels": self.channels,
            "mirror": self.mirror,
            "seed": self.seed,
            **({} if self.epochs is None else {"epochs": self.epochs}),
            **dict(self.overrides),
        }
        for name, value in values.items():
            parser[name] = value
        parser["train"]["dataset"]["data"] = [{"image": image.view} for image in images]
        return parser

    def fingerprint(self, images: Sequence[TrainingImage]) -> str:
        """Names images and settings; equal for trainings that differ in their length alone."""
        return str(self.config(images, output_dir=Path()).get_parsed_content("fingerprint"))


def train_generator(
    images: Sequence[TrainingImage], training: Training, *, folder: Path, progress: Progress
) -> Generator:
    """Train a generator, or go on where a killed training was.

    Args:
        images: what it learns from, all with the same C.
        training: how.
        folder: keeps the state of the training.
        progress: is told each step.
    """
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(training.seed, "weights"))
        parser = training.config(images, output_dir=folder)
        trainer = parser.get_parsed_content("train::trainer")
        state: KeepState = parser.get_parsed_content("state")
        trainer.logger = LOGGER
        trainer.add_event_handler(Events.ITERATION_COMPLETED, _teller(progress))
        trainer.run()
    root = parser.get_parsed_content("bundle_root")
    network = parser.get_parsed_content("average").averaged.network
    card = GeneratorCard(
        definition=definition_of(root, training.channels),
        noise_schedule=noise_schedule_of(root),
        shape=training.shape,
        channels=training.channels,
        trained_on={image.sha256: image.image_id for image in images},
        fingerprint=parser.get_parsed_content("fingerprint"),
        epochs=trainer.state.max_epochs,
        loss=state.history[-1]["loss"],
        seed=training.seed,
    )
    return Generator(network, card)


def _teller(progress: Progress) -> Any:
    def tell(engine: Engine) -> None:
        state = engine.state
        total = state.max_epochs * state.epoch_length
        progress.update(state.iteration, total, f"epoch {state.epoch} of {state.max_epochs}")

    return tell
