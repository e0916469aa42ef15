"""Training prompt modules on cached embeddings, with the decoder frozen behind them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autoweak.networks.definition import bundle_definition
from autoweak.networks.learned_prompt import MODULE_OPTIONS, LearnedPrompts
from autoweak.promptable.frozen import FrozenDecoder
from autoweak.promptable.hardware import choose_dtype
from autoweak.training.box_loss import box_loss
from autoweak.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from autoweak.training.prompt_recipe import PROMPT_RECIPE, PromptRecipe
from autoweak.training.seeds import derive_seed
from autoweak.training.tight_boxes import GridBox

BUNDLE = "medsam_learned_prompt"
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class BoxSample:
    """One slice with the tight boxes of its labels.

    Attributes:
        image_id: of the image.
        key: names the embedding: image content, contract and weights.
        features: (256, h, w) float16.
        boxes: for each label, in the square of the losses: none where it is not there, None where nothing is known.
        mirrored: the same slice mirrored, where that leaves the labels true; each epoch takes one or the other.
    """

    image_id: str
    key: str
    features: Tensor
    boxes: tuple[tuple[GridBox, ...] | None, ...]
    mirrored: tuple[BoxSample, ...] = ()


def build_prompts(decoder: FrozenDecoder, *, num_labels: int, recipe: PromptRecipe = PROMPT_RECIPE) -> LearnedPrompts:
    """Prompt modules with random weights that fit a decoder, as the bundle defines them or the recipe says."""
    modules = recipe.modules
    if modules is None:
        definition = bundle_definition(BUNDLE)
        modules = {name: int(definition[name]) for name in MODULE_OPTIONS}
    return LearnedPrompts(num_labels=num_labels, side=decoder.grid[0], width=decoder.width, **modules)


def train_prompts(
    samples: Sequence[BoxSample],
    *,
    decoder: FrozenDecoder,
    num_labels: int,
    seed: int,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    on_epoch: Callable[[int], None] | None = None,
    recipe: PromptRecipe = PROMPT_RECIPE,
) -> LearnedPrompts:
    """Train; the same samples and seed give the same weights, killed and resumed or not.

    Args:
        samples: at least one.
        decoder: of the promptable model that made the embeddings; it stays as it is.
        num_labels: K.
        seed: fixes the start weights and the order of the samples.
        checkpoint: file to go on from and to keep up to date; None keeps nothing.
        progress: called with (epochs done, all epochs, a short text) after each epoch.
        on_epoch: called with the number of each finished epoch, after its checkpoint; it may raise to stop.
        recipe: how.

    Returns:
        the modules, in evaluation mode, on the CPU.
    """
    with torch.random.fork_rng(devices=[]):
        training = _Training(samples, decoder=decoder, num_labels=num_labels, seed=seed, recipe=recipe)
        training.run(path=checkpoint, progress=progress, on_epoch=on_epoch)
    return training.prompts.eval().to("cpu")


class _Training:
    def __init__(
        self, samples: Sequence[BoxSample], *, decoder: FrozenDecoder, num_labels: int, seed: int, recipe: PromptRecipe
    ) -> None:
        self._samples, self._decoder, self._seed, self._recipe = samples, decoder.eval(), seed, recipe
        self._device = decoder.position.device
        self._dtype = choose_dtype(recipe.precision, self._device)
        torch.manual_seed(derive_seed(seed, "prompts"))
        self.prompts = build_prompts(decoder, num_labels=num_labels, recipe=recipe).to(self._device)
        self.prompts = self.prompts.to(memory_format=torch.channels_last)
        self._optimizer = torch.optim.Adam(
            self.prompts.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._history: list[dict[str, float]] = []
        self._fingerprint = _fingerprint(
            samples, options=self.prompts.options, seed=seed, recipe=recipe, precision=str(self._dtype)
        )

    def run(self, *, path: Path | None, progress: Progress | None, on_epoch: Callable[[int], None] | None) -> None:
        """Run the epochs that are not done yet."""
        epochs, saved = self._recipe.epochs, time.monotonic()
        for epoch in range(self._resume(path) + 1, epochs + 1):
            loss = self._epoch(epoch)
            self._history.append({"epoch": float(epoch), "loss": loss})
            if path is not None and (epoch == epochs or time.monotonic() - saved >= self._recipe.checkpoint_seconds):
                self._save(path, epoch)
                saved = time.monotonic()
            if progress is not None:
                progress(epoch, epochs, f"epoch {epoch} of {epochs}, loss {loss:.3f}")
            if on_epoch is not None:
                on_epoch(epoch)

    def _epoch(self, epoch: int) -> float:
        fallen = epoch > self._recipe.drop * self._recipe.epochs
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate * (0.1 if fallen else 1.0)
        chosen = drawn(self._samples, seed=derive_seed(self._seed, epoch, "order"), recipe=self._recipe)
        size = self._recipe.batch_size
        return float(np.mean([self._step(chosen[at : at + size]) for at in range(0, len(chosen), size)]))

    def _step(self, batch: Sequence[BoxSample]) -> float:
        features = torch.stack([sample.features for sample in batch]).to(self._device, torch.float32)
        # The paper trains in half precision; bfloat16 needs no scaling of the loss.
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            logits = self.prompts(features.to(memory_format=torch.channels_last), self._decoder).float()
        terms = [
            box_loss(logits[:, label], [sample.boxes[label] for sample in batch], terms=self._recipe.terms)
            for label in range(logits.shape[1])
        ]
        loss = torch.stack(terms).sum()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return float(loss.detach())

    def _resume(self, path: Path | None) -> int:
        found = read_checkpoint(path, fingerprint=self._fingerprint)
        if found is None:
            return 0
        self.prompts.load_state_dict(found.network)
        self._optimizer.load_state_dict(found.optimizer)
        self._history = list(found.history)
        return found.epoch

    def _save(self, path: Path, epoch: int) -> None:
        state = Checkpoint(
            fingerprint=self._fingerprint,
            epoch=epoch,
            network=self.prompts.state_dict(),
            averaged={},
            optimizer=self._optimizer.state_dict(),
            history=self._history,
        )
        write_checkpoint(path, state)


def drawn(samples: Sequence[BoxSample], *, seed: int, recipe: PromptRecipe) -> list[BoxSample]:
    """What an epoch sees, in its order: all samples or as many as the recipe allows, each as it is or mirrored."""
    random = np.random.default_rng(seed)
    ways = [(samples[index], *samples[index].mirrored) for index in _chosen(samples, random, recipe)]
    return [several[int(random.integers(len(several)))] for several in ways]


def _chosen(samples: Sequence[BoxSample], random: np.random.Generator, recipe: PromptRecipe) -> list[int]:
    if len(samples) <= recipe.most:
        return [int(index) for index in random.permutation(len(samples))]
    shown = [index for index, sample in enumerate(samples) if any(sample.boxes)]
    others = [index for index, sample in enumerate(samples) if not any(sample.boxes)]
    rest = min(len(others), max(recipe.most - len(shown), round((1 - recipe.foreground) * recipe.most)))
    chosen = [*random.permutation(shown)[: recipe.most - rest], *random.permutation(others)[:rest]]
    return [int(index) for index in random.permutation(chosen)]


def _fingerprint(
    samples: Sequence[BoxSample], *, options: Mapping[str, int], seed: int, recipe: PromptRecipe, precision: str
) -> str:
    """A hash of all that the weights depend on; the keys of the embeddings stand for images and promptable model."""
    content = [
        [[sample.image_id, sample.key, _plain(sample)] for one in samples for sample in (one, *one.mirrored)],
        options,
        seed,
        asdict(recipe),
        precision,
        torch.__version__,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _plain(sample: BoxSample) -> list[list[dict[str, int]] | None]:
    return [None if boxes is None else [asdict(box) for box in boxes] for boxes in sample.boxes]
