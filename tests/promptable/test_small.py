"""The small architecture and the script that trains it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from autoweak.promptable import small
from autoweak.promptable.small import IMAGE_SIZE, SmallPromptable, build_small

ROOT = Path(__file__).resolve().parents[2]


def test_shapes_and_size() -> None:
    network = build_small().eval()
    with torch.inference_mode():
        features = network.image_encoder(torch.zeros(2, 3, 256, 256))
    assert features.shape == (2, 256, 32, 32)
    assert sum(value.numel() for value in network.state_dict().values()) < 5_000_000


def test_every_parameter_of_the_encoder_takes_part() -> None:
    network = build_small()
    # The last convolution of a residual block begins at zero, so that the first gradients pass it by.
    for name, parameter in network.named_parameters():
        if name.endswith("second.weight"):
            torch.nn.init.normal_(parameter, std=0.02)
    network.image_encoder(torch.randn(1, 3, 256, 256)).square().sum().backward()
    idle = [name for name, value in network.image_encoder.named_parameters() if value.grad is None]
    still = [name for name, value in network.image_encoder.named_parameters() if not value.grad.any()]
    assert not idle
    assert not still


def decode(network: SmallPromptable, features: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.inference_mode():
        sparse, dense = network.prompt_encoder(points=None, boxes=boxes, masks=None)
        found: tuple[torch.Tensor, torch.Tensor] = network.mask_decoder(
            image_embeddings=features,
            image_pe=network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
        )
        return found


def test_one_embedding_for_all_prompts_is_as_one_for_each() -> None:
    network = build_small().eval()
    boxes = torch.tensor([[10.0, 20.0, 100.0, 90.0], [0.0, 0.0, 255.0, 255.0], [7.0, 7.0, 7.0, 7.0]])
    features = torch.randn(1, small.EMBEDDING_WIDTH, 32, 32)
    logits, iou = decode(network, features, boxes)
    assert logits.shape == (3, 1, 128, 128)
    assert iou.shape == (3, 1)
    repeated, _ = decode(network, features.repeat(3, 1, 1, 1), boxes)
    torch.testing.assert_close(logits, repeated, atol=1e-5, rtol=1e-4)


def test_maps_of_a_box_are_positive_inside_and_follow_the_oval() -> None:
    maps = small._box_maps(torch.tensor([[64.0, 32.0, 191.0, 95.0]]))[0]
    place = (torch.arange(64) + 0.5) * (IMAGE_SIZE / 64) - 0.5
    inside = ((place >= 64) & (place <= 191))[None] & ((place >= 32) & (place <= 95))[:, None]
    oval, edge, across, down = maps[0], maps[2], maps[4], maps[5]
    assert torch.equal(edge > 0, inside)
    assert not (oval > 0)[~inside].any()
    assert (oval > 0).sum() / inside.sum() == pytest.approx(torch.pi / 4, abs=0.03)
    assert (across[:, place < 127].max(), down[place < 63].max()) < (0, 0)
    assert maps.abs().max() <= 2


def test_maps_of_points_peak_where_the_points_are() -> None:
    places, labels = torch.tensor([[[99.5, 51.5], [11.5, 203.5], [5.0, 5.0]]]), torch.tensor([[1, 0, -1]])
    maps = small._point_maps(places, labels)[0]
    for index, (x, y) in ((0, (99.5, 51.5)), (2, (11.5, 203.5))):
        row, column = divmod(int(maps[index].argmax()), 32)
        assert (column * 8 + 3.5, row * 8 + 3.5) == (x, y)
        assert maps[index].max() == pytest.approx(1)
    assert maps[:, 0, 0].max() < 0.5, "what is no point leaves no mark"


def test_sureness_grows_with_the_logits() -> None:
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    distance = 40 - torch.hypot(rows - 64, columns - 64)
    doubtful, sure = small._sureness(torch.stack([distance / 20, distance * 2])[:, None])
    assert (sure[:3] > doubtful[:3]).all()
    assert sure[3] < doubtful[3]
    assert sure[4] == pytest.approx(float(doubtful[4]))
    assert torch.isfinite(small._sureness(torch.full((1, 1, 128, 128), -9.0))).all()


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
