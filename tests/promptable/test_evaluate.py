"""The script that measures a promptable model with prompts made from the truth."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from scripts import evaluate_promptable as evaluate

from autoweak.promptable.model import load_promptable


def disc(shape: tuple[int, int], centre: tuple[int, int], radius: int) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - centre[0], columns - centre[1]) <= radius


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """One picture with two discs, and one without an object."""
    truth = disc((120, 160), (40, 50), 20) | disc((120, 160), (80, 120), 25)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    Image.fromarray((truth * 150 + 50).astype(np.uint8)).save(tmp_path / "images" / "a.png")
    Image.fromarray((truth * 255).astype(np.uint8)).save(tmp_path / "masks" / "a.png")
    Image.fromarray(np.full((20, 20), 9, np.uint8)).save(tmp_path / "images" / "b.png")
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "masks" / "b.png")
    return tmp_path


def test_pictures_give_one_object_or_one_a_component(pictures: Path) -> None:
    whole = list(evaluate.read_cases(pictures, components=False, axis=2))
    parts = list(evaluate.read_cases(pictures, components=True, axis=2))
    assert [len(objects) for _, objects in whole] == [1]
    assert [len(objects) for _, objects in parts] == [2]
    assert np.array_equal(np.logical_or(*parts[0][1]), whole[0][1][0])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_volumes_give_each_label_of_each_slice(tmp_path: Path, axis: int) -> None:
    labels = np.zeros((12, 14, 16), np.uint8)
    labels[3:9, 3:9, 3:9] = 1
    labels[9:11, 3:9, 3:9] = 2
    for folder, content in (("images", labels * 90.0), ("labels", labels)):
        (tmp_path / folder).mkdir()
        nibabel.save(nibabel.Nifti1Image(content, np.eye(4)), tmp_path / folder / "a.nii.gz")
    cases = list(evaluate.read_cases(tmp_path, components=False, axis=axis))
    wanted = {0: [1] * 8, 1: [1] * 6, 2: [1] * 6}  # of label 2, slices across are 12 pixels: too few
    assert [len(objects) for _, objects in cases] == wanted[axis]
    assert {image.shape for image, _ in cases} == {tuple(np.delete(labels.shape, axis))}


def test_a_clear_object_is_measured_near_one(pictures: Path) -> None:
    measured, model = evaluate.Measured(), load_promptable("small")
    for image, objects in evaluate.read_cases(pictures, components=True, axis=2):
        evaluate.measure(model, image, objects, shift=0.0, rng=np.random.default_rng(0), into=measured)
    assert len(measured.guessed) == 2
    assert min(measured.dice["box"]) > 0.9
    assert min(measured.dice["ellipse"]) > 0.97, "a disc is the ellipse in its box"
    row = measured.row("x").strip("| ").split(" | ")
    assert row[:2] == ["x", "2"]
    assert float(row[2]) == pytest.approx(np.mean(measured.dice["box"]), abs=5e-4)


def test_the_inner_point_lies_inside_however_bent_the_object() -> None:
    ring = disc((60, 60), (30, 30), 25) & ~disc((60, 60), (30, 30), 18)
    x, y = evaluate._inner_point(ring)
    assert ring[int(y), int(x)]
