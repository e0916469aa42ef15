"""Every config of every bundle really runs, on every kind of image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autoweak.experiments.metrics import score_image
from autoweak.studies import open_studies, read_label, read_study
from tests.bundles.conftest import BUNDLES, KINDS, Copy, draw, mask_in, task_of_kind, workflow, write_studies
from tests.server.dicom import write_exam


def _for_task(bundle: Path, kind: str) -> Path:
    """The bundle made ready for another task, as its README tells: in `inference.json` alone."""
    path = bundle / "configs" / "inference.json"
    task = task_of_kind(kind)
    config = json.loads(path.read_text())
    config.update(task=task.model_dump(mode="json"), in_channels=task.channels, out_channels=task.num_labels)
    path.write_text(json.dumps(config))
    return bundle


@pytest.mark.parametrize("name", BUNDLES)
@pytest.mark.parametrize("kind", KINDS)
def test_trains_then_infers_then_evaluates(name: str, kind: str, copy_of: Copy, tmp_path: Path) -> None:
    bundle = _for_task(copy_of(name), kind)
    studies = write_studies(tmp_path / "studies", kind, gold=4, images=5)
    before = (bundle / "models" / "model.pt").read_bytes()

    settings = {"max_epochs": 2, "val_interval": 1, "batch_size": 2, "unlabelled": "skip"}
    training = workflow(bundle, "train", kind="train", dataset_dir=str(studies), **settings)
    training.run()
    assert 0 <= training.parser.get_parsed_content("validate::evaluator").state.metrics["mean_dice"] <= 1
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert (bundle / "models" / "model.pt").read_bytes() != before
    assert all(isinstance(value, torch.Tensor) for value in state.values())

    masks = tmp_path / "masks"
    workflow(bundle, "inference", kind="infer", dataset_dir=str(studies), output_dir=str(masks)).run()
    found = {path.name: mask_in(path) for path in masks.iterdir()}
    assert sorted(found) == sorted(path.name for path in studies.iterdir() if path.is_file())
    assert all(set(np.unique(mask)) <= {0, *task_of_kind(kind).labels.values()} for mask in found.values())

    (gold := tmp_path / "gold").mkdir()
    write_studies(gold, kind, gold=4, images=4)
    evaluation = workflow(
        bundle, "inference", "evaluate", kind="eval", dataset_dir=str(gold), output_dir=str(tmp_path / "metrics")
    )
    evaluation.run()
    dice = evaluation.parser.get_parsed_content("evaluator").state.metrics["mean_dice"]
    assert dice == pytest.approx(_dice_of(masks, gold, kind), abs=1e-5)
    assert (tmp_path / "metrics" / "metrics.csv").is_file()


def _dice_of(masks: Path, gold: Path, kind: str) -> float:
    """Mean Dice as `autoweak evaluate` counts it, of the masks that inference wrote."""
    task = task_of_kind(kind)
    scores = []
    for study in open_studies(gold).gold:
        image = read_study(study, plane=task.plane.value)
        suffix = ".nii.gz" if kind == "volume" else ".png"
        found = read_label(masks / f"{study.image_id}{suffix}", image=image, task=task).mask
        truth = read_label(study.gold, image=image, task=task).mask
        scores.append(score_image(found, truth, labels=tuple(task.labels.values())).dice)
    return float(np.mean(scores))


def test_a_training_learns(copy_of: Copy, tmp_path: Path) -> None:
    bundle = _for_task(copy_of("coarse_segmentation"), "grey")
    studies = write_studies(tmp_path / "studies", "grey", gold=8, images=8)
    training = workflow(
        bundle, "train", kind="train", dataset_dir=str(studies), max_epochs=40, val_interval=40, learning_rate=0.004
    )
    training.run()
    assert training.parser.get_parsed_content("validate::evaluator").state.metrics["mean_dice"] > 0.6


def test_of_the_weak_label_network_only_the_coarse_part_learns(copy_of: Copy, tmp_path: Path) -> None:
    bundle = _for_task(copy_of("medsam_from_coarse"), "grey")
    before = torch.load(bundle / "models" / "model.pt", weights_only=True)
    studies = write_studies(tmp_path / "studies", "grey", gold=4, images=4)
    training = workflow(bundle, "train", kind="train", dataset_dir=str(studies), max_epochs=1, val_interval=1)
    training.run()
    after = training.parser.get_parsed_content("network").state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value.float(), before[name].float())}
    assert changed
    assert {name.split(".")[0] for name in changed} == {"coarse"}


def test_one_image_is_enough_for_inference(copy_of: Copy, tmp_path: Path) -> None:
    Image.fromarray(np.arange(48 * 40, dtype=np.uint8).reshape(48, 40)).save(tmp_path / "one.bmp")
    out = tmp_path / "out"
    bundle = copy_of("coarse_segmentation")
    workflow(bundle, "inference", kind="infer", dataset_dir=str(tmp_path / "one.bmp"), output_dir=str(out)).run()
    assert [path.name for path in out.iterdir()] == ["one.png"]


@pytest.mark.parametrize(("config", "kind"), [("inference", "infer"), ("train", "train")])
def test_a_part_can_be_asked_for_before_the_run(config: str, kind: str, copy_of: Copy) -> None:
    bundle = copy_of("coarse_segmentation")
    made = workflow(bundle, config, kind=kind)
    assert made.parser.get_parsed_content("bundle_root") == str(bundle)
    assert made.parser.get_parsed_content("network_def").size == 96


def test_each_frame_of_a_film_has_a_mask_of_its_own(copy_of: Copy, tmp_path: Path) -> None:
    bundle = _for_task(copy_of("coarse_segmentation"), "grey")
    drawn = [draw(seed) for seed in range(3)]
    studies = tmp_path / "studies"
    write_exam(studies, "US", np.stack([image for image, _ in drawn]))
    name = next(studies.glob("*.dcm")).stem
    masks = tmp_path / "masks"
    workflow(bundle, "inference", kind="infer", dataset_dir=str(studies), output_dir=str(masks)).run()
    assert sorted(path.name for path in masks.iterdir()) == [f"{name}-{number}.png" for number in (1, 2, 3)]

    labels = studies / "labels" / "final"
    labels.mkdir(parents=True)
    for number, (_, mask) in enumerate(drawn, 1):
        Image.fromarray((mask == 1).astype(np.uint8)).save(labels / f"{name}-{number}.png")
    evaluation = workflow(
        bundle, "inference", "evaluate", kind="eval", dataset_dir=str(studies), output_dir=str(tmp_path / "metrics")
    )
    evaluation.run()
    dice = evaluation.parser.get_parsed_content("evaluator").state.metrics["mean_dice"]
    assert dice == pytest.approx(_dice_of(masks, studies, "grey"), abs=1e-5)
