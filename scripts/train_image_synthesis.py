"""Train the weights of the bundle image_synthesis on ultrasound-like phantoms, with the bundle's own config.

    python scripts/train_image_synthesis.py [--images 1000] [--epochs 60] [--work FOLDER] [--out FILE]

Half an hour on one core; stopped and started again with the same --work it goes on. No real image is used.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from monai.bundle import run
from PIL import Image

from autoweak import atomic
from autoweak.phantoms.ultrasound import draw_ultrasound
from autoweak.resources import resource_path

_SIZE = (128, 128)  # twice the network's input: speckle is averaged as in real images that are made smaller


def main() -> None:
    """Draw, train, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000, help="phantoms to draw")
    parser.add_argument("--epochs", type=int, default=60, help="passes over them")
    parser.add_argument("--seed", type=int, default=0, help="fixes phantoms and training")
    parser.add_argument("--work", type=Path, default=Path("build/image_synthesis"), help="phantoms and training state")
    parser.add_argument("--out", type=Path, default=None, help="file to write (the bundle's models/model.pt)")
    options = parser.parse_args()
    bundle = resource_path("bundles") / "image_synthesis"
    for number in range(options.images):
        _draw(options.work / "phantoms" / f"phantom_{number:05d}.png", seed=(options.seed, number))
    run(
        config_file=str(bundle / "configs" / "train.json"),
        dataset_dir=str(options.work / "phantoms"),
        output_dir=str(options.work),
        epochs=options.epochs,
        seed=options.seed,
        start="",
    )
    path = options.out or bundle / "models" / "model.pt"
    atomic.write_with(path, lambda partial: shutil.copyfile(options.work / "model.pt", partial))
    print(f"wrote {path} ({path.stat().st_size} bytes)")


def _draw(path: Path, *, seed: tuple[int, int]) -> None:
    if not path.exists():
        atomic.write_with(path, Image.fromarray(draw_ultrasound(np.random.default_rng(seed), _SIZE)[0]).save)


if __name__ == "__main__":
    main()
