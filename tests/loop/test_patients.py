"""Images of one patient are never split between training and held-out gold."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autoweak.errors import StudiesError
from autoweak.loop.coarse import gold_folds, known_patients
from autoweak.loop.context import Context
from autoweak.loop.gold import read_gold
from autoweak.loop.label import Labeller
from autoweak.loop.retrain import cross_fitted
from autoweak.loop.run import run
from autoweak.studies.patients import Patients, read_patients
from autoweak.tasks import Task

_TABLE = "image_id,patient\ndisc0,anna\ndisc1,anna\ndisc2,bert\ndisc3,bert\ndisc7,anna\n"


def test_folds_keep_patients_together(studies: Path, task: Task) -> None:
    (studies / "patients.csv").write_text(_TABLE)
    for seed in range(5):
        context = Context.open(studies, task, seed=seed)
        for fold in gold_folds(context, read_gold(context)):
            assert ("disc0" in fold) == ("disc1" in fold)
            assert ("disc2" in fold) == ("disc3" in fold)


@pytest.mark.usefixtures("ellipses")
def test_weak_label_of_a_held_out_patient_is_not_learned_from(studies: Path, task: Task) -> None:
    (studies / "patients.csv").write_text(_TABLE)
    context = Context.open(studies, task)
    result = run(context)
    labeller = Labeller.load(context, result.coarse)
    extra = cross_fitted(context, read_gold(context), labeller, folder=studies.parent / "weak")
    for number, fold in enumerate(labeller.coarse.card.folds):
        if "disc0" in fold:
            assert all(sample.image_id != "disc7" for sample in extra[number])


def test_gold_of_one_patient_is_split_all_the_same_and_said(studies: Path, task: Task) -> None:
    (studies / "patients.csv").write_text("image_id,patient\n" + "".join(f"disc{n},anon\n" for n in range(10)))
    context = Context.open(studies, task)
    assert len(gold_folds(context, read_gold(context))) == 2
    assert any("All gold images are of one patient" in note for note in context.notes)


def test_fewer_patients_than_folds_give_fewer_folds(studies: Path, task: Task) -> None:
    rows = "".join(f"disc{n},{'anna' if n < 3 else 'bert'}\n" for n in range(10))
    (studies / "patients.csv").write_text("image_id,patient\n" + rows)
    five = task.model_copy(update={"coarse": task.coarse.model_copy(update={"folds": 5})})
    context = Context.open(studies, five)
    assert set(gold_folds(context, read_gold(context))) == {("disc0", "disc1", "disc2"), ("disc3", "disc4", "disc5")}


def test_table_with_other_columns_is_refused(studies: Path) -> None:
    (studies / "patients.csv").write_text("name;id\na;b\n")
    with pytest.raises(StudiesError, match="needs the columns image_id and patient"):
        read_patients(studies)


@pytest.mark.parametrize(
    "content", ["image_id,patient\ndisc0,M\xfcller\n".encode("latin-1"), b"image_id,patient\n\xff\xfe"]
)
def test_table_that_is_not_utf8_is_one_sentence(studies: Path, content: bytes) -> None:
    (studies / "patients.csv").write_bytes(content)
    with pytest.raises(StudiesError, match="save it as CSV UTF-8"):
        read_patients(studies)


def test_rows_are_taken_without_blanks_and_those_of_no_image_are_told(studies: Path, task: Task) -> None:
    (studies / "patients.csv").write_text("image_id,patient\ndisc0,anna \n disc1, anna\ndisc2.png,bert\n")
    assert read_patients(studies) == {"disc0": "anna", "disc1": "anna", "disc2.png": "bert"}
    context = Context.open(studies, task)
    known_patients(context, read_gold(context))
    assert any("'disc2.png'" in note for note in context.notes)


def test_copies_of_a_gold_image_are_held_out_together(studies: Path, task: Task) -> None:
    for folder in (studies, studies / "labels" / "final"):
        shutil.copy(folder / "disc0.png", folder / "again.png")
    for seed in range(5):
        context = Context.open(studies, task, seed=seed)
        for fold in gold_folds(context, read_gold(context)):
            assert ("disc0" in fold) == ("again" in fold)


def test_an_image_without_a_row_is_of_the_patient_told_of_one_with_its_header() -> None:
    patients = Patients({"a": "anna", "d": "dora"}, {"a": "h1", "b": "h1", "c": "h2"}).joined()
    assert patients["a"] == patients["b"]
    assert len(set(patients.values())) == 3
