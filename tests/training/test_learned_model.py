"""Learned prompts on disk: the same after loading, tied to their promptable model, safe to open."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from autoweak.errors import CheckpointError, ImageError
from autoweak.promptable import EmbeddingCache, Promptable, load_promptable
from autoweak.promptable.model import build_small
from autoweak.promptable.registry import SMALL_CONTRACT
from autoweak.tasks import Task
from autoweak.training.learned_model import LearnedModel, describe
from autoweak.training.prompt_learner import build_prompts
from autoweak.training.stored_model import CARD_FILE, WEIGHTS_FILE


@pytest.fixture(scope="module")
def promptable() -> Promptable:
    return load_promptable("small", device="cpu")


@pytest.fixture
def learned(promptable: Promptable, task: Task) -> LearnedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        prompts = build_prompts(promptable.frozen_decoder(), num_labels=1)
    card = describe(task=task, model=promptable, options=prompts.options, cv_dice={"image-1": 0.5}, images=4, seed=3)
    return LearnedModel(prompts, card)


@pytest.fixture
def view() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 33, 47, 1), dtype=np.uint8)


def test_saved_and_loaded_predicts_the_same(
    learned: LearnedModel, promptable: Promptable, view: np.ndarray, tmp_path: Path
) -> None:
    learned.save(tmp_path / "v1")
    learned.save(tmp_path / "v1")

    loaded = LearnedModel.load(tmp_path / "v1")

    assert loaded.card == learned.card
    assert loaded.sha256 == learned.sha256
    maps = loaded.predict(view, model=promptable, cache=EmbeddingCache(None))
    assert maps.shape == (2, 1, 33, 47)
    assert maps.dtype == np.float32
    assert 0 <= maps.min() <= maps.max() <= 1
    assert np.array_equal(maps, learned.predict(view, model=promptable, cache=EmbeddingCache(None)))
    assert sorted(path.name for path in (tmp_path / "v1").iterdir()) == [CARD_FILE, WEIGHTS_FILE]


def test_an_image_is_encoded_once(
    learned: LearnedModel, promptable: Promptable, view: np.ndarray, tmp_path: Path
) -> None:
    cache = EmbeddingCache(tmp_path)

    first = learned.predict(view, model=promptable, cache=cache)
    second = learned.predict(view, model=promptable, cache=cache)

    assert cache.encoded == cache.hits == 2
    assert np.array_equal(first, second)


def test_prompts_for_other_weights_are_refused(learned: LearnedModel, view: np.ndarray) -> None:
    other = Promptable(build_small(), name="small", sha256="f" * 64, contract=SMALL_CONTRACT, device="cpu")

    with pytest.raises(CheckpointError, match=r"learned for small with weights sha256 .* train them again\.$"):
        learned.predict(view, model=other, cache=EmbeddingCache(None))


def test_a_view_of_the_wrong_kind_is_refused(learned: LearnedModel, promptable: Promptable, view: np.ndarray) -> None:
    with pytest.raises(ImageError, match="need an 8-bit view"):
        learned.predict(np.repeat(view, 3, axis=3), model=promptable, cache=EmbeddingCache(None))


def change_weights(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS_FILE).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(content)


def edit_card(**changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        card = json.loads((folder / CARD_FILE).read_text())
        options = {**card["options"], **changes.pop("options", {})}  # type: ignore[dict-item]
        (folder / CARD_FILE).write_text(json.dumps({**card, "options": options, **changes}))

    return edit


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (change_weights, "changed or damaged"),
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), "cannot be read"),
        (lambda folder: (folder / CARD_FILE).unlink(), "There is no model"),
        (lambda folder: (folder / CARD_FILE).write_text("{"), "cannot be read"),
        (edit_card(format="autoweak-coarse-model/1"), "is not the description"),
        (edit_card(options={"pool": 4}), "does not fit its own description"),
        (edit_card(options={"pool": 0}), "does not fit its own description"),
        (edit_card(options={"width": 10**12}), "does not fit its own description"),
        (edit_card(options={"os": "system"}), "does not fit its own description"),
        (edit_card(label_names=["a", "b"]), "does not fit its own description"),
        (edit_card(seed_of_doubt=1), "does not fit its own description"),
    ],
)
def test_a_damaged_model_is_refused(
    learned: LearnedModel, tmp_path: Path, damage: Callable[[Path], None], told: str
) -> None:
    learned.save(tmp_path / "v1")
    damage(tmp_path / "v1")

    with pytest.raises(CheckpointError, match=told):
        LearnedModel.load(tmp_path / "v1")
