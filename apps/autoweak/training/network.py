"""The coarse networks, read from their one definition in `inference.json` of the bundle `coarse_segmentation`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from autoweak.networks.definition import bundle_definition, network_from
from autoweak.tasks import CoarseNetwork

if TYPE_CHECKING:
    from autoweak.tasks import Task

BUNDLE = "coarse_segmentation"
_MEMBERS = {
    CoarseNetwork.LARGE_KERNEL: "network_def::member",
    CoarseNetwork.UNETPLUSPLUS: "other_members::unetplusplus",
}


def network_definition(
    *, in_channels: int, out_channels: int, network: CoarseNetwork = CoarseNetwork.LARGE_KERNEL
) -> dict[str, Any]:
    """The bundle's definition of one member for these channels, with all references resolved to plain values.

    Args:
        in_channels: 1 (grey) or 3 (RGB).
        out_channels: number of labels K; the background has no channel.
        network: which; `large_kernel` is the member of the bundle's `network_def`.
    """
    return bundle_definition(BUNDLE, part=_MEMBERS[network], in_channels=in_channels, out_channels=out_channels)


def definition_of(task: Task) -> dict[str, Any]:
    """The definition of the network that a task names, for its channels and labels."""
    return network_definition(in_channels=task.channels, out_channels=task.num_labels, network=task.coarse.network)


def build_network(
    *, in_channels: int, out_channels: int, network: CoarseNetwork = CoarseNetwork.LARGE_KERNEL
) -> nn.Module:
    """A network with fresh weights: images (N, in_channels, H, W) to logits (N, out_channels, H, W)."""
    return network_from(network_definition(in_channels=in_channels, out_channels=out_channels, network=network))
