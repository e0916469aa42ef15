"""Training and drawing at 16 pixels: reproducible, resumable, in range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from autoweak.errors import CheckpointError
from autoweak.progress import NoProgress
from autoweak.synthesis.generator import WEIGHTS_FILE, Generator
from autoweak.synthesis.train import Training, TrainingImage, train_generator

TRAINING = Training(shape=(16, 16), channels=1, mirror=True, epochs=2, overrides=(("batch_size", 4),))


class _KilledError(Exception):
    """The process was killed."""


class _KillAfter(NoProgress):
    def __init__(self, steps: int) -> None:
        self._steps = steps

    def update(self, done: int, total: int, text: str) -> None:
        if done >= self._steps:
            raise _KilledError


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    rng = np.random.default_rng(0)
    images = [TrainingImage(str(n), rng.integers(0, 256, (16, 16, 1), dtype=np.uint8), f"{n:064x}") for n in range(8)]
    return train_generator(images, TRAINING, folder=tmp_path_factory.mktemp("training"), progress=NoProgress())


def test_a_killed_training_goes_on_to_the_same_weights(discs: list[TrainingImage], tmp_path: Path) -> None:
    whole = train_generator(discs, TRAINING, folder=tmp_path / "whole", progress=NoProgress())
    often = Training(**{**vars(TRAINING), "overrides": (*TRAINING.overrides, ("state::seconds", 0.0))})
    with pytest.raises(_KilledError):
        train_generator(discs, often, folder=tmp_path / "killed", progress=_KillAfter(5))  # in the second epoch
    assert (tmp_path / "killed" / "training.pt").is_file()
    resumed = train_generator(discs, often, folder=tmp_path / "killed", progress=NoProgress())
    assert resumed.sha256 == whole.sha256
    assert resumed.card == whole.card


def test_a_longer_training_goes_on_where_a_shorter_one_ended(discs: list[TrainingImage], tmp_path: Path) -> None:
    longer = Training(**{**vars(TRAINING), "epochs": 3})
    whole = train_generator(discs, longer, folder=tmp_path / "whole", progress=NoProgress())
    train_generator(discs, TRAINING, folder=tmp_path / "parts", progress=NoProgress())
    steps: list[int] = []
    progress = NoProgress()
    progress.update = lambda done, total, text: steps.append(done)  # type: ignore[method-assign]
    assert train_generator(discs, longer, folder=tmp_path / "parts", progress=progress).sha256 == whole.sha256
    assert steps == [7, 8, 9]


def test_the_state_of_another_training_is_refused(discs: list[TrainingImage], tmp_path: Path) -> None:
    train_generator(discs, TRAINING, folder=tmp_path, progress=NoProgress())
    with pytest.raises(CheckpointError, match="other images or settings"):
        train_generator(discs[:9], TRAINING, folder=tmp_path, progress=NoProgress())


def test_training_leaves_the_callers_random_numbers_alone(discs: list[TrainingImage], tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train_generator(discs, TRAINING, folder=tmp_path, progress=NoProgress())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_images_in_the_training_name_it(discs: list[TrainingImage]) -> None:
    assert TRAINING.fingerprint(discs) == TRAINING.fingerprint(list(discs))
    assert TRAINING.fingerprint(discs) != TRAINING.fingerprint(discs[1:])
    assert TRAINING.fingerprint(discs) == Training(**{**vars(TRAINING), "epochs": 9}).fingerprint(discs)
    assert TRAINING.fingerprint(discs) != Training(**{**vars(TRAINING), "seed": 1}).fingerprint(discs)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_number_of_a_seed_is_the_same_picture_whatever_is_drawn_with_it(generator: Generator, sampler: str) -> None:
    if sampler == "ddpm":  # all steps of the schedule, so a short one
        generator = Generator(generator.network, _with_steps(generator, 20))
    together = dict(generator.draw([1, 2, 3], seed=7, sampler=sampler, steps=5))
    alone = dict(generator.draw([3], seed=7, sampler=sampler, steps=5))
    assert np.abs(together[3].astype(int) - alone[3]).max() <= 1
    assert not np.array_equal(together[1], together[2])
    other = dict(generator.draw([1], seed=8, sampler=sampler, steps=5))
    assert not np.array_equal(together[1], other[1])
    again = dict(generator.draw([1, 2, 3], seed=7, sampler=sampler, steps=5))
    assert all(np.array_equal(together[number], again[number]) for number in together)


def test_pictures_have_the_shape_of_the_generator(generator: Generator) -> None:
    ((number, picture),) = generator.draw([4], seed=0, steps=2)
    assert number == 4
    assert picture.shape == (16, 16, 1)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize(("sampler", "steps"), [("ddim", 0), ("ddim", 1001), ("magic", 10)])
def test_a_sampler_that_is_not_there_is_refused(generator: Generator, sampler: str, steps: int) -> None:
    with pytest.raises(CheckpointError, match="The sampler is ddim"):
        list(generator.draw([1], seed=0, sampler=sampler, steps=steps))


def test_a_saved_generator_draws_the_same(generator: Generator, tmp_path: Path) -> None:
    assert Generator.load(tmp_path) is None
    generator.save(tmp_path)
    loaded = Generator.load(tmp_path)
    assert loaded is not None
    assert loaded.sha256 == generator.sha256
    assert loaded.card == generator.card
    ((_, first),) = generator.draw([1], seed=0, steps=2)
    ((_, second),) = loaded.draw([1], seed=0, steps=2)
    assert np.array_equal(first, second)


def test_a_changed_generator_is_refused(generator: Generator, tmp_path: Path) -> None:
    generator.save(tmp_path)
    weights = tmp_path / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CheckpointError, match="is damaged"):
        Generator.load(tmp_path)


def _with_steps(generator: Generator, steps: int) -> object:
    from dataclasses import replace

    return replace(generator.card, noise_schedule={**generator.card.noise_schedule, "num_train_timesteps": steps})
