"""Coarse model, prompt policy and promptable model in one: slices in, logits of weak labels out."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from segment_anything import sam_model_registry
from torch import Tensor, nn

from autoweak.networks.ensemble import NOTHING
from autoweak.networks.strict import StrictModule
from autoweak.promptable.cache import EmbeddingCache
from autoweak.promptable.hardware import Precision
from autoweak.promptable.model import Promptable
from autoweak.promptable.registry import get_entry
from autoweak.promptable.small import build_small
from autoweak.prompts import PromptPolicy, make_prompts
from autoweak.weak_labels.decode import decode_prompts


class MedsamFromCoarse(StrictModule):
    """A coarse model whose map becomes the prompts of a promptable model, as `weak_labels.generate` does it.

    In training it is the coarse model alone: prompts let no gradient through, and the promptable model is frozen.

    Args:
        coarse: slices (N, C, H, W) 0 to 1 in, logits (N, K, H, W) out, as `Ensemble`.
        promptable: name of the promptable model, which says its architecture and its preprocessing.
        policy: fields of the `PromptPolicy`.
        seed: of the policy's random choices, 0 or more.
        precision: of the promptable model's encoder, see `hardware.Precision`.
    """

    def __init__(
        self,
        coarse: nn.Module,
        *,
        promptable: str = "small",
        policy: Mapping[str, Any],
        seed: int = 0,
        precision: str = Precision.FLOAT32.value,
    ) -> None:
        super().__init__()
        entry = get_entry(promptable)
        self.coarse = coarse
        self.promptable = _network(entry.architecture).requires_grad_(False)
        self._policy = PromptPolicy(**policy)
        self._seed = seed
        # Embeddings are rounded as the app's cache rounds them, and not kept.
        self._cache = EmbeddingCache(None)
        self._model = Promptable(
            self.promptable, name=promptable, sha256="", contract=entry.contract, device="cpu", precision=precision
        )

    def take_promptable(self, model: Promptable) -> None:
        """Copy the weights of a promptable model of the same name and precision."""
        self.promptable.load_state_dict(model.state_dict())

    def train(self, mode: bool = True) -> MedsamFromCoarse:
        """Switch the coarse model between training and evaluation; the promptable model always evaluates."""
        super().train(mode)
        self.promptable.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the weak labels of a stack of slices; those of one volume belong together, in order.

        Args:
            image: (N, C, H, W) float32, 0 to 1, the 8-bit view of N slices, C 1 or 3.

        Returns:
            (N, K, H, W) float32, one channel for each label in order of value: the highest logit of its prompts,
            `NOTHING` where a label has no prompt in a slice. The weak label is the highest of those above 0.
        """
        logits: Tensor = self.coarse(image)
        if self.training:
            return logits
        self._model.device = image.device
        maps = torch.sigmoid(logits).detach().cpu().numpy()
        view = np.moveaxis(np.rint(image.detach().cpu().numpy() * 255).astype(np.uint8), 1, 3)
        return torch.from_numpy(self._weak_logits(view, maps)).to(image.device)

    def _weak_logits(self, view: npt.NDArray[np.uint8], maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        labels = range(1, maps.shape[1] + 1)
        logits = np.full(maps.shape, NOTHING, dtype=np.float32)
        prompts = make_prompts(maps, policy=self._policy, labels=labels, seed=self._seed)
        for index, of_slice in groupby(prompts, key=lambda prompt: prompt.slice_index):
            members = tuple(of_slice)
            embedding = self._cache.get(self._model, np.ascontiguousarray(view[index]))
            of_labels = dict(zip(labels, maps[index], strict=True))
            result = decode_prompts(self._model, embedding, members, policy=self._policy, maps=of_labels)
            for prompt, each in zip(members, result.logits, strict=True):
                channel = logits[index, prompt.label - 1]
                np.maximum(channel, each, out=channel)
        return logits


def _network(architecture: str) -> nn.Module:
    """The architecture with random weights; those of the bundle follow."""
    if architecture == "small":
        return build_small()
    network: nn.Module = sam_model_registry[architecture](checkpoint=None)
    # Constants of SAM's own preprocessing, which no checkpoint holds; the contract has them.
    del network.pixel_mean, network.pixel_std
    return network
