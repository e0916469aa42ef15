"""Training on tight boxes in MONAI's engines: of the masks that are loaded, the loss sees the boxes alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoweak.bundle.calls import one_sentence
from autoweak.bundle.guards import read_weights
from autoweak.bundle.reading import read_config, task_of
from autoweak.errors import CheckpointError
from autoweak.promptable.registry import get_entry
from autoweak.training.box_loss import box_loss
from autoweak.training.prompt_recipe import PROMPT_RECIPE
from autoweak.training.tight_boxes import boxes_of_mask, to_grid


class TightBoxLoss(nn.Module):
    """Emptiness, tightness and size as `autoweak.training.box_loss` has them, summed over the labels.

    Args:
        task: how many pieces a label may have in a slice: with more than one, each has a box.
        promptable: name of the promptable model, which says how it sees an image.
    """

    def __init__(self, *, task: Mapping[str, Any] | str, promptable: str) -> None:
        super().__init__()
        self._components = task_of(task).components > 1
        self._contract = get_entry(promptable).contract

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """One number for logits (N, K, H, W) against masks (N, K, H, W), of which values above 0.5 are the label."""
        terms, size = PROMPT_RECIPE.terms, (int(target.shape[2]), int(target.shape[3]))
        masks = (target > 0.5).cpu().numpy()
        losses = []
        for label in range(logits.shape[1]):
            boxes = [
                to_grid(
                    boxes_of_mask(mask, components=self._components),
                    image_size=size,
                    contract=self._contract,
                    side=terms.side,
                )
                for mask in masks[:, label]
            ]
            losses.append(box_loss(logits[:, label], boxes, terms=terms))
        return torch.stack(losses).sum()


@one_sentence
def promptable_of(bundle_root: str) -> str:
    """Name of the promptable model in a bundle, as its `inference.json` has it."""
    return str(read_config(bundle_root)["promptable"])


_MODULE = re.compile(r"^prompts\.modules_of_labels\.\d+\.")


@one_sentence
def start_prompts(network: nn.Module, path: str) -> None:
    """Begin a training with the weights in a file; labels that it does not have begin with the prompts of its first.

    Stops the program where the file is missing, no plain state dict, or of another network.
    """
    bare = network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network
    state = read_weights(Path(path))
    for name in bare.state_dict():
        first = _MODULE.sub("prompts.modules_of_labels.0.", name)
        if name not in state and first in state:
            state[name] = state[first]
    try:
        bare.load_state_dict(state)
    except CheckpointError as error:
        msg = f"{path} cannot be used. {error}"
        raise CheckpointError(msg) from error
