"""Train the coarse network's start weights on phantoms: ultrasound-like, dermoscopy-like and X-ray-like images.

    python scripts/train_coarse_start.py [--images 900] [--epochs 48] [--seed 0] [--out FILE]

About three minutes on one core. No real image is used. Written to the coarse bundle unless --out says otherwise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import safetensors.torch

from autoweak import atomic
from autoweak.phantoms.dermoscopy import draw_dermoscopy
from autoweak.phantoms.ultrasound import draw_ultrasound
from autoweak.phantoms.xray import draw_xray
from autoweak.tasks import Coarse, Mirror, Task
from autoweak.training.fold import train_fold
from autoweak.training.recipe import Recipe
from autoweak.training.sample import Sample
from autoweak.training.start import start_path

_DRAWERS = (draw_ultrasound, draw_dermoscopy, draw_xray)
_SIZE = (120, 144)  # rows, columns: a little larger than the network's input, drawn in milliseconds


def main() -> None:
    """Draw, train, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=900, help="phantoms to draw, one third of each kind")
    parser.add_argument("--epochs", type=int, default=48, help="epochs of 25 steps")
    parser.add_argument("--seed", type=int, default=0, help="fixes phantoms and training")
    parser.add_argument("--out", type=Path, default=None, help="file to write")
    options = parser.parse_args()
    samples = [_draw(number, seed=options.seed) for number in range(options.images)]
    task = Task(
        name="start",
        description="the object of a phantom",
        modality="phantom",
        dimension=2,
        channels=1,
        labels={"object": 1},
        mirror=(Mirror.HORIZONTAL,),
        rotation=20.0,
        coarse=Coarse(size=96, epochs=options.epochs, learning_rate=4e-3),
    )
    result = train_fold(
        samples,
        [],
        task=task,
        seed=options.seed,
        recipe=Recipe(start=False, paste=0.0, erase=0.0),
        progress=lambda done, total, text: print(f"\r{done}/{total} {text}", end="", flush=True),
    )
    path = options.out or start_path()
    content = safetensors.torch.save({name: value.contiguous() for name, value in result.state_dict.items()})
    atomic.write_bytes(path, content)
    print(f"\nwrote {path} ({len(content)} bytes)")


def _draw(number: int, *, seed: int) -> Sample:
    image, mask = _DRAWERS[number % len(_DRAWERS)](np.random.default_rng((seed, number)), _SIZE)
    grey = image if image.ndim == 2 else image.mean(axis=2).round().astype(np.uint8)
    return Sample(f"phantom-{number}", grey[None, ..., None], (mask[None] > 0).astype(np.uint8))


if __name__ == "__main__":
    main()
