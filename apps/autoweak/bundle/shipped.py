"""The weights that the bundles come with, put together from the weights files of the project."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from autoweak import atomic
from autoweak.bundle.reading import network_of
from autoweak.networks.ensemble import Ensemble
from autoweak.networks.learned_prompt import LearnedPromptSegmenter
from autoweak.networks.medsam_from_coarse import MedsamFromCoarse
from autoweak.promptable.model import load_promptable
from autoweak.promptable.registry import get_entry
from autoweak.resources import resource_path
from autoweak.training.start import load_start

BUNDLES = ("coarse_segmentation", "medsam_from_coarse", "medsam_learned_prompt")
LEARNED_START = Path("models", "start.safetensors")
WEIGHTS = Path("models", "model.pt")


def weights_of(bundle: str) -> dict[str, Tensor]:
    """The state dict that a bundle comes with: start weights, and those of the small promptable model."""
    network = network_of(str(resource_path("bundles") / bundle))
    if isinstance(network, LearnedPromptSegmenter):
        learned = safetensors.torch.load_file(str(resource_path("bundles") / bundle / LEARNED_START))
        network.prompts.load_state_dict(learned)
        return plain_state(LearnedPromptSegmenter.of(load_promptable("small", device="cpu"), network.prompts))
    coarse = network.coarse if isinstance(network, MedsamFromCoarse) else network
    if isinstance(coarse, Ensemble):
        for member in coarse.members:
            load_start(member)
    if isinstance(network, MedsamFromCoarse):
        network.promptable.load_state_dict(safetensors.torch.load_file(str(get_entry("small").bundled)))
    return plain_state(network)


def write_weights(bundle: str) -> Path:
    """Write `models/model.pt` of a bundle."""
    path = resource_path("bundles") / bundle / WEIGHTS
    save_state(path, weights_of(bundle))
    return path


def plain_state(network: nn.Module) -> dict[str, Tensor]:
    """The weights of a network, on the CPU, each in memory of its own; in half precision where that loses nothing.

    The small promptable model was published so. Loading brings them back to the network's own precision.
    """
    return {name: _halved(value.detach().cpu()) for name, value in network.state_dict().items()}


def _halved(value: Tensor) -> Tensor:
    half = value.to(torch.float16)
    lossless = value.dtype == torch.float32 and value.numel() > 1 and torch.equal(half.float(), value)
    return half if lossless else value.clone()


def save_state(path: Path, state: dict[str, Tensor]) -> None:
    """Write a plain state dict, which `torch.load(..., weights_only=True)` reads."""
    atomic.write_with(path, lambda partial: torch.save(state, partial))
