"""The bundle image_synthesis as MONAI runs it: train, go on, draw, evaluate, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, load, verify_metadata
from PIL import Image

from autoweak.resources import resource_path

ROOT = resource_path("bundles") / "image_synthesis"
RULES = Path(__file__).parent / "data" / "metadata_rules.json"
TINY = {"spatial_shape": [16, 16], "batch_size": 4, "epochs": 1}
DRAWN = {"spatial_shape": [16, 16], "count": 3, "steps": 2}

Run = Callable[..., None]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may depend on the working folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(9):
        pixels = np.random.default_rng(index).integers(0, 256, (20, 24), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"image{index}.png")
    return folder


def run(*configs: str, **overrides: Any) -> None:
    files = [str(ROOT / "configs" / f"{name}.json") for name in configs]
    kind = "inference" if configs[0] == "inference" else "train"
    workflow = ConfigWorkflow(files if len(files) > 1 else files[0], workflow_type=kind, **overrides)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def _refused(capsys: pytest.CaptureFixture[str], *configs: str, **overrides: Any) -> str:
    with pytest.raises(SystemExit) as ended:
        run(*configs, **overrides)
    assert ended.value.code not in (0, None)
    sentence = str(ended.value.code)
    assert sentence.startswith("autoweak: ")
    assert "\n" not in sentence
    return sentence


def test_metadata_keep_to_the_rules_without_the_network(tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    shutil.copyfile(RULES, rules)
    verify_metadata(meta_file=str(ROOT / "configs" / "metadata.json"), filepath=str(rules))
    metadata = json.loads((ROOT / "configs" / "metadata.json").read_text())
    assert metadata["version"] in metadata["changelog"]


def test_the_bundle_is_complete_and_small() -> None:
    for name in ("LICENSE", "docs/README.md", "docs/data_license.txt", "configs/logging.conf", "models/model.pt"):
        assert (ROOT / name).is_file()
    assert (ROOT / "models" / "model.pt").stat().st_size < 10_000_000


def test_load_gives_a_network_that_tells_noise_from_image() -> None:
    network = load("image_synthesis", bundle_dir=str(ROOT.parent), source="monaihosting").eval()
    clean = torch.zeros(2, 1, 64, 64)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = network(0.1 * clean + 0.995 * noise, timesteps=torch.tensor([900, 900]))
    assert found.shape == noise.shape
    assert float(((found - noise) ** 2).mean()) < 0.2


def test_it_trains_goes_on_draws_and_measures(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("train", dataset_dir=str(images), output_dir=str(out), **TINY)
    first = torch.load(out / "model.pt", weights_only=True)
    run("train", dataset_dir=str(images), output_dir=str(out), **{**TINY, "epochs": 2})
    second = torch.load(out / "model.pt", weights_only=True)
    assert first.keys() == second.keys() == torch.load(ROOT / "models" / "model.pt", weights_only=True).keys()
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert torch.load(out / "training.pt", weights_only=True)["epoch"] == 2

    drawn = tmp_path / "drawn"
    run("inference", ckpt_path=str(out / "model.pt"), output_dir=str(drawn), seed=3, **DRAWN)
    files = sorted(drawn.glob("synthetic-*.png"))
    assert [Image.open(path).size for path in files] == [(16, 16)] * 3
    assert {Image.open(path).mode for path in files} == {"L"}
    before = {path.name: path.read_bytes() for path in files}
    run("inference", ckpt_path=str(out / "model.pt"), output_dir=str(drawn), seed=3, batch_size=1, **DRAWN)
    assert {path.name for path in drawn.iterdir()} == set(before)

    run("evaluate", dataset_dir=str(images), samples_dir=str(drawn), spatial_shape=[16, 16])
    figures = json.loads((drawn / "metrics.json").read_text())
    assert figures["copies"]["images"] == 3
    assert figures["copies"]["near_copies"] == 0


def test_training_images_given_out_as_drawn_ones_are_called_copies(images: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    for number in range(3):
        shutil.copyfile(images / f"image{number}.png", drawn / f"synthetic-0-{number}.png")
    run("evaluate", dataset_dir=str(images), samples_dir=str(drawn), spatial_shape=[16, 16])
    assert json.loads((drawn / "metrics.json").read_text())["copies"]["near_copies"] == 3


def test_colour_images_become_colour_images(images: Path, tmp_path: Path) -> None:
    for path in images.iterdir():
        grey = np.array(Image.open(path))
        Image.fromarray(np.stack([grey, grey[::-1], grey[:, ::-1]], axis=2)).save(path)
    run("train", dataset_dir=str(images), output_dir=str(tmp_path), image_channels=3, **TINY)
    drawn = tmp_path / "drawn"
    weights = str(tmp_path / "model.pt")
    run("inference", ckpt_path=weights, output_dir=str(drawn), image_channels=3, sampler="ddim", **DRAWN)
    assert {Image.open(path).mode for path in drawn.iterdir()} == {"RGB"}


def test_the_recipe_of_the_paper_builds_its_network() -> None:
    parser = ConfigParser()
    parser.read_config([str(ROOT / "configs" / f"{name}.json") for name in ("train", "train_256")])
    parser["bundle_root"] = str(ROOT)
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def")
        assert network(torch.zeros(1, 1, 256, 256), timesteps=torch.zeros(1)).shape == (1, 1, 256, 256)
    found = [parser.get_parsed_content(name) for name in ("spatial_shape", "batch_size", "learning_rate", "start")]
    assert found == [[256, 256], 4, 0.0001, ""]


def test_an_empty_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no images" in _refused(capsys, "train", dataset_dir=str(tmp_path), output_dir=str(tmp_path / "out"))


def test_a_missing_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = _refused(capsys, "train", dataset_dir=str(tmp_path / "nothing"), output_dir=str(tmp_path / "out"))
    assert "does not exist" in said or "no file or folder" in said


def test_too_few_images_are_refused(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(5):
        (images / f"image{index}.png").unlink()
    assert "at least 8" in _refused(capsys, "train", dataset_dir=str(images), output_dir=str(tmp_path / "out"), **TINY)


def test_colour_images_for_a_grey_network_are_refused(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (20, 20), (200, 30, 30)).save(images / "red.png")
    said = _refused(capsys, "train", dataset_dir=str(images), output_dir=str(tmp_path / "out"), **TINY)
    assert "image_channels 3" in said


@pytest.mark.parametrize(
    ("config", "override", "said"),
    [
        ("inference", {"coutn": 3}, "did you mean 'count'"),
        ("train", {"epoch": 3}, "did you mean 'epochs'"),
        ("inference", {"image_channels": 2}, "image_channels"),
        ("inference", {"spatial_shape": [60, 60]}, "multiples of 8"),
        ("inference", {"count": 0}, "'count'"),
        ("inference", {"seed": -1}, "'seed'"),
        ("inference", {"sampler": "magic"}, "sampler"),
        ("inference", {"image_channels": 3}, "not of this network"),
        ("inference", {"ckpt_path": "nowhere.pt"}, "no weights nowhere.pt"),
        ("evaluate", {"samples_dir": "nowhere"}, ""),
    ],
)
def test_what_cannot_be_used_gets_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], config: str, override: dict[str, Any], said: str
) -> None:
    assert said in _refused(capsys, config, **{"output_dir": str(tmp_path / "out"), **override})
    assert not (tmp_path / "out").exists()


def test_foreign_weights_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "weights.pt"
    for content, said in (
        ({"layer": torch.zeros(3)}, "not of this network"),
        ({"layer": "text"}, "not a plain state dict"),
        (torch.nn.Linear(2, 2), "hold more than weights"),
    ):
        torch.save(content, weights)
        assert said in _refused(capsys, "inference", ckpt_path=str(weights), output_dir=str(tmp_path / "out"), **DRAWN)


@pytest.mark.slow
def test_two_processes_train_one_network(images: Path, tmp_path: Path) -> None:
    code = "import sys; from monai.bundle import run; run(config_file=sys.argv[1:3], dataset_dir=sys.argv[3], "
    code += "output_dir=sys.argv[4], spatial_shape=[16, 16], batch_size=2, epochs=2)"
    script = tmp_path / "train.py"
    script.write_text(code)
    files = [str(ROOT / "configs" / name) for name in ("train.json", "multi_gpu_train.json")]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29613", str(script)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [*command, *files, str(images), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=280
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert torch.load(tmp_path / "training.pt", weights_only=True)["epoch"] == 2
    shipped = torch.load(ROOT / "models" / "model.pt", weights_only=True)
    assert torch.load(tmp_path / "model.pt", weights_only=True).keys() == shipped.keys()
