"""A patient who is learned from is neither evaluated on nor labelled weakly, whatever says who he is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoweak.errors import ExperimentError
from autoweak.experiments.material import Draw, Known, Material
from autoweak.experiments.run import Numbered, bench_of
from autoweak.progress import NoProgress
from autoweak.studies import Study
from autoweak.studies.patients import Patients
from autoweak.tasks import Task
from tests.experiments.test_run_experiment import plan_of

pytestmark = pytest.mark.usefixtures("obedient")
HEAD = "image_id,patient\n"


def _evaluated(data: Path, task: Task) -> list[str]:
    return [known.image_id for known in plan_of(data, task).material.evaluation]


def test_an_evaluation_image_of_a_patient_of_the_studies_is_left_out(data: Path, task: Task) -> None:
    (data / "studies" / "patients.csv").write_text(HEAD + "disc1,anna\ndisc2,bert\ndisc21,anna\ndisc22,carl\n")
    plan = plan_of(data, task)
    assert [known.image_id for known in plan.material.evaluation] == ["disc20", "disc22"]
    assert "disc21 is of a patient of the studies and is not evaluated on." in plan.context.notes


def test_evaluation_images_have_a_table_of_their_own(data: Path, task: Task) -> None:
    (data / "studies" / "patients.csv").write_text(HEAD + "disc1,anna\n")
    (data / "images" / "patients.csv").write_text(HEAD + "disc20,anna\ndisc21,dora\n")
    assert _evaluated(data, task) == ["disc21", "disc22"]


def test_a_row_of_an_image_of_the_studies_says_nothing_of_another_image_with_its_name(data: Path, task: Task) -> None:
    (data / "studies" / "patients.csv").write_text(HEAD + "".join(f"disc{n},p{n}\n" for n in range(10)))
    shutil.move(data / "images" / "disc20.png", data / "images" / "disc3.png")
    shutil.move(data / "labels" / "disc20.png", data / "labels" / "disc3.png")
    assert _evaluated(data, task) == ["disc21", "disc22", "disc3"]


def test_patients_that_change_make_other_cells(data: Path, task: Task) -> None:
    def keys() -> tuple[str, str]:
        plan = plan_of(data, task)
        bench = bench_of(plan, plan.cells()[-1], Numbered(NoProgress(), 1, 1))
        return bench.key, bench.label_key

    before = keys()
    gold = [known.image_id for known in plan_of(data, task).material.gold]
    (data / "studies" / "patients.csv").write_text(HEAD + f"{gold[0]},anna\n{gold[1]},bert\n")
    after = keys()
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_nothing_left_to_evaluate_on_is_one_sentence(data: Path, task: Task) -> None:
    (data / "studies" / "patients.csv").write_text(HEAD + "disc1,a\n" + "".join(f"disc{n},a\n" for n in (20, 21, 22)))
    with pytest.raises(ExperimentError, match="neither be in the studies nor of a patient who is"):
        plan_of(data, task)


def test_a_table_with_other_columns_is_refused(data: Path, task: Task) -> None:
    (data / "images" / "patients.csv").write_text("id;who\n")
    with pytest.raises(Exception, match="needs the columns image_id and patient"):
        plan_of(data, task)


def _material(patients: dict[str, str], gold: int, unlabelled: int) -> Material:
    known = [Known(Study(f"i{n}", Path(f"i{n}.png")), f"hash{n}", "truth") for n in range(gold + unlabelled)]
    return Material(tuple(known[:gold]), tuple(known[gold:]), (), patients)


@given(
    owners=st.lists(st.sampled_from("abcdefgh"), min_size=16, max_size=16),
    gold=st.integers(0, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_patient_is_both_gold_and_unlabelled(owners: list[str], gold: int, seed: int) -> None:
    patients = {f"i{n}": owner for n, owner in enumerate(owners)}
    material = _material(patients, 8, 8)

    def of(images: tuple[Known, ...]) -> set[str]:
        return {patients[one.image_id] for one in images}

    chosen = of(material.draw(gold=gold, weak=0, seed=seed, truth=False).gold)
    free = sum(owner not in chosen for owner in owners)
    draw = material.draw(gold=gold, weak=free, seed=seed, truth=False)
    assert not of(draw.gold) & of(draw.pool)
    fewer = material.draw(gold=gold, weak=free // 2, seed=seed, truth=False)
    assert set(fewer.pool) <= set(draw.pool)
    with pytest.raises(ExperimentError, match="images of other patients"):
        material.draw(gold=gold, weak=free + 1, seed=seed, truth=False)


def test_a_copy_of_a_gold_image_is_not_labelled_weakly() -> None:
    material = _material({}, 2, 2)
    copy = Known(Study("copy", Path("copy.png")), "hash0")
    drawn: Draw = Material(material.gold, (*material.unlabelled, copy), ()).draw(gold=2, weak=2, seed=0, truth=False)
    assert [one.image_id for one in drawn.pool] == ["i2", "i3"]


def test_tables_win_over_headers_and_one_made_up_patient_is_none() -> None:
    inner = Patients({"a": "anna", "b": "bert"}, {"a": "anon", "b": "anon", "c": "real"})
    outer = Patients({"x": "anna", "y": "dora"}, {"x": "anon", "y": "anon", "z": "anon", "w": "real", "y2": "other"})
    assert outer.share("x", inner)
    assert not outer.share("y", inner)  # the headers agree, and the tables say that they are wrong
    assert outer.share("z", inner)
    assert outer.share("w", inner)
    assert not outer.share("y2", inner)
    assert Patients({}, {"a": "anon", "b": "anon"}).groups() == {}
    assert len(set(inner.groups().values())) == 3
