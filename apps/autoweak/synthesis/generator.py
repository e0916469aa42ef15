"""A trained generator: network, noise schedule, and what it learned from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import nn

from autoweak import atomic
from autoweak.errors import CheckpointError
from autoweak.networks.definition import network_from
from autoweak.synthesis.bundle import process_device, sampling_scheduler
from autoweak.synthesis.sampling import draw_pictures

FORMAT = "autoweak-generator/1"
WEIGHTS_FILE = "generator.safetensors"
CARD_FILE = "generator.json"
# Beyond this many images at once a CPU gains nothing.
_BATCH = 8


@dataclass(frozen=True)
class GeneratorCard:
    """What is written beside the weights.

    Attributes:
        definition: the network as the bundle's `network_def` had it.
        noise_schedule: that of the training, as the bundle has it.
        shape: (rows, columns) of its images.
        channels: 1 or 3.
        trained_on: SHA-256 of each image file it learned from, to the image's id.
        fingerprint: names images and settings of the training, but for its length.
        epochs: how long it was trained.
        loss: mean loss of the last epoch.
        seed: of the training.
    """

    definition: Mapping[str, Any]
    noise_schedule: Mapping[str, Any]
    shape: tuple[int, int]
    channels: int
    trained_on: Mapping[str, str]
    fingerprint: str
    epochs: int
    loss: float
    seed: int


class Generator:
    """Draws images like those it was trained on.

    Args:
        network: noisy images (N, C, rows, columns) and time steps (N,) in, their noise out.
        card: what it is.
    """

    def __init__(self, network: nn.Module, card: GeneratorCard) -> None:
        self.network = network.eval()
        self.card = card

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights."""
        return hashlib.sha256(self._weights()).hexdigest()

    def draw(
        self, numbers: Sequence[int], *, seed: int, sampler: str = "ddim", steps: int = 50
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Draw images of a seed's row; yields each number with its picture (rows, columns, C) uint8.

        Raises:
            CheckpointError: there is no such sampler.
        """
        device = process_device()
        return draw_pictures(
            self.network.to(device),
            sampling_scheduler(self.card.noise_schedule, sampler, steps),
            numbers=numbers,
            shape=self.card.shape,
            channels=self.card.channels,
            seed=seed,
            batch_size=_BATCH,
            device=device,
        )

    def save(self, folder: Path) -> None:
        """Write weights and card; the card last, so that a folder with a card is complete."""
        weights = self._weights()
        atomic.write_bytes(folder / WEIGHTS_FILE, weights)
        card = {"format": FORMAT, "weights_sha256": hashlib.sha256(weights).hexdigest(), **asdict(self.card)}
        atomic.write_json(folder / CARD_FILE, card)

    @classmethod
    def load(cls, folder: Path) -> Generator | None:
        """Read a saved generator; None where there is none.

        Raises:
            CheckpointError: it is damaged, or was changed since it was saved.
        """
        if not (folder / CARD_FILE).is_file():
            return None
        try:
            content = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
            weights = (folder / WEIGHTS_FILE).read_bytes()
            if content.pop("format") != FORMAT or content.pop("weights_sha256") != hashlib.sha256(weights).hexdigest():
                raise ValueError("the weights are not those of the card")
            card = GeneratorCard(**{**content, "shape": tuple(content["shape"])})
            network = network_from(card.definition)
            network.load_state_dict(safetensors.torch.load(weights))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            msg = (
                f"The generator in {folder} is damaged ({type(error).__name__}); delete that folder to train it again."
            )
            raise CheckpointError(msg) from error
        return cls(network, card)

    def _weights(self) -> bytes:
        state = {name: value.cpu().contiguous() for name, value in self.network.state_dict().items()}
        return bytes(safetensors.torch.save(state))
