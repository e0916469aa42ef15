"""Learn the prompts that the bundle medsam_learned_prompt comes with, on drawn ultrasound images alone.

python scripts/train_learned_start.py && python scripts/make_bundle_weights.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import safetensors.torch
import torch

from autoweak import atomic
from autoweak.loop.boxed import read_boxed, samples_of
from autoweak.loop.context import Context
from autoweak.loop.learned import Learner
from autoweak.phantoms.demo import PhantomKind, write_phantom_studies
from autoweak.resources import resource_path
from autoweak.tasks import load_task
from autoweak.training.prompt_learner import train_prompts

IMAGES = 24


def main() -> None:
    """Draw, learn, write."""
    target = resource_path("bundles") / "medsam_learned_prompt" / "models" / "start.safetensors"
    with tempfile.TemporaryDirectory() as folder:
        write_phantom_studies(Path(folder), PhantomKind.ULTRASOUND, gold=IMAGES, unlabelled=1, validation=0, seed=0)
        task = load_task("breast_ultrasound")
        learner = Learner.load(Context.open(Path(folder) / "studies", task, device="cpu", promptable="small"))
        how = {"model": learner.model, "cache": learner.cache, "recipe": learner.recipe, "mirror": task.mirror}
        prompts = train_prompts(
            [sample for item in read_boxed(learner.context) for sample in samples_of(item, **how)],
            decoder=learner.model.frozen_decoder(),
            num_labels=1,
            seed=0,
            progress=lambda done, _, text: print(text, file=sys.stderr) if done % 10 == 0 else None,
        )
    # Half precision: the whole bundle stays small, and the masks are the same to the eye.
    state = {name: value.to(torch.float16).contiguous() for name, value in prompts.state_dict().items()}
    atomic.write_bytes(target, safetensors.torch.save(state))
    print(f"wrote {target} ({target.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
