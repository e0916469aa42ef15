"""A trained coarse model: one network a fold, what it was trained on, and how well each did on gold it never saw."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import monai
import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import autoweak
from autoweak.errors import CheckpointError, ImageError, StudiesError
from autoweak.networks.definition import network_from
from autoweak.training.predict import predict_probabilities, symmetry_of
from autoweak.training.stored_model import read_card, read_weights, write_model

if TYPE_CHECKING:
    from autoweak.tasks import Task
    from autoweak.training.fold import FoldResult

FORMAT = "autoweak-coarse-model/1"


@dataclass(frozen=True)
class ModelCard:
    """What is written beside the weights.

    Attributes:
        definition: the network as the bundle's `network_def` had it.
        task_name: name of the task; `task_sha256`: hash of its content.
        label_names: in order of value, the name of value 1 first.
        channels: 1 or 3; `size`: side of the square network input, pixels.
        mirror: flips that predictions are averaged over.
        folds: the gold image ids each member never saw.
        cv_dice: mean Dice over the classes of each gold image, by the member that never saw it.
        history: one tuple a member, as `FoldResult.history`.
        seed: of the whole training.
        versions: of the libraries it was trained with.
    """

    definition: Mapping[str, Any]
    task_name: str
    task_sha256: str
    label_names: tuple[str, ...]
    channels: int
    size: int
    mirror: tuple[str, ...]
    folds: tuple[tuple[str, ...], ...]
    cv_dice: Mapping[str, float]
    history: tuple[tuple[Mapping[str, float], ...], ...]
    seed: int
    versions: Mapping[str, str]


def describe(
    definition: Mapping[str, Any],
    folds: Sequence[Sequence[str]],
    results: Sequence[FoldResult],
    *,
    task: Task,
    seed: int,
) -> ModelCard:
    """The card of a model just trained."""
    return ModelCard(
        definition=definition,
        task_name=task.name,
        task_sha256=task.sha256,
        label_names=task.label_names,
        channels=task.channels,
        size=task.coarse.size,
        mirror=tuple(way.value for way in task.mirror),
        folds=tuple(tuple(fold) for fold in folds),
        cv_dice={name: value for result in results for name, value in result.dice.items()},
        history=tuple(result.history for result in results),
        seed=seed,
        versions={
            "autoweak": autoweak.__version__,
            "monai": monai.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    )


class TrainedModel:
    """Image in, probability map out: the mean of its members.

    Args:
        members: networks of one architecture, image (N, C, size, size) 0 to 1 in, logits (N, K, size, size) out.
        card: what they are.
    """

    def __init__(self, members: Sequence[nn.Module], card: ModelCard) -> None:
        self.members = tuple(member.eval() for member in members)
        self.card = card

    @property
    def task_name(self) -> str:
        """Name of the task it was trained for."""
        return self.card.task_name

    @property
    def label_names(self) -> tuple[str, ...]:
        """Label names in order of value."""
        return self.card.label_names

    @property
    def cv_dice(self) -> dict[str, float]:
        """Mean Dice of each gold image under the member that never saw it."""
        return dict(self.card.cv_dice)

    @property
    def mean_cv_dice(self) -> float:
        """Mean of `cv_dice`: what to expect of one member on an image like the gold ones."""
        return float(np.mean(list(self.card.cv_dice.values())))

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights file, which is the same wherever these weights are saved."""
        return hashlib.sha256(self._weights()).hexdigest()

    def predict(self, view: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The coarse map of an image.

        Args:
            view: (S, H, W, C) uint8 with the C of the task.

        Returns:
            (S, K, H, W) float32, 0 to 1, a channel for each label in order of value; classes may overlap.

        Raises:
            ImageError: the view has another shape or number of channels.
        """
        return self._predict(self.members, view)

    def predict_member(self, number: int, view: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The coarse map as `predict` gives it, by one member alone: the one that held out fold `number`'s gold."""
        return self._predict((self.members[number],), view)

    def predict_out_of_fold(self, image_id: str, view: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The coarse map of a gold image as `predict` gives it, by the one member that never saw it.

        Raises:
            StudiesError: the image was not among this model's gold.
        """
        return self.predict_member(self.member_without(image_id), view)

    def symmetry(
        self, view: NDArray[np.uint8], probabilities: NDArray[np.float32], *, member: int | None = None
    ) -> tuple[float, ...]:
        """How far a coarse map is that of the image without its mirror images, see `symmetry_of`.

        Args:
            view: of the image; `probabilities`: its map by `predict`, or by `predict_member` of `member`.

        Returns:
            one Dice a label; empty where there are no mirror images.
        """
        if not self.card.mirror:
            return ()
        members = self.members if member is None else (self.members[member],)
        return symmetry_of(probabilities, members, view, size=self.card.size)

    def member_without(self, image_id: str) -> int:
        """The number of the member that never saw a gold image.

        Raises:
            StudiesError: the image was not among this model's gold.
        """
        for number, fold in enumerate(self.card.folds):
            if image_id in fold:
                return number
        msg = f"The image {image_id!r} was not among this model's gold labels; use predict for it, or train again."
        raise StudiesError(msg)

    def save(self, folder: Path) -> None:
        """Write weights and card into `folder`, which appears whole or not at all; one of that name is replaced."""
        write_model(folder, self._weights(), asdict(self.card), style=FORMAT)

    @classmethod
    def load(cls, folder: Path) -> TrainedModel:
        """Read a saved model.

        Raises:
            CheckpointError: files are missing, damaged, changed since they were saved, or not a model of autoweak.
        """
        content, sha256 = read_card(folder, style=FORMAT)
        weights = read_weights(folder, sha256=sha256)
        try:
            card = _card_from(content)
            members = [network_from(card.definition) for _ in card.folds]
            for number, member in enumerate(members):
                member.load_state_dict(_member_state(weights, number))
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            msg = f"The model in {folder} does not fit its own description ({type(error).__name__}); train it again."
            raise CheckpointError(msg) from error
        return cls(members, card)

    def _predict(self, members: Sequence[nn.Module], view: NDArray[np.uint8]) -> NDArray[np.float32]:
        if view.ndim != 4 or view.shape[3] != self.card.channels or view.dtype != np.uint8 or not view.size:
            msg = (
                f"The coarse model of {self.card.task_name} needs an 8-bit view (S, H, W, {self.card.channels}), "
                f"got {view.shape} {view.dtype}; make it with to_uint8 and to_channels."
            )
            raise ImageError(msg)
        return predict_probabilities(members, view, size=self.card.size, mirror=self.card.mirror)

    def _weights(self) -> bytes:
        tensors = {
            f"member-{number}.{name}": value.contiguous()
            for number, member in enumerate(self.members)
            for name, value in member.state_dict().items()
        }
        return bytes(safetensors.torch.save(tensors))


def _card_from(content: Mapping[str, Any]) -> ModelCard:
    tuples = {name: tuple(content[name]) for name in ("label_names", "mirror")}
    nested = {name: tuple(tuple(entry) for entry in content[name]) for name in ("folds", "history")}
    return ModelCard(**{**content, **tuples, **nested})


def _member_state(weights: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    prefix = f"member-{number}."
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
