"""The coarse network, read from its one definition: the member of `network_def` in the bundle `coarse_segmentation`."""

from __future__ import annotations

from typing import Any

from torch import nn

from autoweak.networks.definition import bundle_definition, network_from

BUNDLE = "coarse_segmentation"
_MEMBER = "network_def::member"


def network_definition(*, in_channels: int, out_channels: int) -> dict[str, Any]:
    """One member of the bundle's `network_def` for these channels, with all references resolved to plain values.

    Args:
        in_channels: 1 (grey) or 3 (RGB).
        out_channels: number of labels K; the background has no channel.
    """
    return bundle_definition(BUNDLE, part=_MEMBER, in_channels=in_channels, out_channels=out_channels)


def build_network(*, in_channels: int, out_channels: int) -> nn.Module:
    """The bundle's network with fresh weights: images (N, in_channels, H, W) to logits (N, out_channels, H, W)."""
    return network_from(network_definition(in_channels=in_channels, out_channels=out_channels))
