from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from autoweak.dice import dice
from autoweak.errors import CheckpointError
from autoweak.networks.large_kernel_net import LargeKernelNet
from autoweak.phantoms.ultrasound import draw_ultrasound
from autoweak.tasks import CoarseNetwork
from autoweak.training import start
from autoweak.training.network import build_network
from autoweak.training.predict import predict_probabilities


@pytest.mark.parametrize(("in_channels", "out_channels"), [(1, 1), (3, 1), (1, 2), (3, 4)])
def test_every_weight_of_the_bundles_network_has_a_start(in_channels: int, out_channels: int) -> None:
    network = build_network(in_channels=in_channels, out_channels=out_channels)

    assert set(start.load_start(network)) == set(network.state_dict())


def test_grey_as_colour_starts_as_grey_and_each_class_as_the_one_class() -> None:
    grey, colour = build_network(in_channels=1, out_channels=1), build_network(in_channels=3, out_channels=2)
    start.load_start(grey)
    start.load_start(colour)
    image = torch.rand(2, 1, 48, 48)

    expected = grey.eval()(image)
    logits = colour.eval()(image.expand(-1, 3, -1, -1))

    torch.testing.assert_close(logits, expected.expand(-1, 2, -1, -1), rtol=1e-4, atol=1e-4)


def test_the_start_finds_the_lesion_of_a_phantom_it_was_not_made_from() -> None:
    network = build_network(in_channels=1, out_channels=1)
    start.load_start(network)
    drawn = [draw_ultrasound(np.random.default_rng((77, number)), (120, 144)) for number in range(12)]

    found = [
        dice(predict_probabilities([network.eval()], image[None, ..., None], size=96)[0, 0] > 0.5, mask > 0)
        for image, mask in drawn
    ]

    assert np.mean(found) > 0.6


def test_a_network_of_another_shape_keeps_its_own_weights() -> None:
    network = LargeKernelNet(1, 1, width=8, dilations=(1,), deep_dilations=())
    kept = {name: value.clone() for name, value in network.state_dict().items()}

    taken = start.load_start(network)

    assert set(taken) <= {"head.bias", *(name for name in kept if name.endswith("num_batches_tracked"))}
    assert torch.equal(network.state_dict()["stem.0.weight"], kept["stem.0.weight"])


def test_no_start_weight_fits_unetplusplus() -> None:
    network = build_network(in_channels=1, out_channels=1, network=CoarseNetwork.UNETPLUSPLUS)
    assert start.load_start(network) == ()


def test_missing_start_weights_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(start, "start_path", lambda: tmp_path / "none.safetensors")

    with pytest.raises(CheckpointError, match="install autoweak again"):
        start.load_start(build_network(in_channels=1, out_channels=1))
