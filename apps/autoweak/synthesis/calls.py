"""What the configs of the bundle `image_synthesis` call; a user's mistake ends the program with one sentence."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from autoweak import atomic
from autoweak.bundle.calls import one_sentence
from autoweak.bundle.guards import check_names
from autoweak.errors import ImageError, StudiesError
from autoweak.studies import list_images
from autoweak.synthesis import bundle
from autoweak.synthesis.bundle import fingerprint, noise_schedule_of, process_device, weights_sha256
from autoweak.synthesis.images import image_list, picture_of
from autoweak.synthesis.marks import Mark, write_marked
from autoweak.synthesis.pixels import check_shape, to_pixels, to_tensor
from autoweak.synthesis.sampling import draw_pictures
from autoweak.training.seeds import derive_seed

__all__ = [
    "check",
    "derive_seed",
    "evaluate",
    "fingerprint",
    "images",
    "network_of",
    "noise_schedule_of",
    "process_device",
    "start_from",
    "training_scheduler",
    "weights_sha256",
    "write_samples",
]
LOGGER = logging.getLogger(__name__)

images = one_sentence(image_list)
network_of = one_sentence(bundle.network_of)
start_from = one_sentence(bundle.start_from)
training_scheduler = bundle.training_scheduler


@one_sentence
def check(bundle_root: str, *, channels: Any, shape: Any) -> None:
    """Stop where an override names no entry, or channels and shape are none that the network can have."""
    check_names(Path(bundle_root))
    if channels not in (1, 3):
        msg = f"The entry 'image_channels' must be 1 (grey) or 3 (RGB), got {channels!r}."
        raise ImageError(msg)
    check_shape(shape)


@one_sentence
def write_samples(
    network: nn.Module,
    noise_schedule: Mapping[str, Any],
    *,
    ckpt_path: str,
    output_dir: str,
    count: int,
    seed: int,
    batch_size: int,
    shape: Sequence[int],
    channels: int,
    sampler: str,
    steps: int,
) -> list[Path]:
    """Draw images and write them as 8-bit PNG, grey or RGB, each with the mark that it is synthetic.

    Args:
        network: on its device; gets the weights at `ckpt_path`.
        noise_schedule: of the training.
        ckpt_path: a plain state dict.
        output_dir: where `synthetic-<hash>-<number>.png` go.
        count: how many; 1 or more.
        seed: 0 or more: the same seed draws the same images.
        batch_size: how many at once.
        shape: (rows, columns), multiples of 8.
        channels: of the network, 1 or 3.
        sampler: "ddim" or "ddpm".
        steps: of DDIM.

    Returns:
        the files.

    Stops the program where the weights do not fit, or a number cannot be used.
    """
    _check_numbers(count=(count, 1), batch_size=(batch_size, 1), seed=(seed, 0))
    scheduler = bundle.sampling_scheduler(noise_schedule, sampler, steps)
    generator = bundle.load_weights(network, ckpt_path)
    parameter = next(network.parameters())
    written = []
    drawn = draw_pictures(
        network,
        scheduler,
        numbers=range(1, count + 1),
        shape=check_shape(list(shape)),
        channels=channels,
        seed=seed,
        batch_size=batch_size,
        device=parameter.device,
    )
    for number, picture in drawn:
        mark = Mark(generator=generator, seed=seed, number=number, sampler=sampler, steps=len(scheduler.timesteps))
        path = Path(output_dir) / f"{mark.image_id}.png"
        write_marked(path, picture, mark)
        written.append(path)
        LOGGER.info("%d of %d: %s", number, count, path)
    return written


@one_sentence
def evaluate(
    dataset_dir: str, samples_dir: str, output_dir: str, *, shape: Sequence[int], channels: int
) -> dict[str, Any]:
    """Measure drawn images against those that the generator learned from, and write `metrics.json`.

    Args:
        dataset_dir: the images of the training.
        samples_dir: the drawn images; `synthetic-*.png` in it are taken.
        output_dir: where `metrics.json` goes.
        shape: (rows, columns) at which they are compared.
        channels: 1 or 3.

    Returns:
        the figures, see `measure`.

    Stops the program where there are no images, or they cannot be read.
    """
    from autoweak.synthesis.measure import measure

    sides = check_shape(list(shape))
    training = [item["image"] for item in image_list(dataset_dir)]
    samples = [study.path for study in list_images(Path(samples_dir)) if study.image_id.startswith("synthetic-")]
    if len(samples) < 2:
        msg = f"There are {len(samples)} drawn images (synthetic-*.png) in {samples_dir}, and 2 are needed; draw some."
        raise StudiesError(msg)
    both = [
        [to_pixels(to_tensor(picture_of(path, channels=channels), sides)[None])[0] for path in paths]
        for paths in (samples, training)
    ]
    figures = measure(*both)
    atomic.write_json(Path(output_dir) / "metrics.json", figures)
    LOGGER.info("Wrote %s", Path(output_dir) / "metrics.json")
    return figures


def _check_numbers(**numbers: tuple[Any, int]) -> None:
    """Refuse an entry that is no whole number from its least value on."""
    for name, (value, least) in numbers.items():
        if not isinstance(value, int) or value < least:
            msg = f"The entry {name!r} must be a whole number from {least} on, got {value!r}."
            raise ImageError(msg)
