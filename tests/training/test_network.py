from __future__ import annotations

import pytest
import torch

from autoweak.errors import CheckpointError
from autoweak.networks.definition import network_from
from autoweak.tasks import CoarseNetwork, Task
from autoweak.training.network import build_network, definition_of, network_definition


@pytest.mark.parametrize("network", list(CoarseNetwork))
@pytest.mark.parametrize(("in_channels", "out_channels"), [(1, 1), (3, 1), (1, 2)])
def test_the_bundles_networks_take_the_tasks_channels(
    in_channels: int, out_channels: int, network: CoarseNetwork
) -> None:
    built = build_network(in_channels=in_channels, out_channels=out_channels, network=network).eval()

    assert built(torch.rand(1, in_channels, 32, 48)).shape == (1, out_channels, 32, 48)


@pytest.mark.parametrize("network", list(CoarseNetwork))
def test_networks_understand_any_linear_scale_and_every_weight_of_theirs_learns(network: CoarseNetwork) -> None:
    torch.manual_seed(0)
    built = build_network(in_channels=1, out_channels=1, network=network)
    image = torch.rand(2, 1, 32, 32)
    built(image).mean().backward()
    assert all(weight.grad is not None for weight in built.parameters())
    built.eval()
    with torch.no_grad():
        assert torch.allclose(built(image), built(3 * image + 7), atol=1e-3)


def test_a_task_names_its_network(task: Task) -> None:
    coarse = task.coarse.model_copy(update={"network": CoarseNetwork.UNETPLUSPLUS})
    nested = task.model_copy(update={"coarse": coarse})
    assert task.coarse.network is CoarseNetwork.LARGE_KERNEL
    assert definition_of(task)["_target_"].endswith("LargeKernelNet")
    assert definition_of(nested)["_target_"].endswith("UNetPlusPlus")
    assert nested.sha256 != task.sha256


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
