"""Trained prompt modules: an embedding in, a probability map out, with the promptable model they were trained for."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

import autoweak
from autoweak.errors import CheckpointError, ImageError
from autoweak.networks.learned_prompt import LearnedPrompts
from autoweak.promptable import contracts
from autoweak.promptable.model import Embedding, Promptable
from autoweak.training.stored_model import read_card, read_weights, write_model

if TYPE_CHECKING:
    from autoweak.promptable.cache import EmbeddingCache
    from autoweak.promptable.frozen import FrozenDecoder
    from autoweak.tasks import Task

FORMAT = "autoweak-learned-prompts/1"


@dataclass(frozen=True)
class LearnedCard:
    """What is written beside the weights.

    Attributes:
        task_name: name of the task; `task_sha256`: hash of its content.
        label_names: in order of value, the name of value 1 first.
        channels: of the images, 1 or 3.
        promptable: name of the promptable model; `promptable_sha256`: of its weights; `contract`: how it sees images.
        options: of `LearnedPrompts`: num_labels, side, width and so on.
        cv_dice: mean Dice over the labels of each gold image, by modules trained without it; empty where none was
            held out.
        images: how many images were trained on.
        seed: of the training.
        versions: of the libraries.
    """

    task_name: str
    task_sha256: str
    label_names: tuple[str, ...]
    channels: int
    promptable: str
    promptable_sha256: str
    contract: str
    options: Mapping[str, int]
    cv_dice: Mapping[str, float]
    images: int
    seed: int
    versions: Mapping[str, str]


def describe(
    *, task: Task, model: Promptable, options: Mapping[str, int], cv_dice: Mapping[str, float], images: int, seed: int
) -> LearnedCard:
    """The card of modules just trained."""
    return LearnedCard(
        task_name=task.name,
        task_sha256=task.sha256,
        label_names=task.label_names,
        channels=task.channels,
        promptable=model.name,
        promptable_sha256=model.sha256,
        contract=model.contract.name,
        options=dict(options),
        cv_dice=dict(cv_dice),
        images=images,
        seed=seed,
        versions={
            "autoweak": autoweak.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    )


class LearnedModel:
    """Prompt modules of one task and one promptable model.

    Args:
        prompts: a module for each label.
        card: what they are.
    """

    def __init__(self, prompts: LearnedPrompts, card: LearnedCard) -> None:
        self.prompts = prompts.eval()
        self.card = card

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights file, which is the same wherever these weights are saved."""
        return hashlib.sha256(self._weights()).hexdigest()

    def check_promptable(self, model: Promptable) -> None:
        """Make sure that a promptable model is the one that the prompts were learned for.

        Raises:
            CheckpointError: it has other weights, or sees images in another way.
        """
        known, given = (self.card.promptable_sha256, self.card.contract), (model.sha256, model.contract.name)
        if known != given:
            msg = (
                f"These prompts were learned for {self.card.promptable} with weights sha256 {known[0][:12]}…, and the "
                f"promptable model in use is {model.name} with {given[0][:12]}…: use that one, or train them again."
            )
            raise CheckpointError(msg)

    def predict(self, view: NDArray[np.uint8], *, model: Promptable, cache: EmbeddingCache) -> NDArray[np.float32]:
        """Probability maps of an image, each slice encoded once.

        Args:
            view: (S, H, W, C) uint8 with the C of the task.
            model: the promptable model that the prompts were learned for.
            cache: its embeddings.

        Returns:
            (S, K, H, W) float32, 0 to 1, a channel for each label in order of value; labels may overlap.

        Raises:
            CheckpointError: another promptable model.
            ImageError: the view has another shape or number of channels.
        """
        self.check_promptable(model)
        if view.ndim != 4 or view.shape[3] != self.card.channels or view.dtype != np.uint8 or not view.size:
            msg = (
                f"The learned prompts of {self.card.task_name} need an 8-bit view (S, H, W, {self.card.channels}), "
                f"got {view.shape} {view.dtype}; make it with to_uint8 and to_channels."
            )
            raise ImageError(msg)
        decoder = model.frozen_decoder()
        return np.stack([probabilities(self.prompts, decoder, cache.get(model, one), model=model) for one in view])

    def save(self, folder: Path) -> None:
        """Write weights and card into `folder`, which appears whole or not at all; one of that name is replaced."""
        write_model(folder, self._weights(), asdict(self.card), style=FORMAT)

    @classmethod
    def load(cls, folder: Path) -> LearnedModel:
        """Read saved modules.

        Raises:
            CheckpointError: files are missing, damaged, changed since they were saved, or not modules of autoweak.
        """
        content, sha256 = read_card(folder, style=FORMAT)
        weights = read_weights(folder, sha256=sha256)
        try:
            card = LearnedCard(**{**content, "label_names": tuple(content["label_names"])})
            prompts = _prompts_of(card)
            prompts.load_state_dict(weights)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, ZeroDivisionError) as error:
            msg = f"The model in {folder} does not fit its own description ({type(error).__name__}); train it again."
            raise CheckpointError(msg) from error
        return cls(prompts, card)

    def _weights(self) -> bytes:
        state = {name: value.detach().to("cpu").contiguous() for name, value in self.prompts.state_dict().items()}
        return bytes(safetensors.torch.save(state))


_LARGEST_OPTION = 4096  # a card is data, and must not make the program fill the memory


def _prompts_of(card: LearnedCard) -> LearnedPrompts:
    if not all(type(value) is int and 1 <= value <= _LARGEST_OPTION for value in card.options.values()):
        raise ValueError(card.options)
    if card.options["num_labels"] != len(card.label_names):
        raise ValueError(card.options)
    with torch.device("meta"):
        prompts = LearnedPrompts(**card.options)
    return prompts.to_empty(device="cpu")


@torch.no_grad()
def probabilities(
    prompts: LearnedPrompts, decoder: FrozenDecoder, embedding: Embedding, *, model: Promptable
) -> NDArray[np.float32]:
    """Probability maps (K, H, W) of one embedding at its image's size, float32, 0 to 1."""
    device = decoder.position.device
    low_res = prompts.to(device)(embedding.features[None].to(device), decoder)[0]
    full = contracts.restore(low_res, model.contract, image_size=embedding.image_size, size=model.input_size)
    return np.asarray(full.sigmoid().cpu().numpy(), dtype=np.float32)
