from __future__ import annotations

import pytest
import torch

from autoweak.errors import CheckpointError
from autoweak.networks.definition import network_from
from autoweak.training.network import build_network, network_definition


@pytest.mark.parametrize(("in_channels", "out_channels"), [(1, 1), (3, 1), (1, 2)])
def test_the_bundles_network_takes_the_tasks_channels(in_channels: int, out_channels: int) -> None:
    network = build_network(in_channels=in_channels, out_channels=out_channels).eval()

    assert network(torch.rand(1, in_channels, 32, 48)).shape == (1, out_channels, 32, 48)


def test_a_definition_builds_the_same_network_again() -> None:
    definition = network_definition(in_channels=1, out_channels=2)

    one, other = network_from(definition), build_network(in_channels=1, out_channels=2)

    assert {name: value.shape for name, value in one.state_dict().items()} == {
        name: value.shape for name, value in other.state_dict().items()
    }


def test_monais_networks_may_be_named() -> None:
    definition = {
        "_target_": "monai.networks.nets.UNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 1,
        "channels": [4, 8],
        "strides": [2],
    }

    assert network_from(definition)(torch.rand(1, 1, 16, 16)).shape == (1, 1, 16, 16)


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"_target_": "os.system", "command": "true"},
        {"_target_": "autoweak.networks.large_kernel_net.torch.load", "f": "x"},
        {"_target_": "monai.networks.nets.unet.nn.Linear", "in_features": 1, "out_features": 1},
        {"_target_": "monai.networks.nets.UNet", "spatial_dims": "$__import__('os').getpid()"},
        {"_target_": "monai.networks.nets.UNet", "_mode_": "debug"},
        {"_target_": "monai.networks.nets.UNet", "norm": {"_target_": "os.system"}},
        {"_target_": "monai.networks.nets.NoSuchNet"},
    ],
)
def test_anything_else_is_refused(definition: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="may only name a network"):
        network_from(definition)


def test_values_that_do_not_fit_are_told_in_one_sentence() -> None:
    with pytest.raises(CheckpointError, match="cannot be built") as caught:
        network_from({"_target_": "monai.networks.nets.UNet", "spatial_dims": 2})

    assert "\n" not in str(caught.value)
