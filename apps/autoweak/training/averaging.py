"""An exponential moving average of a network's weights, which predicts better than the last step's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class AveragedNetwork:
    """Follows `network`; early on it forgets faster, so that the random start does not linger.

    Args:
        network: the network being trained.
        decay: share of the average kept at each step once it has warmed up, 0 to 1.
    """

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after optimiser step `step` (1 is the first)."""
        decay = min(self._decay, step / (step + 9))
        current = network.state_dict()
        for name, average in self.network.state_dict().items():
            if average.dtype.is_floating_point:
                average.lerp_(current[name], 1 - decay)
            else:
                average.copy_(current[name])

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged weights and running statistics."""
        return dict(self.network.state_dict())
