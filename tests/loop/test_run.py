"""The loop on tiny studies: what it writes, keeps, finds again and leaves alone."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoweak.errors import StudiesError
from autoweak.loop.context import Context
from autoweak.loop.run import run, summarise
from autoweak.tasks import Task
from autoweak.weak_labels import Status, read_sidecar
from autoweak.workspace import ModelKind


def _hashes(folder: Path, pattern: str = "*") -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
        if path.is_file() and ".autoweak" not in path.parts
    }


@pytest.mark.usefixtures("ellipses")
def test_run_labels_every_image_and_touches_no_gold(studies: Path, task: Task) -> None:
    before = _hashes(studies)
    result = run(Context.open(studies, task, seed=1))
    after = _hashes(studies)
    assert {name: after[name] for name in before} == before
    original = studies / "labels" / "original"
    for index in range(6, 10):
        sidecar = read_sidecar(original / f"disc{index}.json")
        assert sidecar.inputs.coarse.sha256 == result.labeller.coarse.sha256
        assert (sidecar.status is Status.LABELLED) == (original / f"disc{index}.png").is_file()
    assert set(summarise(result)["weak_labels"]) == {"accept", "review", "reject", "nothing found"}
    assert result.context.workspace.published() is not None


def test_second_run_makes_nothing_again(studies: Path, task: Task, ellipses: object) -> None:
    first = run(Context.open(studies, task))
    second = run(Context.open(studies, task))
    assert second.coarse == first.coarse
    assert second.retrained == first.retrained
    assert second.labelled.kept == len(second.labelled.sidecars) == 4
    assert second.labelled.sidecars == first.labelled.sidecars


@pytest.mark.usefixtures("ellipses")
def test_same_seed_same_masks_in_another_folder(studies: Path, task: Task, tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    shutil.copytree(studies, twin)
    for folder in (studies, twin):
        run(Context.open(folder, task, seed=3))
    assert _hashes(studies / "labels", "*.png") == _hashes(twin / "labels", "*.png")


@pytest.mark.usefixtures("ellipses")
def test_label_saved_between_runs_is_kept_and_used(studies: Path, task: Task) -> None:
    first = run(Context.open(studies, task))
    saved = studies / "labels" / "final" / "disc7.png"
    mask = np.zeros((48, 48), dtype=np.uint8)
    mask[10:30, 10:30] = 1
    Image.fromarray(mask).save(saved)
    content = saved.read_bytes()
    second = run(Context.open(studies, task))
    assert saved.read_bytes() == content
    assert second.coarse.version == first.coarse.version + 1
    assert "disc7" in second.labeller.coarse.cv_dice
    assert len(second.labelled.sidecars) == 3


@pytest.mark.usefixtures("ellipses")
def test_weak_label_changed_by_a_person_stays(studies: Path, task: Task) -> None:
    run(Context.open(studies, task))
    edited = studies / "labels" / "original" / "disc8.png"
    Image.fromarray(np.ones((48, 48), dtype=np.uint8)).save(edited)
    content = edited.read_bytes()
    second = run(Context.open(studies, task, seed=5))
    assert edited.read_bytes() == content
    assert any("disc8" in note and "labels/final" in note for note in second.context.notes)


@pytest.mark.usefixtures("ellipses")
def test_damaged_images_are_listed_and_passed_over(studies: Path, task: Task) -> None:
    (studies / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n rubbish")
    (studies / "disc9.png").write_bytes((studies / "disc9.png").read_bytes()[:200])
    Image.fromarray(np.ones((20, 30), dtype=np.uint8)).save(studies / "labels" / "final" / "disc0.png")
    result = run(Context.open(studies, task))
    assert {problem.image_id for problem in result.context.problems} == {"broken", "disc0", "disc9"}
    assert {sidecar.inputs.image.id for sidecar in result.labelled.sidecars} == {"disc6", "disc7", "disc8"}
    assert len(result.gold) == 5


@pytest.mark.usefixtures("ellipses")
def test_too_few_gold_labels_is_one_sentence(studies: Path, task: Task) -> None:
    for index in range(3):
        (studies / "labels" / "final" / f"disc{index}.png").unlink()
    with pytest.raises(StudiesError, match="3 readable gold labels in labels/final and at least 4 are needed"):
        run(Context.open(studies, task))
    assert Context.open(studies, task).workspace.versions(ModelKind.COARSE) == ()


@pytest.mark.usefixtures("ellipses")
def test_copy_of_a_gold_image_is_not_trained_on_as_weak(studies: Path, task: Task) -> None:
    from autoweak.loop.gold import read_gold
    from autoweak.loop.label import Labeller
    from autoweak.loop.retrain import cross_fitted

    shutil.copy(studies / "disc1.png", studies / "copy.png")
    context = Context.open(studies, task)
    result = run(context)
    extra = cross_fitted(context, read_gold(context), Labeller.load(context, result.coarse), folder=studies / "x")
    assert all(sample.image_id != "copy" for samples in extra.values() for sample in samples)
