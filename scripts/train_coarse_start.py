"""Train the coarse network's start weights on phantoms: ultrasound-like, dermoscopy-like and X-ray-like images.

    python scripts/train_coarse_start.py [--images 9000] [--epochs 800] [--seed 0] [--out FILE]

About 40 minutes on one core; interrupted, it goes on with the same command. No real image is used. Written to the
coarse bundle unless --out says otherwise; `scripts/make_bundle_weights.py` then makes the bundles' other weights anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import safetensors.torch
from tqdm import tqdm

from autoweak import atomic
from autoweak.phantoms.varied_dermoscopy import draw_varied_dermoscopy
from autoweak.phantoms.varied_ultrasound import draw_varied_ultrasound
from autoweak.phantoms.xray import draw_xray
from autoweak.tasks import Coarse, Mirror, Task
from autoweak.training.fold import train_fold
from autoweak.training.recipe import Recipe
from autoweak.training.sample import Sample
from autoweak.training.start import start_path

# Lungs always lie alike, so a fifth of the images is enough of them.
_DRAWERS = (
    draw_varied_ultrasound,
    draw_varied_dermoscopy,
    draw_varied_ultrasound,
    draw_xray,
    draw_varied_dermoscopy,
)
_SIZE = (120, 144)  # rows, columns: a little larger than the network's input, drawn in milliseconds


def main() -> None:
    """Draw, train, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=9000, help="phantoms to draw, of five one X-ray")
    parser.add_argument("--epochs", type=int, default=800, help="epochs of 25 steps")
    parser.add_argument("--seed", type=int, default=0, help="fixes phantoms and training")
    parser.add_argument("--out", type=Path, default=None, help="file to write")
    options = parser.parse_args()
    path: Path = options.out or start_path()
    samples = [_draw(number, seed=options.seed) for number in tqdm(range(options.images), desc="Drawing")]
    task = Task(
        name="start",
        description="the object of a phantom",
        modality="phantom",
        dimension=2,
        channels=3,
        labels={"object": 1},
        mirror=(Mirror.HORIZONTAL,),
        rotation=20.0,
        coarse=Coarse(size=96, epochs=options.epochs, learning_rate=4e-3),
    )
    checkpoint = path.with_suffix(".checkpoint")
    with tqdm(total=options.epochs * 25, desc="Training") as bar:

        def tell(done: int, _: int, text: str) -> None:
            bar.update(done - bar.n)
            bar.set_postfix_str(text)

        recipe = Recipe(start=False, paste=0.0, erase=0.0)
        result = train_fold(
            samples, [], task=task, seed=options.seed, recipe=recipe, checkpoint=checkpoint, progress=tell
        )
    weights = safetensors.torch.save({name: value.contiguous() for name, value in result.state_dict.items()})
    atomic.write_bytes(path, weights)
    checkpoint.unlink(missing_ok=True)


def _draw(number: int, *, seed: int) -> Sample:
    """A phantom in three channels: a grey one shows the network what colours look like where there are none."""
    image, mask = _DRAWERS[number % len(_DRAWERS)](np.random.default_rng((seed, number)), _SIZE)
    view = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    return Sample(image_id=f"p{number}", view=view[None], mask=(mask[None] > 0).astype(np.uint8))


if __name__ == "__main__":
    main()
