"""Training prompts on embeddings: it learns, it resumes to the same bits, it leaves the rest alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autoweak.networks.learned_prompt import LearnedPrompts
from autoweak.promptable.frozen import FrozenDecoder
from autoweak.promptable.model import build_small
from autoweak.training.prompt_learner import BoxSample, drawn, train_prompts
from autoweak.training.prompt_recipe import BoxTerms, PromptRecipe
from autoweak.training.tight_boxes import GridBox

MODULES = {"num_points": 1, "centre_channels": 16, "pool": 16}
RECIPE = PromptRecipe(epochs=3, modules=MODULES, terms=BoxTerms(side=64), checkpoint_seconds=0.0)


class KilledError(Exception):
    """Stands for the death of the process after an epoch."""


@pytest.fixture(scope="module")
def decoder() -> FrozenDecoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = build_small()
    return FrozenDecoder(parts.mask_decoder, parts.prompt_encoder.get_dense_pe())


def sample(number: int, *, labels: int = 1, empty: bool = False) -> BoxSample:
    generator = torch.Generator().manual_seed(number)
    features = torch.randn(256, 32, 32, generator=generator)
    box = GridBox(10 + number, 40, 12, 44)
    features[:, box.top // 2 : box.bottom // 2, box.left // 2 : box.right // 2] += 2
    boxes = () if empty else (box,)
    return BoxSample(f"image-{number}", f"key-{number}", features.half(), (boxes,) * labels)


@pytest.fixture(scope="module")
def samples() -> list[BoxSample]:
    return [sample(number) for number in range(5)]


def same(one: LearnedPrompts, other: LearnedPrompts) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_loss_falls(samples: list[BoxSample], decoder: FrozenDecoder) -> None:
    told: list[float] = []

    train_prompts(
        samples,
        decoder=decoder,
        num_labels=1,
        seed=1,
        recipe=replace(RECIPE, epochs=12),
        progress=lambda done, total, text: told.append(float(text.split("loss ")[1])),
    )

    assert len(told) == 12
    assert told[-1] < 0.97 * told[0]
    assert told == sorted(told, reverse=True)


def test_the_recipe_is_the_papers() -> None:
    """Gaillochet et al.: what is written down of their training; the size differs, and says so."""
    recipe, terms = PromptRecipe(), BoxTerms().as_published()
    assert (recipe.epochs, recipe.drop, recipe.batch_size) == (100, 0.5, 4)
    assert (recipe.learning_rate, recipe.weight_decay) == (1e-3, 1e-4)
    assert (terms.emptiness, terms.tightness, terms.size, terms.size_everywhere) == (1.0, 1e-4, 0.01, True)
    assert (terms.band, terms.smallest, terms.largest, terms.steepness) == (5, 0.5, 0.9, 5.0)


def test_the_rate_falls_to_a_tenth_after_half_of_the_epochs(
    samples: list[BoxSample], decoder: FrozenDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    real = torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self, *a: rates.append(self.param_groups[0]["lr"]) or real(self, *a)
    )
    train_prompts(samples[:4], decoder=decoder, num_labels=1, seed=1, recipe=replace(RECIPE, epochs=4))
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])


@pytest.mark.parametrize("killed_after", [1, 2])
def test_killed_and_resumed_gives_the_same_bits(
    samples: list[BoxSample], decoder: FrozenDecoder, tmp_path: Path, killed_after: int
) -> None:
    options = {"decoder": decoder, "num_labels": 1, "seed": 3, "recipe": RECIPE}
    undisturbed = train_prompts(samples, **options)

    def kill(epoch: int) -> None:
        if epoch == killed_after:
            raise KilledError

    with pytest.raises(KilledError):
        train_prompts(samples, **options, checkpoint=tmp_path / "p.pt", on_epoch=kill)
    epochs: list[int] = []
    resumed = train_prompts(samples, **options, checkpoint=tmp_path / "p.pt", on_epoch=epochs.append)

    assert epochs == list(range(killed_after + 1, 4))
    assert same(resumed, undisturbed)


def test_a_checkpoint_of_other_boxes_is_ignored(
    samples: list[BoxSample], decoder: FrozenDecoder, tmp_path: Path
) -> None:
    options = {"decoder": decoder, "num_labels": 1, "seed": 3, "recipe": RECIPE}
    moved = [replace(samples[0], boxes=((GridBox(0, 5, 0, 5),),)), *samples[1:]]
    train_prompts(moved, **options, checkpoint=tmp_path / "p.pt")
    epochs: list[int] = []

    found = train_prompts(samples, **options, checkpoint=tmp_path / "p.pt", on_epoch=epochs.append)

    assert epochs == [1, 2, 3]
    assert same(found, train_prompts(samples, **options))


def test_another_seed_gives_other_weights(samples: list[BoxSample], decoder: FrozenDecoder) -> None:
    short = replace(RECIPE, epochs=1)
    one, other = (train_prompts(samples, decoder=decoder, num_labels=1, seed=seed, recipe=short) for seed in (1, 2))

    assert not same(one, other)


def test_decoder_and_random_state_are_left_alone(samples: list[BoxSample], decoder: FrozenDecoder) -> None:
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)

    train_prompts(samples, decoder=decoder, num_labels=1, seed=1, recipe=replace(RECIPE, epochs=1))

    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(value, before[name]) for name, value in decoder.state_dict().items())


def test_labels_do_not_disturb_each_other(decoder: FrozenDecoder) -> None:
    """A label of which nothing is known keeps its module; the other learns what it would learn beside any other."""
    both = [sample(number, labels=2) for number in range(4)]
    one_known = [replace(each, boxes=(each.boxes[0], None)) for each in both]
    short = replace(RECIPE, epochs=2, weight_decay=0.0)
    options = {"decoder": decoder, "num_labels": 2, "seed": 1}

    trained = train_prompts(both, **options, recipe=short).state_dict()
    half = train_prompts(one_known, **options, recipe=short).state_dict()
    start = train_prompts(one_known, **options, recipe=replace(short, epochs=1, learning_rate=0.0)).state_dict()

    for name in half:
        if name.startswith("modules_of_labels.0."):
            assert torch.allclose(half[name], trained[name], atol=1e-6)
        else:
            assert torch.equal(half[name], start[name])


def test_of_many_slices_each_epoch_sees_some_and_most_of_them_show_something() -> None:
    recipe = replace(RECIPE, most=8, foreground=0.75)
    slices = [sample(number) for number in range(10)] + [sample(number, empty=True) for number in range(10, 40)]

    order = drawn(slices, seed=1, recipe=recipe)

    keys = [one.key for one in order]
    assert len(set(keys)) == 8
    assert sum(any(one.boxes) for one in order) == 6
    assert keys == [one.key for one in drawn(slices, seed=1, recipe=recipe)]
    assert keys != [one.key for one in drawn(slices, seed=2, recipe=recipe)]
    assert {one.key for one in drawn(slices[:5], seed=1, recipe=recipe)} == {f"key-{n}" for n in range(5)}


def test_each_epoch_takes_a_slice_or_its_mirror_image() -> None:
    mirror = sample(99)
    slices = [replace(sample(number), mirrored=(mirror,)) for number in range(20)]

    epochs = [drawn(slices, seed=epoch, recipe=RECIPE) for epoch in range(5)]

    assert all(len(epoch) == 20 for epoch in epochs)
    taken = sum(one is mirror for epoch in epochs for one in epoch)
    assert 30 < taken < 70
