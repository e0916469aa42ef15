"""What the configs of the bundle `image_synthesis` call: its network and schedule, guards, drawing and measuring."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler
from numpy.typing import NDArray
from torch import nn

from autoweak.bundle.guards import read_weights
from autoweak.errors import CheckpointError
from autoweak.hashing import file_sha256
from autoweak.networks.definition import network_from
from autoweak.networks.strict import check_fits
from autoweak.training.seeds import derive_seed

BUNDLE = "image_synthesis"
__all__ = [
    "definition_of",
    "derive_seed",
    "fingerprint",
    "load_weights",
    "network_of",
    "noise_schedule_of",
    "process_device",
    "sampling_scheduler",
    "start_from",
    "training_scheduler",
    "weights_sha256",
]


def network_of(bundle_root: str | Path, image_channels: int) -> nn.Module:
    """The network as `network_def` of the bundle's inference.json has it, with random weights."""
    return network_from(definition_of(bundle_root, image_channels))


def definition_of(bundle_root: str | Path, image_channels: int) -> dict[str, Any]:
    """The `network_def` of the bundle at `bundle_root` as plain values."""
    return _section(bundle_root, "network_def", image_channels=image_channels)


def noise_schedule_of(bundle_root: str | Path) -> dict[str, Any]:
    """The noise schedule of the bundle at `bundle_root` as plain values."""
    return _section(bundle_root, "noise_schedule")


def training_scheduler(noise_schedule: Mapping[str, Any]) -> DDPMScheduler:
    """The scheduler that adds noise in training (Ho 2020)."""
    return DDPMScheduler(**noise_schedule)


def sampling_scheduler(noise_schedule: Mapping[str, Any], sampler: str, steps: int) -> DDPMScheduler | DDIMScheduler:
    """The scheduler that takes noise away.

    Args:
        noise_schedule: the one of the training.
        sampler: "ddpm" (Ho 2020, all steps of the training) or "ddim" (Song 2021, as few steps as wanted).
        steps: how many steps DDIM takes; DDPM takes no notice of it.

    Raises:
        CheckpointError: no such sampler, or not from 1 to as many steps as there are.
    """
    known = int(noise_schedule["num_train_timesteps"])
    if sampler not in ("ddpm", "ddim") or not 1 <= steps <= known:
        msg = f"The sampler is ddim with 1 to {known} steps, or ddpm, got {sampler!r} with {steps} steps; try ddim, 50."
        raise CheckpointError(msg)
    if sampler == "ddim":
        scheduler = DDIMScheduler(**noise_schedule)
        scheduler.set_timesteps(steps)
        return scheduler
    scheduler = DDPMScheduler(**noise_schedule)
    scheduler.set_timesteps(known)
    return scheduler


def load_weights(network: nn.Module, path: str | Path) -> str:
    """Load a plain state dict into `network` and return the SHA-256 of the file.

    Raises:
        CheckpointError: the file is missing, damaged, unsafe, or of another network.
    """
    state = read_weights(Path(path))
    try:
        check_fits(network.state_dict(), state)
    except CheckpointError as error:
        msg = f"{path} cannot be used. {error}"
        raise CheckpointError(msg) from error
    network.load_state_dict(state)
    return file_sha256(Path(path))


def start_from(network: nn.Module, path: str | Path | None) -> int:
    """Begin with the weights at `path` where they fit (a first layer for grey does not fit RGB); return how many did.

    Raises:
        CheckpointError: the file is damaged or unsafe.
    """
    if not path:
        return 0
    own, state = network.state_dict(), read_weights(Path(path))
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    network.load_state_dict({**own, **fitting})
    return len(fitting)


def fingerprint(items: list[dict[str, Any]], *, network: nn.Module, **settings: Any) -> str:
    """A hash of all that the weights of a training depend on: pictures, in their order, and settings.

    Args:
        items: MONAI's list of {"image": path or view (H, W, C) uint8}.
        network: the names and shapes of its weights count.
        settings: plain values.
    """
    digest = hashlib.sha256()
    for item in items:
        image: NDArray[Any] | str | Path = item["image"]
        if isinstance(image, str | Path):
            digest.update(file_sha256(Path(image)).encode())
        else:
            digest.update(f"{image.shape}".encode() + image.tobytes())
    parts = {name: list(value.shape) for name, value in network.state_dict().items()}
    digest.update(
        json.dumps({**settings, "network": parts, "torch": torch.__version__}, sort_keys=True, default=str).encode()
    )
    return digest.hexdigest()


def weights_sha256(path: str | Path | None) -> str:
    """SHA-256 of start weights; "" where there are none."""
    return file_sha256(Path(path)) if path and Path(path).is_file() else ""


def process_device() -> torch.device:
    """The device of this process: its own GPU where there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def _section(bundle_root: str | Path, name: str, **values: Any) -> dict[str, Any]:
    """A mapping of the bundle's inference.json with its references resolved, after setting top-level `values`."""
    parser = ConfigParser()
    parser.read_config(str(Path(bundle_root) / "configs" / "inference.json"))
    for key, value in values.items():
        parser[key] = value
    parser.parse()
    content = parser.get_parsed_content(name, instantiate=False)
    # What names a class comes unbuilt, with its references still in it.
    keys = content if isinstance(content, Mapping) else content.get_config()
    return {key: parser.get_parsed_content(f"{name}::{key}", instantiate=False) for key in keys}
