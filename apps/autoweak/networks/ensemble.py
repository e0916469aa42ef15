"""Whole slices in, logits at their size out: the mean of a coarse model's members and of their mirror images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoweak.networks.strict import StrictModule

# A logit whose sigmoid is 0 in float32: said of a class where nothing was looked for.
NOTHING = -120.0


class Ensemble(StrictModule):
    """A coarse model as one module with one state dict.

    In evaluation the sigmoid maps of all members, and of the mirrored slices, are averaged at the members' size and
    brought to the size of the slices. In training the members' logits are averaged, and nothing is mirrored.

    Args:
        member: builds one member: (N, C, size, size) 0 to 1 in, logits (N, K, size, size) out.
        count: how many members there are, 1 or more.
        size: side of the square that the members see, pixels.
        mirror: flips that keep the labels true, of "horizontal" (columns) and "vertical" (rows).
    """

    # Here and not at the module's head, because TorchScript knows no module's constants.
    slices = 16  # at a time: at 512 × 512 and 8 classes a chunk stays below 200 MB
    margin = 1e-7  # probabilities this near to 0 and 1 have finite logits
    nothing = NOTHING
    __constants__ = ("margin", "nothing", "slices")

    def __init__(
        self, member: Callable[[], nn.Module], *, count: int = 1, size: int, mirror: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList([member() for _ in range(count)])
        self.size = size
        # Two switches and not a list of axes, whose type TorchScript cannot tell when it is empty.
        self.horizontal, self.vertical = "horizontal" in mirror, "vertical" in mirror

    @classmethod
    def of(cls, members: Sequence[nn.Module], *, size: int, mirror: Sequence[str] = ()) -> Ensemble:
        """The ensemble of networks that are there already; they are shared, not copied."""
        return cls(iter(members).__next__, count=len(members), size=size, mirror=mirror)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of slices.

        A slice of one value throughout shows nothing; its logits are `NOTHING`.

        Args:
            image: (N, C, H, W) float32, 0 to 1, the 8-bit view of N slices of any size.

        Returns:
            (N, K, H, W) float32, a sigmoid channel for each label in order of value; classes may overlap.
        """
        if self.training:
            return self._resized(self._mean_logits(self._squared(image)), image)
        chunks: list[Tensor] = []
        for start in range(0, image.shape[0], self.slices):
            chunks.append(self._logits(image[start : start + self.slices]))
        return torch.cat(chunks)

    def _logits(self, image: Tensor) -> Tensor:
        maps = self._resized(self._mean_map(self._squared(image)), image).clamp(0, 1)
        logits = torch.logit(maps, eps=self.margin)
        plain = image.amax(dim=(1, 2, 3), keepdim=True) == image.amin(dim=(1, 2, 3), keepdim=True)
        return logits.masked_fill(plain, self.nothing)

    def _mean_map(self, image: Tensor) -> Tensor:
        total = torch.zeros(1, device=image.device)
        for member in self.members:
            total = total + torch.sigmoid(member(image))
            if self.horizontal:
                total = total + torch.sigmoid(member(image.flip(-1))).flip(-1)
            if self.vertical:
                total = total + torch.sigmoid(member(image.flip(-2))).flip(-2)
        return total / (len(self.members) * (1 + int(self.horizontal) + int(self.vertical)))

    def _mean_logits(self, image: Tensor) -> Tensor:
        total = torch.zeros(1, device=image.device)
        for member in self.members:
            total = total + member(image)
        return total / len(self.members)

    def _squared(self, image: Tensor) -> Tensor:
        return to_square(image, self.size)

    def _resized(self, maps: Tensor, image: Tensor) -> Tensor:
        size = [image.shape[2], image.shape[3]]
        return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def to_square(image: Tensor, size: int) -> Tensor:
    """Resize (N, C, H, W) float32 to (N, C, size, size), averaging where it shrinks; the aspect ratio is not kept."""
    if image.shape[2] == size and image.shape[3] == size:
        return image
    return functional.interpolate(image, size=[size, size], mode="bilinear", antialias=True, align_corners=False)
