"""Checkpoints are untrusted: what loads, and what is refused with one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from autoweak.errors import CheckpointError
from autoweak.promptable.checkpoints import check_sha256, load_weights
from autoweak.promptable.model import build_network, load_promptable
from autoweak.promptable.registry import get_entry

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


def test_models_without_weights_say_where_to_get_them() -> None:
    with pytest.raises(CheckpointError, match=r"get medsam_vit_b\.pth from .* and pass it with --checkpoint FILE"):
        load_promptable("medsam")
    with pytest.raises(CheckpointError, match="There is no checkpoint file"):
        load_promptable("medsam", checkpoint="nowhere.pth")
    with pytest.raises(CheckpointError, match="no promptable model 'sam3'; choose one of small, medsam"):
        load_promptable("sam3")


def test_the_small_weights_are_not_medsams() -> None:
    bundled = get_entry("small").bundled
    with pytest.raises(CheckpointError, match=r"is not of 'medsam' \(vit_b\)"):
        load_promptable("medsam", checkpoint=bundled)


def test_a_checksum_is_held_to(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    digest = check_sha256(path, None)
    assert check_sha256(path, digest) == digest
    with pytest.raises(CheckpointError, match="has the checksum"):
        check_sha256(path, "0" * 64)


@pytest.mark.parametrize("architecture", ["vit_b", "vit_l", "vit_h"])
def test_sam_architectures_have_the_published_layout(architecture: str) -> None:
    state = build_network(architecture).state_dict()
    millions = {"vit_b": 93.7, "vit_l": 312.3, "vit_h": 641.1}[architecture]
    assert sum(value.numel() for value in state.values()) / 1e6 == pytest.approx(millions, abs=0.1)
    assert {name.split(".")[0] for name in state} == {"image_encoder", "prompt_encoder", "mask_decoder"}


def test_a_vit_b_checkpoint_loads_from_end_to_end(tmp_path: Path) -> None:
    path = tmp_path / "medsam_vit_b.pth"
    with torch.device("meta"):
        shapes = build_network("vit_b").state_dict()
    torch.save({f"module.{name}": torch.zeros(1).expand(value.shape) for name, value in shapes.items()}, path)
    model = load_promptable("medsam", checkpoint=path)
    assert model.contract.name == "medsam"
    assert len(model.sha256) == 64
