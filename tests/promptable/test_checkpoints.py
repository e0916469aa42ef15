"""Checkpoints are untrusted: what loads, and what is refused with one sentence."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from autoweak.errors import CheckpointError
from autoweak.promptable import registry, store
from autoweak.promptable.checkpoints import choose_checkpoint, identify, load_weights, recognise
from autoweak.promptable.checksums import is_published, sha256_of
from autoweak.promptable.model import build_network, load_promptable
from autoweak.promptable.registry import get_entry
from tests.promptable.tiny_weights import state_of, write_weights

ENTRY = get_entry("medsam")


def network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def assert_loads(path: Path) -> None:
    fresh = network(1)
    load_weights(fresh, path, entry=ENTRY)
    for name, value in network(0).state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value)


class Bomb:
    """A pickle that would make a folder when loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
def test_state_dicts_and_training_checkpoints_load(
    tmp_path: Path, zipped: bool, prefix: str, wrapper: str | None
) -> None:
    state = {prefix + name: value for name, value in network().state_dict().items()}
    content = {wrapper: state, "optimizer": {"lr": 0.1}, "epoch": 3} if wrapper else state
    path = tmp_path / "some.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert_loads(path)


def test_safetensors_are_recognised_whatever_the_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    save_file(network().state_dict(), path)
    assert_loads(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    trap, path = tmp_path / "sprung", tmp_path / "bomb.pth"
    torch.save({"model": network().state_dict(), "extra": Bomb(trap)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="would run code"):
        load_weights(network(), path, entry=ENTRY)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page"),
        (b"\n  <html>", "is a web page"),
        (b"\x08\x00\x00\x00\x00\x00\x00\x00{not json", "damaged safetensors"),
        (b"hello, I am a text file", "refused|damaged"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=sentence):
        load_weights(network(), path, entry=ENTRY)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["zip", "legacy", "safetensors"]), place=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(tmp_path: Path, kind: str, place: float) -> None:
    path = tmp_path / "whole.pth"
    if kind == "safetensors":
        save_file(network().state_dict(), path)
    else:
        torch.save(network().state_dict(), path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(place * len(content))])
    with pytest.raises(CheckpointError):
        load_weights(network(), path, entry=ENTRY)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"0.weight": torch.zeros(4, 3)}, "weights are missing, the first '0.bias'"),
        ({**network().state_dict(), "more": torch.zeros(1)}, "unknown, the first 'more'"),
        ({**network().state_dict(), "1.bias": torch.zeros(7)}, r"'1.bias' has shape \(7,\) and not \(2,\)"),
        ({"epoch": 3}, "'epoch' is not a tensor"),
        ({}, "has no tensors"),
        ([1, 2], "holds a list"),
    ],
)
def test_another_architecture_is_refused(tmp_path: Path, content: object, sentence: str) -> None:
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=sentence):
        load_weights(network(), path, entry=ENTRY)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(store.SETTING, str(tmp_path / "models"))
    return tmp_path / "models"


def test_models_without_weights_say_where_to_get_them(own_folder: Path) -> None:
    with pytest.raises(CheckpointError) as refused:
        load_promptable("medsam")
    for said in ("`autoweak models fetch medsam`", "zenodo.org", "import medsam FILE", str(own_folder), "--checkpoint"):
        assert said in str(refused.value)
    with pytest.raises(CheckpointError) as refused:
        load_promptable("medsam-points")
    assert "models fetch" not in str(refused.value)
    assert "get medsam_point_prompt_flare22.pth from the Google Drive folder" in str(refused.value)
    with pytest.raises(CheckpointError, match="There is no checkpoint file"):
        load_promptable("medsam", checkpoint="nowhere.pth")
    with pytest.raises(CheckpointError, match="There is no checkpoint file"):
        load_promptable(checkpoint="nowhere.pth")
    with pytest.raises(CheckpointError, match="no promptable model 'sam3'; choose one of small, medsam"):
        load_promptable("sam3")


def test_the_small_weights_are_not_medsams() -> None:
    bundled = get_entry("small").bundled
    with pytest.raises(CheckpointError, match=r"is not of 'medsam' \(vit_b\)"):
        load_promptable("medsam", checkpoint=bundled)


def test_checksums_of_either_kind_are_compared(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    sha256, md5 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "900150983cd24fb0d6963f7d28e17f72"
    assert sha256_of(path) == sha256
    for given_, expected in (
        ({"sha256": sha256}, True),
        ({"sha256": "0" * 64}, False),
        ({"md5": md5}, True),
        ({"md5": "0" * 32}, False),
        ({}, None),
    ):
        entry = replace(ENTRY, **{"sha256": None, "md5": None, **given_})
        assert is_published(entry, path, sha256=sha256) is expected
    with pytest.raises(CheckpointError, match="cannot be read"):
        sha256_of(tmp_path)


@pytest.mark.parametrize("architecture", ["vit_b", "vit_l", "vit_h"])
def test_sam_architectures_have_the_published_layout(architecture: str) -> None:
    state = build_network(architecture).state_dict()
    millions = {"vit_b": 93.7, "vit_l": 312.3, "vit_h": 641.1}[architecture]
    assert sum(value.numel() for value in state.values()) / 1e6 == pytest.approx(millions, abs=0.1)
    assert {name.split(".")[0] for name in state} == {"image_encoder", "prompt_encoder", "mask_decoder"}


def test_a_vit_b_checkpoint_loads_from_end_to_end(tmp_path: Path) -> None:
    path = tmp_path / "medsam_vit_b.pth"
    torch.save(state_of("vit_b", prefix="module."), path)
    model = load_promptable("medsam", checkpoint=path)
    assert model.contract.name == "medsam"
    assert len(model.sha256) == 64


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("architecture", ["small", "vit_b", "vit_l", "vit_h"])
def test_architectures_are_recognised_from_tensors(architecture: str, prefix: str, wrapper: str | None) -> None:
    state = state_of(architecture, prefix=prefix)
    content = {wrapper: state, "optimizer": {"lr": 0.1}, "epoch": 3} if wrapper else state
    assert recognise(content, path=Path("file")) == architecture


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"0.weight": torch.zeros(4, 3)}, "of no known architecture"),
        ({"image_encoder.patch_embed.proj.weight": torch.zeros(64, 3, 16, 16)}, "of no known architecture"),
        ({"image_encoder.patch_embed.proj.weight": torch.tensor(768.0)}, "of no known architecture"),
        ({"image_encoder.patch_embed.proj.weight": 768}, "is not a tensor"),
        ({}, "has no tensors"),
    ],
)
def test_other_tensors_are_not_recognised(content: dict, sentence: str) -> None:
    with pytest.raises(CheckpointError, match=sentence):
        recognise(content, path=Path("file"))


@pytest.mark.parametrize(("architecture", "name"), [("vit_l", "sam-vit-l"), ("vit_h", "sam-vit-h"), ("small", "small")])
def test_where_tensors_tell_the_model_no_name_is_needed(tmp_path: Path, architecture: str, name: str) -> None:
    path = write_weights(tmp_path / "any_name.bin", architecture)
    assert identify(path, sha256="0" * 64).name == name


@pytest.mark.parametrize("name", ["medsam", "sam-vit-b"])
@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_published_checksum_tells_models_of_one_architecture_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    path = write_weights(tmp_path / "any_name.bin")
    digest = hashlib.new(kind, path.read_bytes()).hexdigest()
    entry = replace(get_entry(name), **{"sha256": None, "md5": None, kind: digest})
    monkeypatch.setattr(registry, "MODELS", {**registry.MODELS, name: entry})
    chosen = choose_checkpoint(None, path)
    assert (chosen.entry, chosen.path, chosen.sha256) == (entry, path, sha256_of(path))
    model = load_promptable(checkpoint=path)
    assert (model.name, model.contract) == (name, entry.contract)


def test_without_a_published_checksum_the_name_is_asked_for(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "medsam_vit_b.pth")
    with pytest.raises(CheckpointError, match=r"any of medsam, medsam-points, sam-vit-b.*--promptable NAME"):
        load_promptable(checkpoint=path)


def test_code_in_a_pickle_is_not_run_to_recognise_it(tmp_path: Path) -> None:
    trap, path = tmp_path / "sprung", tmp_path / "bomb.pth"
    torch.save({**state_of("vit_l"), "extra": Bomb(trap)}, path)
    with pytest.raises(CheckpointError, match="would run code"):
        load_promptable(checkpoint=path)
    assert not trap.exists()


def test_own_weights_of_the_small_model_are_recognised(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save({"model": state_of("small", fill=0.5)}, path)
    model = load_promptable(checkpoint=path)
    assert (model.name, model.sha256) == ("small", sha256_of(path))
    assert load_promptable().sha256 == get_entry("small").sha256 != model.sha256


def test_weights_of_the_store_are_found_and_their_checksum_is_held_to(own_folder: Path) -> None:
    own_folder.mkdir()
    path = write_weights(own_folder / "medsam_point_prompt_flare22.pth")
    with pytest.raises(CheckpointError, match=r"No checksum of .* run `autoweak models import medsam-points"):
        load_promptable("medsam-points")
    store.import_file(path, name="medsam-points")
    assert load_promptable("medsam-points").sha256 == sha256_of(path)
    write_weights(path, fill=1.0)
    with pytest.raises(CheckpointError, match="is not the file that was recorded"):
        load_promptable("medsam-points")
    # A file that is named goes before the store.
    assert load_promptable("medsam-points", checkpoint=path).sha256 == sha256_of(path)
