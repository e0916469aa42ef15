"""What is particular of the bundle of learned prompts: tight boxes, prompts alone, and the app's own masks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autoweak.bundle.boxes import TightBoxLoss
from autoweak.bundle.export import export, learned_source
from autoweak.loop.context import Context
from autoweak.loop.learned import Learner, train_learned
from autoweak.loop.predict import predict
from autoweak.networks.learned_prompt import MODULE_OPTIONS
from autoweak.promptable import load_promptable
from autoweak.resources import resource_path
from autoweak.studies.boxes import PixelBox
from autoweak.tasks import Coarse, Task
from autoweak.training.box_loss import box_loss
from autoweak.training.prompt_learner import build_prompts
from autoweak.training.prompt_recipe import PROMPT_RECIPE, PromptRecipe
from autoweak.training.tight_boxes import to_grid
from autoweak.workspace import ModelChoice
from tests.bundles.conftest import workflow

NAME = "medsam_learned_prompt"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(resource_path("bundles") / NAME, tmp_path / NAME))


def toy(labels: int = 1) -> Task:
    return Task(
        name="toy",
        description="bright discs",
        modality="none",
        dimension=2,
        channels=1,
        labels={f"disc{value}": value for value in range(1, labels + 1)},
        coarse=Coarse(size=32, epochs=1, folds=2),
    )


def write_studies(folder: Path, *, gold: int = 4, images: int = 5) -> Path:
    (folder / "labels" / "final").mkdir(parents=True)
    rows, columns = np.mgrid[:50, :60]
    for number in range(images):
        mask = np.hypot(rows - 20 - number, columns - 30) < 9
        noise = np.random.default_rng(number).integers(0, 60, mask.shape)
        Image.fromarray((mask * 120 + noise).astype(np.uint8)).save(folder / f"case{number}.png")
        if number < gold:
            Image.fromarray(mask.astype(np.uint8)).save(folder / "labels" / "final" / f"case{number}.png")
    return folder


def test_the_modules_are_defined_in_the_bundle_alone(bundle: Path) -> None:
    config = json.loads((bundle / "configs" / "inference.json").read_text())
    prompts = build_prompts(load_promptable("small", device="cpu").frozen_decoder(), num_labels=1)

    assert {name: prompts.options[name] for name in MODULE_OPTIONS} == {
        name: config["network_def"][name] for name in MODULE_OPTIONS
    }
    others = [path for path in (bundle / "configs").glob("*.json") if path.name != "inference.json"]
    assert not any("autoweak.networks" in path.read_text() for path in others)


@pytest.mark.parametrize("labels", [1, 2])
def test_the_prompts_alone_are_trained_and_each_label_has_its_own(bundle: Path, tmp_path: Path, labels: int) -> None:
    path = bundle / "configs" / "inference.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "task": toy(labels).model_dump(mode="json"), "out_channels": labels}))
    before = torch.load(bundle / "models" / "model.pt", weights_only=True)

    studies = str(write_studies(tmp_path / "studies"))
    settings = {"max_epochs": 1, "val_interval": 1, "batch_size": 2, "unlabelled": "skip"}
    training = workflow(bundle, "train", kind="train", dataset_dir=studies, **settings)
    training.run()

    after = training.parser.get_parsed_content("network").state_dict()
    same = {name for name, value in before.items() if torch.equal(value.float(), after[name].float())}
    assert {name.split(".")[0] for name in same} == {"image_encoder", "decoder"}
    assert {name.split(".")[0] for name in after if name not in same} == {"prompts"}
    assert len([name for name in after if name.endswith("trunk.weight")]) == labels


def test_the_loss_sees_the_boxes_of_the_masks_alone() -> None:
    loss = TightBoxLoss(task=toy().model_dump(mode="json"), promptable="small")
    logits = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    target = torch.zeros(2, 1, 40, 80)
    target[0, 0, 10:20, 30:50] = 1
    hollow = target.clone()
    hollow[0, 0, 12:18, 32:48] = 0

    contract = load_promptable("small", device="cpu").contract
    box = to_grid([PixelBox(30, 10, 49, 19)], image_size=(40, 80), contract=contract, side=256)

    assert float(loss(logits, target)) == float(loss(logits, hollow))
    assert float(loss(logits, target)) == float(box_loss(logits[:, 0], [box, ()], terms=PROMPT_RECIPE.terms))


def test_an_exported_bundle_answers_as_the_app_does(tmp_path: Path) -> None:
    studies = write_studies(tmp_path / "studies")
    context = Context.open(studies, toy(), device="cpu")
    with context.workspace.lock():
        version = train_learned(Learner.load(context, PromptRecipe(epochs=2)))

    made = export(learned_source(context.workspace, device="cpu"), tmp_path / "mine")

    predict(studies, tmp_path / "app", workspace=context.workspace, task=toy(), choice=ModelChoice.LEARNED)
    out = tmp_path / "bundle"
    workflow(made.folder, "inference", kind="infer", dataset_dir=str(studies), output_dir=str(out)).run()
    for path in (tmp_path / "app").iterdir():
        # The app's embeddings went through float16: a pixel on the outline may differ.
        assert np.mean(np.array(Image.open(path)) != np.array(Image.open(out / path.name))) < 0.01
    metadata = json.loads((made.folder / "configs" / "metadata.json").read_text())
    assert metadata["autoweak"]["model"] == version.name
    assert "learned prompts" in metadata["autoweak"]["weights_sha256"]
    readme = (made.folder / "docs" / "README.md").read_text()
    assert "coarse model" not in readme
    assert "case0" not in readme + json.dumps(metadata)
