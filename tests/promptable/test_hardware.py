"""Devices, precisions and threads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from autoweak.errors import PromptError
from autoweak.promptable import hardware
from autoweak.promptable.hardware import Precision, choose_device, choose_dtype, limit_threads

CPU = torch.device("cpu")


def test_auto_is_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU


@pytest.mark.parametrize(("device", "sentence"), [("warp", "no device 'warp'"), ("cuda", "finds no GPU")])
def test_a_device_that_is_not_there_is_refused(device: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PromptError, match=sentence):
        choose_device(device)


@pytest.mark.parametrize("there", [True, False])
def test_auto_precision_is_what_the_processor_has(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: there, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert choose_dtype("auto", CPU) is (torch.bfloat16 if there else torch.float32)


def test_a_precision_asked_for_is_taken() -> None:
    assert choose_dtype(Precision.FLOAT32, CPU) is torch.float32
    assert choose_dtype("bfloat16", CPU) is torch.bfloat16
    with pytest.raises(PromptError, match="choose one of auto, float32, bfloat16"):
        choose_dtype("half", CPU)


@pytest.mark.parametrize(
    ("text", "processors"), [("200000 100000", 2), ("150000 100000", 1), ("50000 100000", 1), ("max 100000", None)]
)
def test_quota_of_a_container(text: str, processors: int | None, tmp_path: Path) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(text)
    assert hardware._quota(path) == processors
    assert hardware._quota(tmp_path / "none") is None


def test_threads_are_limited_to_the_quota_unless_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cpu.max"
    path.write_text("100000 100000")
    monkeypatch.setattr(hardware, "_CGROUP_QUOTA", path)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        assert limit_threads() == 3
        monkeypatch.delenv("OMP_NUM_THREADS")
        assert limit_threads() == 1
    finally:
        torch.set_num_threads(before)
