from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autoweak.errors import CheckpointError, ImageError, StudiesError
from autoweak.tasks import CoarseNetwork, Task
from autoweak.training.cross_validation import cross_validate
from autoweak.training.model import TrainedModel
from autoweak.training.recipe import Recipe
from autoweak.training.sample import Sample
from autoweak.training.stored_model import CARD_FILE, WEIGHTS_FILE

Draw = Callable[..., Sample]


@pytest.fixture
def model(gold: list[Sample], task: Task, recipe: Recipe) -> TrainedModel:
    short = task.model_copy(update={"coarse": task.coarse.model_copy(update={"epochs": 1})})
    return cross_validate(gold, task=short, seed=1, recipe=recipe)


def test_saved_and_loaded_predicts_the_same(model: TrainedModel, tmp_path: Path, draw: Draw) -> None:
    view = draw(9).view
    model.save(tmp_path / "v1")

    loaded = TrainedModel.load(tmp_path / "v1")

    assert loaded.card == model.card
    assert loaded.sha256 == model.sha256
    assert np.array_equal(loaded.predict(view), model.predict(view))
    assert sorted(path.name for path in (tmp_path / "v1").iterdir()) == [CARD_FILE, WEIGHTS_FILE]


def test_a_model_of_another_network_is_saved_with_its_definition_and_loaded(
    gold: list[Sample], task: Task, recipe: Recipe, tmp_path: Path, draw: Draw
) -> None:
    coarse = task.coarse.model_copy(update={"epochs": 1, "network": CoarseNetwork.UNETPLUSPLUS})
    nested = task.model_copy(update={"coarse": coarse})
    model = cross_validate(gold, task=nested, seed=1, recipe=recipe)
    model.save(tmp_path / "v1")

    loaded = TrainedModel.load(tmp_path / "v1")

    assert loaded.card.definition["_target_"].endswith("UNetPlusPlus")
    assert np.array_equal(loaded.predict(draw(9).view), model.predict(draw(9).view))


def test_saving_again_replaces_and_leaves_nothing_else(model: TrainedModel, tmp_path: Path) -> None:
    (tmp_path / ".unfinished-v1-killed").mkdir()

    model.save(tmp_path / "v1")
    model.save(tmp_path / "v1")

    assert [path.name for path in tmp_path.iterdir()] == ["v1"]


def test_maps_have_the_images_own_size_and_are_probabilities(model: TrainedModel, draw: Draw) -> None:
    view = draw(3, slices=20).view[:, :33, :47]

    coarse = model.predict(view)

    assert coarse.shape == (20, 1, 33, 47)
    assert coarse.dtype == np.float32
    assert 0 <= coarse.min() <= coarse.max() <= 1
    np.testing.assert_allclose(coarse[17:18], model.predict(view[17:18]), atol=1e-5)


def test_a_mirrored_image_gives_the_mirrored_map(model: TrainedModel, draw: Draw) -> None:
    view = draw(3).view

    np.testing.assert_allclose(model.predict(view[:, :, ::-1])[..., ::-1], model.predict(view), atol=1e-4)


def test_out_of_fold_is_the_member_that_never_saw_the_image(model: TrainedModel, draw: Draw) -> None:
    view = draw(9).view
    members = [model.predict_out_of_fold(fold[0], view) for fold in model.card.folds]

    assert not np.array_equal(members[0], members[1])
    np.testing.assert_allclose(np.mean(members, axis=0), model.predict(view), atol=1e-5)


def test_an_image_that_was_not_gold_has_no_fold(model: TrainedModel, draw: Draw) -> None:
    with pytest.raises(StudiesError, match="was not among this model's gold"):
        model.predict_out_of_fold("stranger", draw(9).view)


def test_a_view_of_the_wrong_kind_is_refused(model: TrainedModel, draw: Draw) -> None:
    with pytest.raises(ImageError, match="needs an 8-bit view"):
        model.predict(draw(9, channels=3).view)


def change_weights(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS_FILE).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(content)


def edit_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, **changes}))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (change_weights, "changed or damaged"),
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), "cannot be read"),
        (lambda folder: (folder / CARD_FILE).unlink(), "There is no model"),
        (lambda folder: (folder / CARD_FILE).write_text("{"), "cannot be read"),
        (lambda folder: edit_card(folder, format="other/1"), "is not the description"),
        (lambda folder: edit_card(folder, definition={"_target_": "os.system"}), "may only name a network"),
        (lambda folder: edit_card(folder, folds=[["a"], ["b"], ["c"]]), "does not fit its own description"),
        (lambda folder: edit_card(folder, seed_of_doubt=1), "does not fit its own description"),
    ],
)
def test_a_damaged_model_is_refused(model: TrainedModel, tmp_path: Path, damage, told: str) -> None:
    model.save(tmp_path / "v1")
    damage(tmp_path / "v1")

    with pytest.raises(CheckpointError, match=told):
        TrainedModel.load(tmp_path / "v1")
