"""Where MONAI would go on in silence or end in a trace, a bundle stops with one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from autoweak.errors import CheckpointError
from tests.bundles.conftest import BUNDLES, Copy, workflow, write_studies

CONFIGS = {"infer": ("inference",), "eval": ("inference", "evaluate"), "train": ("train",)}


@pytest.fixture
def bundle(copy_of: Copy) -> Path:
    return copy_of("coarse_segmentation")


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    return write_studies(tmp_path / "studies", "grey", gold=3, images=3)


def _sentence(bundle: Path, kind: str, **overrides: Any) -> str:
    """What the program says as it ends; SystemExit with a text is exit code 1 and that text on stderr."""
    with pytest.raises(SystemExit) as ended:
        workflow(bundle, *CONFIGS[kind], kind=kind, **overrides).run()
    sentence = ended.value.code
    assert isinstance(sentence, str)
    assert sentence.startswith("autoweak: ")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("kind", CONFIGS)
def test_missing_data_folder(bundle: Path, kind: str, tmp_path: Path) -> None:
    assert "nowhere" in _sentence(bundle, kind, dataset_dir=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("kind", CONFIGS)
def test_empty_data_folder(bundle: Path, kind: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "There are no images in" in _sentence(bundle, kind, dataset_dir=str(tmp_path / "empty"))


@pytest.mark.parametrize("kind", ["eval", "train"])
def test_image_without_label(bundle: Path, kind: str, studies: Path) -> None:
    (studies / "labels" / "final" / "case1.png").unlink()
    sentence = _sentence(bundle, kind, dataset_dir=str(studies))
    assert "1 of 3 images" in sentence
    assert "case1.png" in sentence
    assert "--unlabelled skip" in sentence


@pytest.mark.parametrize("kind", ["eval", "train"])
def test_label_without_image(bundle: Path, kind: str, studies: Path) -> None:
    (studies / "case2.png").unlink()
    assert "case2.png in final belongs to no image" in _sentence(bundle, kind, dataset_dir=str(studies))


@pytest.mark.parametrize("kind", ["eval", "train"])
def test_no_labels_at_all(bundle: Path, kind: str, studies: Path) -> None:
    shutil.rmtree(studies / "labels")
    assert "There are no labels" in _sentence(bundle, kind, dataset_dir=str(studies), unlabelled="skip")


def test_data_list_of_ones_own_without_label(bundle: Path, studies: Path) -> None:
    image = str(studies / "case0.png")
    listed = [{"image": image}]
    assert "has no label" in _sentence(bundle, "train", dataset_dir=str(studies), **{"train#dataset#data": listed})
    missing = [{"image": image, "label": str(studies / "nothing.png")}]
    assert "does not exist" in _sentence(bundle, "train", dataset_dir=str(studies), **{"train#dataset#data": missing})
    assert "is empty" in _sentence(bundle, "train", dataset_dir=str(studies), **{"validate#dataset#data": []})


@pytest.mark.parametrize("kind", CONFIGS)
def test_missing_weights(bundle: Path, kind: str, studies: Path) -> None:
    (bundle / "models" / "model.pt").unlink()
    assert "There are no weights" in _sentence(bundle, kind, dataset_dir=str(studies))


@pytest.mark.parametrize("kind", CONFIGS)
def test_weights_of_another_network(bundle: Path, kind: str, studies: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), bundle / "models" / "model.pt")
    assert "126 of 126 are missing" in _sentence(bundle, kind, dataset_dir=str(studies))


def test_weights_of_more_channels(bundle: Path, studies: Path) -> None:
    path = bundle / "models" / "model.pt"
    state = torch.load(path, weights_only=True)
    state["members.0.stem.0.weight"] = state["members.0.stem.0.weight"].repeat(1, 3, 1, 1)
    torch.save(state, path)
    sentence = _sentence(bundle, "infer", dataset_dir=str(studies))
    assert "'members.0.stem.0.weight' has the shape (24, 3, 3, 3)" in sentence


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut off"])
def test_damaged_weights(bundle: Path, studies: Path, content: bytes) -> None:
    (bundle / "models" / "model.pt").write_bytes(content)
    assert "damaged" in _sentence(bundle, "infer", dataset_dir=str(studies))


def test_weights_that_would_run_code(bundle: Path, studies: Path, tmp_path: Path) -> None:
    torch.save({"model": _Trap(tmp_path / "sprung")}, bundle / "models" / "model.pt")
    assert "are refused" in _sentence(bundle, "infer", dataset_dir=str(studies))
    assert not (tmp_path / "sprung").exists()


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_whole_model_in_place_of_weights(bundle: Path, studies: Path) -> None:
    torch.save({"model": {"epoch": 3}}, bundle / "models" / "model.pt")
    assert "not a plain state dict" in _sentence(bundle, "infer", dataset_dir=str(studies))


@pytest.mark.parametrize("kind", CONFIGS)
def test_misspelt_override(bundle: Path, kind: str, studies: Path) -> None:
    sentence = _sentence(bundle, kind, dataset_dir=str(studies), output_dirr="elsewhere")
    assert "no entry 'output_dirr'" in sentence
    assert "did you mean 'output_dir'" in sentence


@pytest.mark.parametrize(("name", "value"), [("in_channels", 3), ("out_channels", 2)])
def test_wrong_channel_count(bundle: Path, studies: Path, name: str, value: int) -> None:
    sentence = _sentence(bundle, "infer", dataset_dir=str(studies), **{name: value})
    assert f"{name!r} is {value} and task object needs 1" in sentence


def test_wrong_channel_count_in_the_file_stops_training_too(bundle: Path, studies: Path) -> None:
    path = bundle / "configs" / "inference.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "in_channels": 3}))
    assert "'in_channels' is 3" in _sentence(bundle, "train", dataset_dir=str(studies))


@pytest.mark.parametrize("kind", CONFIGS)
def test_damaged_image_ends_the_run_with_its_name(bundle: Path, kind: str, studies: Path) -> None:
    (studies / "case0.png").write_bytes(b"broken")
    assert "The image case0.png cannot be read" in _sentence(bundle, kind, dataset_dir=str(studies))


def test_masks_never_go_among_labels(bundle: Path, studies: Path) -> None:
    labels = studies / "labels" / "final"
    sentence = _sentence(bundle, "infer", dataset_dir=str(studies), output_dir=str(labels))
    assert "where predictions never go" in sentence


@pytest.mark.parametrize("name", BUNDLES)
def test_networks_take_all_weights_or_none_even_where_less_is_asked_for(name: str, copy_of: Copy) -> None:
    from autoweak.bundle.reading import network_of

    network = network_of(str(copy_of(name)))
    state = dict(network.state_dict())
    del state[next(iter(state))]
    with pytest.raises(CheckpointError, match="1 of"):
        network.load_state_dict(state, strict=False)
