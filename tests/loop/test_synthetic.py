"""Synthetic images in the loop: weak labels of their own, counted apart, never gold, never behind held-out gold."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from autoweak.loop.coarse import train_coarse
from autoweak.loop.context import Context
from autoweak.loop.gold import read_gold
from autoweak.loop.label import Labeller
from autoweak.loop.reporting import report_run
from autoweak.loop.retrain import cross_fitted
from autoweak.loop.run import run, summarise
from autoweak.synthesis.marks import Mark, Register, write_marked
from autoweak.tasks import Task
from autoweak.weak_labels import read_sidecar
from tests.loop.conftest import draw_disc

GENERATOR = "9" * 64


def _add(studies: Path, *numbers: int, learned: dict[str, str] | None = None) -> list[str]:
    """Put synthetic discs beside the studies and into the register; return their ids."""
    marks = [Mark(GENERATOR, 0, number, "ddim", 50) for number in numbers]
    images = {}
    for mark in marks:
        path = studies / "synthetic" / f"{mark.image_id}.png"
        write_marked(path, draw_disc(100 + mark.number)[0][..., None], mark)
        images[hashlib.sha256(path.read_bytes()).hexdigest()] = mark
    (studies / ".autoweak").mkdir(exist_ok=True)
    Register(images, {} if learned is None else {GENERATOR: learned}).write(studies / ".autoweak")
    return [mark.image_id for mark in marks]


@pytest.mark.usefixtures("ellipses")
def test_synthetic_images_get_weak_labels_and_are_counted_apart(studies: Path, task: Task) -> None:
    ids = _add(studies, 1, 2, 3, learned={})
    result = run(Context.open(studies, task))
    assert [sidecar.inputs.image.id for sidecar in result.labelled.synthetic] == ids
    assert [sidecar.inputs.image.id for sidecar in result.labelled.sidecars] == [f"disc{n}" for n in range(6, 10)]
    for image_id in ids:
        assert read_sidecar(studies / "synthetic" / "labels" / "original" / f"{image_id}.json").inputs.image.synthetic
        assert not (studies / "labels" / "original" / f"{image_id}.json").exists()
    patients = studies / "labels" / "original" / "disc7.json"
    # Said only where it is so: a sidecar from before there were synthetic images reads the same.
    assert "synthetic" not in patients.read_text()
    assert not read_sidecar(patients).inputs.image.synthetic
    summary = summarise(result)
    assert (summary["unlabelled"], summary["synthetic"]["images"]) == (4, 3)
    assert sum(summary["weak_labels"].values()) == 4
    assert sum(summary["synthetic"]["weak_labels"].values()) == 3
    assert result.context.studies.gold == tuple(item.study for item in result.gold)
    assert "3 synthetic images" in report_run(result, summary).read_text()
    if result.retrained is not None:
        record = result.context.workspace.record(result.retrained)
        assert (record["weak"] <= 4, record["synthetic"] <= 3) == (True, True)


@pytest.mark.usefixtures("ellipses")
def test_a_second_run_keeps_the_weak_labels_of_synthetic_images(studies: Path, task: Task) -> None:
    _add(studies, 1, 2, learned={})
    first = run(Context.open(studies, task))
    second = run(Context.open(studies, task))
    assert second.labelled.synthetic == first.labelled.synthetic
    assert second.labelled.kept == 6


def test_a_persons_label_of_a_synthetic_image_is_kept_and_never_gold(studies: Path, task: Task) -> None:
    inside, brought = _add(studies, 1, 2, learned={})
    label = studies / "labels" / "final" / "disc0.png"
    own = studies / "synthetic" / "labels" / "final" / f"{inside}.png"
    own.parent.mkdir(parents=True)
    own.write_bytes(label.read_bytes())
    # Brought among the images of patients, under a name that says nothing.
    (studies / "synthetic" / f"{brought}.png").rename(studies / "scan.png")
    (studies / "labels" / "final" / "scan.png").write_bytes(label.read_bytes())
    context = Context.open(studies, task)
    gold = read_gold(context)
    assert [item.study.image_id for item in gold] == [f"disc{n}" for n in range(6)]
    assert all(study.gold is None for study in context.unlabelled)
    said = [note for note in context.notes if "not counted as gold" in note]
    assert len(said) == 2
    assert own.is_file()


def test_the_register_knows_a_synthetic_image_that_lost_name_and_mark(studies: Path, task: Task) -> None:
    _add(studies, 1, learned={})
    from PIL import Image

    drawn = next((studies / "synthetic").glob("*.png"))
    mark = Mark(GENERATOR, 0, 1, "ddim", 50)
    Image.open(drawn).save(studies / "disc0.png")  # without its text
    sha256 = hashlib.sha256((studies / "disc0.png").read_bytes()).hexdigest()
    Register({sha256: mark}, {}).write(studies / ".autoweak")
    context = Context.open(studies, task)
    assert "disc0" not in [item.study.image_id for item in read_gold(context)]


def test_an_id_that_a_patients_image_has_is_left_aside(studies: Path, task: Task) -> None:
    _add(studies, 1, learned={})
    (studies / "synthetic" / "disc7.png").write_bytes((studies / "disc7.png").read_bytes())
    context = Context.open(studies, task)
    assert [study.image_id for study in context.unlabelled].count("disc7") == 1
    assert any("has the id of a patient's" in note for note in context.notes)


def _folds_of(studies: Path, task: Task, image_id: str) -> tuple[set[int], int, list[str]]:
    """Which folds may train on an image's weak label, how many folds there are, and the notes."""
    context = Context.open(studies, task)
    gold = read_gold(context)
    labeller = Labeller.load(context, train_coarse(context, gold))
    extra = cross_fitted(context, gold, labeller, folder=studies / ".autoweak" / "try")
    found = {member for member, samples in extra.items() if image_id in {sample.image_id for sample in samples}}
    return found, len(labeller.coarse.members), context.notes


@pytest.fixture
def always_found(monkeypatch: pytest.MonkeyPatch, ellipses: object) -> None:
    """Every image gets a weak label of full weight, so that only the rules keep one out."""
    from autoweak.loop import retrain
    from autoweak.training import Sample

    def samples(context: Context, labeller: object, study: object, *, members: list[int], **_: object) -> object:
        read = context.read(study)  # type: ignore[arg-type]
        assert read is not None
        mask = np.zeros(read[1].shape[:3], np.uint8)
        return [(member, Sample(read[0].image_id, read[1], mask)) for member in members]

    monkeypatch.setattr(retrain, "_samples", samples)


@pytest.mark.usefixtures("always_found")
def test_what_was_drawn_after_held_out_gold_is_not_trained_on(studies: Path, task: Task) -> None:
    gold = {hashlib.sha256((studies / "disc2.png").read_bytes()).hexdigest(): "disc2"}
    (image_id,) = _add(studies, 1, learned={})
    free, count, _ = _folds_of(studies, task, image_id)
    assert free == set(range(count))
    _add(studies, 1, learned=gold)
    bound, _, _ = _folds_of(studies, task, image_id)
    assert len(bound) == count - 1  # all but the fold that holds disc2 out


@pytest.mark.usefixtures("always_found")
def test_what_was_drawn_after_a_patient_of_held_out_gold_is_not_trained_on(studies: Path, task: Task) -> None:
    (studies / "patients.csv").write_text("image_id,patient\ndisc2,ann\ndisc8,ann\ndisc3,bob\n")
    seen = {hashlib.sha256((studies / "disc8.png").read_bytes()).hexdigest(): "disc8"}
    (image_id,) = _add(studies, 1, learned=seen)
    bound, count, _ = _folds_of(studies, task, image_id)
    assert len(bound) == count - 1


@pytest.mark.usefixtures("always_found")
def test_of_an_unknown_generator_a_note_is_made(studies: Path, task: Task) -> None:
    (image_id,) = _add(studies, 1)
    found, count, notes = _folds_of(studies, task, image_id)
    assert found == set(range(count))
    assert any("what its generator learned from is not known" in note for note in notes)
