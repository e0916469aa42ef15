"""Drawing images from noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autoweak.synthesis.pixels import to_pixels
from autoweak.training.seeds import derive_seed


@torch.inference_mode()
def draw(
    network: nn.Module,
    scheduler: Any,
    *,
    numbers: Sequence[int],
    shape: tuple[int, int],
    channels: int,
    seed: int,
    device: torch.device | None = None,
) -> Tensor:
    """Draw the images of these numbers.

    Each image has its own noise, from seed and number: it is the same whatever else is drawn with it, on any
    device, up to rounding. MONAI's `DiffusionInferer.sample` draws one noise for the whole batch, hence this loop.

    Args:
        network: noisy images (N, C, rows, columns) and time steps (N,) in, their noise out.
        scheduler: with its time steps set, see `sampling_scheduler`.
        numbers: which images of the seed's endless row.
        shape: (rows, columns).
        channels: C.
        seed: 0 or more.
        device: where the network is; None is the CPU.

    Returns:
        (N, C, rows, columns) float32, about -1 to 1.
    """
    device = device or torch.device("cpu")
    sources = [torch.Generator().manual_seed(derive_seed(seed, number, "noise")) for number in numbers]
    images = torch.cat([torch.randn((1, channels, *shape), generator=source) for source in sources])
    network.eval()
    for step in scheduler.timesteps:
        steps = torch.full((len(images),), int(step), dtype=torch.long, device=device)
        noise = network(images.to(device), timesteps=steps).float().cpu()
        images = torch.cat(
            [
                scheduler.step(noise[[place]], int(step), images[[place]], generator=source)[0]
                for place, source in enumerate(sources)
            ]
        )
    return images


def draw_pictures(
    network: nn.Module,
    scheduler: Any,
    *,
    numbers: Sequence[int],
    shape: tuple[int, int],
    channels: int,
    seed: int,
    batch_size: int,
    device: torch.device | None = None,
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Draw images in batches; yields each number with its picture (H, W, C) uint8. Arguments as in `draw`."""
    for first in range(0, len(numbers), batch_size):
        chosen = numbers[first : first + batch_size]
        images = draw(network, scheduler, numbers=chosen, shape=shape, channels=channels, seed=seed, device=device)
        yield from zip(chosen, to_pixels(images), strict=True)
