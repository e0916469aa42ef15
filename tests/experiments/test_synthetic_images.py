"""Synthetic images in experiments: marked ones alone get weak labels, are counted apart, and never judge anything."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from autoweak.errors import ExperimentError
from autoweak.experiments.results import rows_of
from autoweak.experiments.tables import weak_table
from autoweak.synthesis.marks import Mark, Register, write_marked
from autoweak.tasks import Task
from tests.experiments.test_run_experiment import KEPT, plan_of, run_of
from tests.loop.conftest import draw_disc

pytestmark = pytest.mark.usefixtures("obedient")
GENERATOR = "9" * 64


def _add(data: Path, count: int, *, learned: dict[str, str] | None = None) -> None:
    """Marked discs in the studies' synthetic folder, and one that anybody may have put there."""
    images = {}
    for number in range(1, count + 1):
        mark = Mark(GENERATOR, 0, number, "ddim", 50)
        path = data / "studies" / "synthetic" / f"{mark.image_id}.png"
        write_marked(path, draw_disc(100 + number)[0][..., None], mark)
        images[hashlib.sha256(path.read_bytes()).hexdigest()] = mark
    Image.fromarray(draw_disc(200)[0]).save(data / "studies" / "synthetic" / "found.png")
    (data / "studies" / ".autoweak").mkdir(exist_ok=True)
    Register(images, {GENERATOR: learned or {}}).write(data / "studies" / ".autoweak")


def _arm(count: int, **options: Any) -> dict[str, Any]:
    return {"arm": "s1_box", "title": f"with {count}", "synthetic": count, **options}


def test_they_are_weakly_labelled_beside_patients_and_counted_apart(data: Path, task: Task) -> None:
    _add(data, 4)
    results = run_of(data, task, arms=["s1_box", _arm(3)], weak=[0, 2], ground=False)
    assert results.failed == ()
    found = {(row.name, row.weak): row for row in rows_of(results)}
    assert set(found) == {("s1_box", 2), ("with 3", 0), ("with 3", 2)}
    assert found["with 3", 0].weak_labels["used"] == 0
    assert found["with 3", 0].weak_labels["synthetic_used"] == 3
    (table,) = weak_table(rows_of(results))
    assert [row[1] for row in table.rows] == ["4 + 2", "4 + 0 + 3 synthetic", "4 + 2 + 3 synthetic"]
    used = [row[table.header.index("used")] for row in table.rows]
    assert used == ["2", "0 + 3 synthetic", "2 + 3 synthetic"]
    sidecars = [json.loads(path.read_text()) for path in (data / "studies" / KEPT / "weak_labels").rglob("*.json")]
    marked = [sidecar for sidecar in sidecars if sidecar["synthetic"]]
    assert len(marked) == 3
    assert {sidecar["synthetic"]["generator"] for sidecar in marked} == {GENERATOR}
    assert {sidecar["image"]["id"] for sidecar in sidecars if not sidecar["synthetic"]} <= {
        f"disc{n}" for n in range(10)
    }


def test_those_without_a_mark_and_those_of_a_generator_that_saw_the_evaluation_are_left_out(
    data: Path, task: Task
) -> None:
    _add(data, 2)
    plan = plan_of(data, task, arms=[_arm(2)], weak=[0], ground=False)
    assert len(plan.material.synthetic) == 2
    assert any("found lies among the synthetic images without their mark" in note for note in plan.context.notes)
    seen = hashlib.sha256((data / "images" / "disc20.png").read_bytes()).hexdigest()
    _add(data, 2, learned={seen: "disc20"})
    with pytest.raises(ExperimentError, match="asks for 2 synthetic images, and 0 that carry the mark"):
        plan_of(data, task, arms=[_arm(2)], weak=[0], ground=False)


def test_those_of_an_unknown_generator_are_left_out(data: Path, task: Task) -> None:
    _add(data, 2)
    (data / "studies" / ".autoweak" / "synthetic.json").unlink()
    with pytest.raises(ExperimentError, match="asks for 2 synthetic images, and 0"):
        plan_of(data, task, arms=[_arm(2)], weak=[0], ground=False)


def test_they_are_never_gold_and_never_evaluated_on(data: Path, task: Task) -> None:
    _add(data, 2)
    drawn = sorted((data / "studies" / "synthetic").glob("synthetic-*.png"))
    for path in drawn:
        for images, labels in (("studies", "studies/labels/final"), ("images", "labels")):
            shutil.copy(path, data / images / path.name)
            shutil.copy(data / "labels" / "disc20.png", data / labels / path.name)
    material = plan_of(data, task, weak=[2]).material
    everywhere = (*material.gold, *material.unlabelled, *material.evaluation)
    assert not any(known.image_id.startswith("synthetic-") for known in everywhere)
    assert len(material.evaluation) == 3


def test_more_than_there_are_is_one_sentence(data: Path, task: Task) -> None:
    _add(data, 2)
    with pytest.raises(ExperimentError, match="asks for 5 synthetic images, and 2 that carry the mark"):
        plan_of(data, task, arms=[_arm(5)])


def test_the_number_changes_the_cell_and_no_weak_label(data: Path, task: Task, obedient: tuple[Any, Any]) -> None:
    _add(data, 4)
    run_of(data, task, arms=[_arm(4)], ground=False)
    asked = obedient[1].asked
    second = run_of(data, task, arms=[_arm(2)], ground=False)
    assert second.resumed == 0
    assert obedient[1].asked == asked


def test_a_policy_can_be_changed(data: Path, task: Task) -> None:
    two = {"arm": "prompted", "policy": "s1_box_published", "policy_options": {"components": 2, "margin": 0.1}}
    results = run_of(data, task, arms=["s1_box", two], ground=False)
    assert results.failed == ()
    assert results.results[0].scores != results.results[1].scores
    from autoweak.errors import PromptError

    with pytest.raises(PromptError, match="components must be a whole number"):
        plan_of(data, task, arms=[{**two, "policy_options": {"components": 0}}])
