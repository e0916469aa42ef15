"""Evaluation: every arm on the same images, gold out of fold, nothing leaked."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoweak.atomic import write_json
from autoweak.errors import StudiesError
from autoweak.loop import evaluate as evaluate_module
from autoweak.loop.context import Context
from autoweak.loop.evaluate import GOLD_AND_WEAK, GOLD_ONLY, WEAK, Case, evaluate
from autoweak.loop.reporting import picture_of, report_evaluation, report_run
from autoweak.loop.run import run, summarise
from autoweak.tasks import Task
from autoweak.workspace import ModelKind, ModelVersion
from tests.loop.conftest import draw_disc


@pytest.fixture
def validation(tmp_path: Path, studies: Path) -> tuple[Path, Path]:
    """Three discs with truth, one of them a copy of a gold image under another name."""
    images, labels = tmp_path / "images", tmp_path / "truth"
    images.mkdir()
    labels.mkdir()
    for index in (20, 21):
        image, mask = draw_disc(index)
        Image.fromarray(image).save(images / f"new{index}.png")
        Image.fromarray(mask).save(labels / f"new{index}.png")
    shutil.copy(studies / "disc0.png", images / "copy.png")
    shutil.copy(studies / "labels" / "final" / "disc0.png", labels / "copy.png")
    return images, labels


@pytest.mark.usefixtures("ellipses")
def test_arms_are_scored_on_images_the_training_never_saw(
    studies: Path, task: Task, validation: tuple[Path, Path], tmp_path: Path
) -> None:
    result = run(Context.open(studies, task))
    report = report_run(result, summarise(result))
    assert report.is_file()
    context = Context.open(studies, task)
    cases: list[Case] = []
    evaluation = evaluate(context, images=validation[0], labels=validation[1], on_case=cases.append)
    assert {score.image_id for score in evaluation.arms[GOLD_ONLY]} == {"new20", "new21"}
    assert any("copy is the image disc0 of the studies" in note for note in context.notes)
    assert (GOLD_AND_WEAK in evaluation.arms) == (result.retrained is not None)
    for case in cases:
        assert np.array_equal(case.truth[0], draw_disc(int(case.study.image_id[3:]))[1])
        assert evaluation.dice(WEAK)[case.study.image_id] == case.scores[WEAK].dice
    page = report_evaluation(context, evaluation, [picture_of(case) for case in cases], folder=tmp_path / "report")
    assert "new20" in page.read_text()


@pytest.mark.usefixtures("ellipses")
def test_images_that_weak_labels_were_made_of_and_their_patients_are_left_out(
    studies: Path, task: Task, validation: tuple[Path, Path]
) -> None:
    run(Context.open(studies, task))
    images, labels = validation
    shutil.copy(studies / "disc8.png", images / "seen.png")
    shutil.copy(labels / "new20.png", labels / "seen.png")
    (studies / "patients.csv").write_text("image_id,patient\ndisc9,anna\n")
    (images / "patients.csv").write_text("image_id,patient\nnew21,anna\n")
    context = Context.open(studies, task)
    evaluation = evaluate(context, images=images, labels=labels)
    assert {score.image_id for score in evaluation.arms[GOLD_ONLY]} == {"new20"}
    assert "seen is the image disc8 of the studies and is left out." in context.notes
    assert "new21 is of a patient of the studies and is left out." in context.notes
    assert "Nothing was learned from these images" in evaluation.honesty


@pytest.mark.usefixtures("ellipses")
def test_without_images_gold_is_judged_out_of_fold(studies: Path, task: Task) -> None:
    result = run(Context.open(studies, task))
    evaluation = evaluate(Context.open(studies, task))
    assert evaluation.dice(GOLD_ONLY) == pytest.approx(result.context.workspace.record(result.coarse)["cv_dice"])
    assert len(evaluation.table().splitlines()) == 2 + len(evaluation.arms)
    assert "what is said of quality is too good" in evaluation.honesty


@pytest.mark.usefixtures("ellipses")
def test_wrong_requests_are_one_sentence(studies: Path, task: Task, validation: tuple[Path, Path]) -> None:
    run(Context.open(studies, task))
    with pytest.raises(StudiesError, match="go together"):
        evaluate(Context.open(studies, task), images=validation[0])
    with pytest.raises(StudiesError, match="name them alike"):
        evaluate(Context.open(studies, task), images=validation[0], labels=studies / "labels" / "final")


@pytest.mark.usefixtures("ellipses")
def test_the_retrained_model_is_the_one_in_use(studies: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another policy's retrained model may be better on held-out gold; it is not what labels."""
    monkeypatch.setattr(evaluate_module, "load_model", lambda version: version.name)
    context = Context.open(studies, task)
    context.remember_task()

    def version(kind: ModelKind, dice: float) -> ModelVersion:
        made = context.workspace.new_version(kind)
        write_json(made.folder / "model.json", {})
        context.workspace.write_record(made, {"mean_cv_dice": dice, "root": "coarse/v001"})
        return made

    coarse, used, better = (
        version(kind, dice)
        for kind, dice in ((ModelKind.COARSE, 0.5), (ModelKind.RETRAINED, 0.6), (ModelKind.RETRAINED, 0.7))
    )
    assert evaluate_module._retrained(context, coarse) == (better, better.name)
    context.workspace.publish(used, reason="asked for")
    assert evaluate_module._retrained(context, coarse) == (used, used.name)


def test_images_without_an_object_are_counted_apart(
    studies: Path, task: Task, validation: tuple[Path, Path], tmp_path: Path
) -> None:
    run(Context.open(studies, task))
    images, labels = validation
    noise = np.random.default_rng(0).integers(0, 60, (48, 48)).astype(np.uint8)
    Image.fromarray(noise).save(images / "nothing.png")
    Image.fromarray(np.zeros_like(noise)).save(labels / "nothing.png")

    evaluation = evaluate(Context.open(studies, task), images=images, labels=labels)

    trust = evaluation.trust()
    assert (trust.count, trust.empty) == (2, 1)
    aside = evaluation.verdicts["nothing"] in ("reject", "nothing found")
    assert trust.set_aside == int(aside)
    assert set(evaluation.dice_of_objects(WEAK)) == {"new20", "new21"}
    assert "Of 1 images without an object" in evaluation.trust_text()
    assert evaluation.to_dict()["without_object"] == ["nothing"]
