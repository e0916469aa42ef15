"""The small architecture and the script that trains it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from autoweak.promptable.small import build_small

ROOT = Path(__file__).resolve().parents[2]


def test_shapes_and_size() -> None:
    network = build_small().eval()
    with torch.inference_mode():
        features = network.image_encoder(torch.zeros(2, 3, 192, 192))
    assert features.shape == (2, 128, 24, 24)
    assert sum(value.numel() for value in network.state_dict().values()) < 5_000_000


def test_every_parameter_of_the_encoder_takes_part() -> None:
    network = build_small()
    # The last convolution of a residual block begins at zero, so that the first gradients pass it by.
    for name, parameter in network.named_parameters():
        if name.endswith("second.weight"):
            torch.nn.init.normal_(parameter, std=0.02)
    network.image_encoder(torch.randn(1, 3, 192, 192)).square().sum().backward()
    idle = [name for name, value in network.image_encoder.named_parameters() if value.grad is None]
    still = [name for name, value in network.image_encoder.named_parameters() if not value.grad.any()]
    assert not idle
    assert not still


@pytest.mark.slow
def test_the_training_script_trains_and_resumes(tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "scripts" / "train_small_promptable.py"), "--out", str(tmp_path)]
    subprocess.run([*script, "--steps", "50"], check=True)
    first = load_file(tmp_path / "small.safetensors")
    subprocess.run([*script, "--steps", "100"], check=True)
    second = load_file(tmp_path / "small.safetensors")
    assert not torch.equal(first["image_encoder.stem.weight"], second["image_encoder.stem.weight"])
    build_small().load_state_dict({name: value.float() for name, value in second.items()})
    steps = [int(row.split(",")[0]) for row in (tmp_path / "curve.csv").read_text().splitlines()[1:]]
    assert steps == [50, 100]
