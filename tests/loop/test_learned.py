"""Learned prompts in the loop: from gold and boxes to a model version and masks, on tiny studies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from autoweak.cli import main
from autoweak.errors import CheckpointError, StudiesError, WorkspaceError
from autoweak.loop import learned as room
from autoweak.loop.boxed import boxes_of_labels, chosen_slices, read_boxed
from autoweak.loop.context import Context
from autoweak.loop.learned import Learner, load_predictor, train_learned
from autoweak.loop.predict import predict
from autoweak.promptable import Promptable
from autoweak.promptable.model import build_small
from autoweak.promptable.registry import SMALL_CONTRACT
from autoweak.studies.boxes import PixelBox
from autoweak.tasks import Task
from autoweak.training.prompt_recipe import BoxTerms, PromptRecipe
from autoweak.workspace import ModelChoice, ModelKind, ModelVersion

RECIPE = PromptRecipe(epochs=2, modules={"num_points": 1, "centre_channels": 8, "pool": 16}, terms=BoxTerms(side=64))
HEAD = "image_id,label,x0,y0,x1,y1\n"


def train(studies: Path, task: Task, **options: object) -> tuple[Context, ModelVersion]:
    context = Context.open(studies, task, device="cpu", **options)
    with context.workspace.lock():
        return context, train_learned(Learner.load(context, RECIPE))


def test_a_training_is_kept_found_again_and_never_published(studies: Path, task: Task) -> None:
    before = {path: path.read_bytes() for path in studies.rglob("*") if path.is_file()}

    context, version = train(studies, task)

    record = context.workspace.record(version)
    assert version.name == "learned/v001"
    assert sorted(record["cv_dice"]) == [f"disc{number}" for number in range(6)]
    assert 0 <= record["mean_cv_dice"] <= 1
    assert (record["gold"], record["boxed"]) == (6, 0)
    assert context.workspace.published() is None
    assert train(studies, task)[1] == version
    assert train(studies, task, seed=1)[1].name == "learned/v002"
    assert all(path.read_bytes() == content for path, content in before.items())
    assert not list(context.workspace.root.glob("runs/*"))


def test_a_killed_training_goes_on_to_the_same_weights(
    studies: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, undisturbed = train(studies, task)
    expected = context.workspace.record(undisturbed)["sha256"]
    (undisturbed.folder / "record.json").unlink()  # as if it had not been there

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(room, "_score", killed)
        with pytest.raises(KeyboardInterrupt):
            train(studies, task)
    assert context.workspace.versions(ModelKind.LEARNED) == ()
    assert list(context.workspace.root.glob("runs/*/fold-0.pt"))

    context, resumed = train(studies, task)

    assert context.workspace.record(resumed)["sha256"] == expected


def test_boxes_alone_train_too_and_masks_beyond_their_boxes_do_not(studies: Path, task: Task) -> None:
    context, version = train(studies, task)
    first = context.workspace.record(version)
    for number in range(6):
        path = studies / "labels" / "final" / f"disc{number}.png"
        mask = np.array(Image.open(path))
        rows, columns = np.nonzero(mask)
        mask[(rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2] = 0  # a hole changes no box
        Image.fromarray(mask).save(path)
    context, same = train(studies, task)
    assert context.workspace.record(same)["sha256"] == first["sha256"]

    (studies / "boxes.csv").write_text(HEAD + "disc7,disc,10,12,30,33\n")
    context, more = train(studies, task)

    record = context.workspace.record(more)
    assert (record["gold"], record["boxed"]) == (6, 1)
    assert record["sha256"] != first["sha256"]
    assert sorted(record["cv_dice"]) == [f"disc{number}" for number in range(6)]


def test_without_gold_nothing_is_measured_and_a_note_says_so(studies: Path, task: Task) -> None:
    for path in (studies / "labels" / "final").iterdir():
        path.unlink()
    (studies / "boxes.csv").write_text(HEAD + "".join(f"disc{number},disc,10,12,30,33\n" for number in range(4)))

    context, version = train(studies, task)

    assert context.workspace.record(version)["mean_cv_dice"] is None
    assert any("how good the learned prompts are is not known" in note for note in context.notes)


def test_too_few_images_is_one_sentence(studies: Path, task: Task) -> None:
    for number in range(3):
        (studies / "labels" / "final" / f"disc{number}.png").unlink()

    with pytest.raises(StudiesError, match=r"has 3 images with a readable gold label or with boxes in boxes\.csv"):
        train(studies, task)


def test_a_box_outside_its_image_is_one_sentence(studies: Path, task: Task) -> None:
    (studies / "boxes.csv").write_text(HEAD + "disc7,disc,10,12,30,48\n")

    with pytest.raises(StudiesError, match="a box of disc7 to column 30, row 48"):
        train(studies, task)


def test_boxes_given_for_a_gold_image_take_the_place_of_its_own(studies: Path, task: Task) -> None:
    (studies / "boxes.csv").write_text(HEAD + "disc2,disc,1,2,3,4\ndisc2,disc,10,12,30,33\n")

    by_id = {item.image_id: item for item in read_boxed(Context.open(studies, task))}

    assert by_id["disc2"].slices == {0: ((PixelBox(1, 2, 3, 4), PixelBox(10, 12, 30, 33)),)}
    assert by_id["disc2"].gold is not None
    assert len(by_id) == 6


def test_of_several_labels_only_those_with_a_row_are_known(studies: Path, task: Task) -> None:
    two = task.model_copy(update={"labels": {"disc": 1, "ring": 2}})
    for path in (studies / "labels" / "final").iterdir():
        Image.fromarray(np.array(Image.open(path)) // 255).save(path)
    (studies / "boxes.csv").write_text(HEAD + "disc7,ring,1,2,3,4\n")

    by_id = {item.image_id: item for item in read_boxed(Context.open(studies, two))}

    assert by_id["disc7"].slices == {0: (None, (PixelBox(1, 2, 3, 4),))}
    assert by_id["disc1"].slices[0][1] == ()


def test_a_label_of_several_pieces_has_a_box_for_each(task: Task) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[2:18, 2:12] = mask[3:17, 18:28] = 1

    assert boxes_of_labels(mask, task) == ((PixelBox(2, 2, 27, 17),),)
    assert len(boxes_of_labels(mask, task.model_copy(update={"components": 2}))[0] or ()) == 2


def test_of_volumes_slices_are_chosen_evenly() -> None:
    mask = np.zeros((100, 4, 4), np.uint8)
    mask[10:90] = 1

    chosen = chosen_slices(mask)

    assert len(chosen) == 20
    assert {0, 10, 89, 99} <= set(chosen)
    assert chosen_slices(mask[8:20]) == list(range(12))


def test_masks_are_predicted_without_prompts_and_other_weights_are_refused(
    studies: Path, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, version = train(studies, task)
    encoded = len(list(context.workspace.embeddings.iterdir()))
    (tmp_path / "one").mkdir()
    Image.fromarray(np.full((31, 57), 90, np.uint8)).save(tmp_path / "one" / "other.png")

    for images, out in ((studies, "masks"), (tmp_path / "one", "other")):
        predict(images, tmp_path / out, workspace=context.workspace, task=task, choice=ModelChoice.LEARNED)

    assert len(list((tmp_path / "masks").glob("*.png"))) == 10
    assert Image.open(tmp_path / "other" / "other.png").size == (57, 31)
    assert encoded == 6
    assert len(list(context.workspace.embeddings.iterdir())) == 11  # each image once
    strange = Promptable(build_small(), name="small", sha256="f" * 64, contract=SMALL_CONTRACT, device="cpu")
    monkeypatch.setattr("autoweak.promptable.load_promptable", lambda *_, **__: strange)
    with pytest.raises(CheckpointError, match="learned for small with weights"):
        load_predictor(version, context.workspace)


def test_without_training_the_sentence_says_how(studies: Path, task: Task, tmp_path: Path) -> None:
    context = Context.open(studies, task)
    with context.workspace.lock():
        context.remember_task()

    with pytest.raises(WorkspaceError, match=r"no learned model .* `autoweak train .* --task toy --model learned`"):
        predict(studies, tmp_path / "out", workspace=context.workspace, task=task, choice=ModelChoice.LEARNED)


def test_the_command_line_trains_shows_and_predicts(
    studies: Path, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(task.model_dump(mode="json", exclude_none=True)))
    load = Learner.load
    monkeypatch.setattr(Learner, "load", classmethod(lambda cls, context: load(context, replace(RECIPE, epochs=1))))

    named = ["--task", str(tmp_path / "toy.yaml")]
    assert main(["train", str(studies), *named, "--model", "learned", "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert main(["status", str(studies), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    out = tmp_path / "out"
    assert main(["predict", str(studies), "--model", "learned", "--out", str(out), "--json"]) == 0
    predicted = json.loads(capsys.readouterr().out)

    assert trained["model"] == predicted["model"] == "learned/v001"
    assert status["models"][0]["mean_cv_dice"] == trained["held_out_gold_dice"]
    assert status["final"] is None
    assert len(predicted["written"]) == 10
