"""Predictions on images of any kind."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from autoweak.errors import StudiesError, WorkspaceError
from autoweak.loop.coarse import train_coarse
from autoweak.loop.context import Context
from autoweak.loop.gold import read_gold
from autoweak.loop.predict import predict
from autoweak.tasks import Task
from autoweak.workspace import ModelChoice, Workspace


@pytest.fixture
def trained(studies: Path, task: Task) -> Workspace:
    context = Context.open(studies, task)
    context.workspace.publish(train_coarse(context, read_gold(context)), reason="test")
    return context.workspace


def test_predicts_each_image_at_its_own_size(trained: Workspace, task: Task, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (41, 67, 3), dtype=np.uint8)).save(images / "colour.jpg")
    Image.fromarray(np.zeros((33, 20), dtype=np.uint8)).save(images / "nothing.bmp")
    (images / "broken.png").write_bytes(b"no")
    result = predict(images, tmp_path / "out", workspace=trained, task=task, choice=ModelChoice.FINAL)
    assert [problem.image_id for problem in result.problems] == ["broken"]
    sizes = {path.name: Image.open(path).size for path in result.written}
    assert sizes == {"colour.png": (67, 41), "nothing.png": (20, 33)}


def test_predicts_a_volume_with_its_geometry(trained: Workspace, task: Task, tmp_path: Path) -> None:
    affine = np.diag([-1.5, 2.0, 3.0, 1.0])
    voxels = np.random.default_rng(0).normal(100, 20, (20, 24, 7)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "head.nii.gz")
    out = tmp_path / "out"
    volumes = task.model_copy(update={"dimension": 3})
    result = predict(tmp_path / "head.nii.gz", out, workspace=trained, task=volumes, choice=ModelChoice.COARSE)
    written = nibabel.load(result.written[0])
    assert written.shape == voxels.shape
    assert np.allclose(written.affine, affine)


def test_refuses_to_write_among_labels(trained: Workspace, task: Task, studies: Path) -> None:
    for folder in ("final", "original"):
        with pytest.raises(StudiesError, match="predictions never go"):
            predict(studies, studies / "labels" / folder, workspace=trained, task=task, choice=ModelChoice.COARSE)


def test_only_predictions_are_replaced(trained: Workspace, task: Task, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.bmp"):
        Image.fromarray(rng.integers(0, 255, (20, 30), dtype=np.uint8)).save(images / name)
    before = (images / "a.png").read_bytes()

    def into(out: Path) -> tuple[list[str], list[str]]:
        result = predict(images, out, workspace=trained, task=task, choice=ModelChoice.FINAL)
        return [path.name for path in result.written], [problem.reason for problem in result.problems]

    written, (problem,) = into(images)
    assert written == ["b.png"]
    assert "a.png is there already" in problem
    assert (images / "a.png").read_bytes() == before
    (images / "b.png").unlink()  # else it is an image of its own
    for _ in range(2):
        assert into(tmp_path / "out") == (["a.png", "b.png"], [])
    drawn = Image.fromarray(np.eye(20, 30, dtype=np.uint8))
    drawn.save(tmp_path / "out" / "a.png")  # a person has corrected it
    written, (problem,) = into(tmp_path / "out")
    assert written == ["b.png"]
    assert "is not as a prediction left it" in problem
    with Image.open(tmp_path / "out" / "a.png") as kept:
        assert np.array_equal(np.asarray(kept), np.asarray(drawn))


def test_missing_model_is_one_sentence(trained: Workspace, task: Task, tmp_path: Path, studies: Path) -> None:
    with pytest.raises(WorkspaceError, match="no retrained model"):
        predict(studies, tmp_path / "out", workspace=trained, task=task, choice=ModelChoice.RETRAINED)
    assert not (tmp_path / "out").exists()
