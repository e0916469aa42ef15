"""Soft Dice plus cross-entropy, each sample weighted by how far its mask is trusted."""

from __future__ import annotations

from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional

from autoweak.training.batches import Batch


class WeightedDiceCELoss(nn.Module):
    """Mean over the batch, weighted by `Batch.weight`, of soft Dice loss (Milletari 2016) + binary cross-entropy.

    Args:
        smoothing: pixels added to numerator and denominator of the Dice.
    """

    def __init__(self, *, smoothing: float) -> None:
        super().__init__()
        self._dice = DiceLoss(sigmoid=True, reduction="none", smooth_nr=smoothing, smooth_dr=smoothing)

    def forward(self, logits: Tensor, batch: Batch) -> Tensor:
        """One number for logits (N, K, H, W) against `batch.target` of that shape, 0 to 1."""
        overlap = self._dice(logits, batch.target).flatten(1).mean(dim=1)
        entropy = functional.binary_cross_entropy_with_logits(logits, batch.target, reduction="none")
        each: Tensor = overlap + entropy.flatten(1).mean(dim=1)
        return (each * batch.weight).sum() / batch.weight.sum()
