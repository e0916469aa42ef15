"""A small segmentation network that sees far: dilated depthwise kernels at strides 4 and 8."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPSILON = 1e-3


class Pointwise(nn.Linear):
    """A 1 × 1 convolution as one matrix product: with channels last it is several times faster on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, in, H, W) to (N, out, H, W), channels last in memory."""
        mixed: Tensor = functional.linear(x.permute(0, 2, 3, 1), self.weight, self.bias)
        return mixed.permute(0, 3, 1, 2)


class LargeKernelBlock(nn.Module):
    """Residual block: a large dilated depthwise convolution, then a pointwise expansion (after ConvNeXt, Liu 2022).

    Args:
        channels: feature channels in and out.
        kernel_size: odd side of the depthwise kernel.
        dilation: spacing of the kernel's taps, in feature pixels.
        expansion: hidden channels of the pointwise part, as a multiple of `channels`.
    """

    def __init__(self, channels: int, *, kernel_size: int = 7, dilation: int = 1, expansion: int = 2) -> None:
        super().__init__()
        padding = dilation * (kernel_size // 2)
        self.spatial = nn.Conv2d(
            channels, channels, kernel_size, padding=padding, dilation=dilation, groups=channels, bias=False
        )
        self.norm = nn.BatchNorm2d(channels)
        self.expand = Pointwise(channels, channels * expansion)
        self.project = Pointwise(channels * expansion, channels)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) to features of the same shape."""
        hidden = functional.gelu(self.expand(self.norm(self.spatial(x))))
        change: Tensor = self.scale * self.project(hidden)
        return x + change


class DeepStage(nn.Module):
    """A detour at half the resolution, where depth and width are cheap: down, blocks, back up, and joined.

    Args:
        channels: feature channels in and out.
        width: channels at half the resolution.
        dilations: one block there for each entry.
        kernel_size: odd side of the depthwise kernels.
    """

    def __init__(self, channels: int, *, width: int, dilations: Sequence[int], kernel_size: int = 7) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(channels, width, 2, stride=2, bias=False), nn.BatchNorm2d(width))
        blocks = (LargeKernelBlock(width, kernel_size=kernel_size, dilation=step) for step in dilations)
        self.blocks = nn.Sequential(*blocks)
        self.back = Pointwise(width, channels)
        self.join = LargeKernelBlock(channels, kernel_size=kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, channels, H, W), H and W even, to features of the same shape."""
        joined: Tensor = self.join(x + _resize(self.back(self.blocks(self.down(x))), x))
        return joined


class LargeKernelNet(nn.Module):
    """Image in, logits out: large dilated kernels at strides 4 and 8, outlines refined at stride 2.

    The image is standardised inside, per image and channel, so any linear intensity scale is understood.

    Args:
        in_channels: 1 (grey) or 3 (RGB).
        out_channels: classes; each has a sigmoid channel of its own, classes may overlap.
        width: channels at stride 4; half as many at stride 2.
        dilations: one block at stride 4 for each entry.
        deep_width: channels at stride 8.
        deep_dilations: one block at stride 8 for each entry; none leaves the stage out.
        kernel_size: odd side of the depthwise kernels.
        dropout: share of the channels dropped after the last block in training, 0 to 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int = 48,
        dilations: Sequence[int] = (1, 2, 4),
        deep_width: int = 128,
        deep_dilations: Sequence[int] = (1, 2, 1, 2),
        kernel_size: int = 7,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        half = width // 2
        self.stem = nn.Sequential(nn.Conv2d(in_channels, half, 3, stride=2, padding=1), nn.BatchNorm2d(half), nn.GELU())
        self.down = nn.Sequential(nn.Conv2d(half, width, 3, stride=2, padding=1), nn.BatchNorm2d(width))
        blocks = (LargeKernelBlock(width, kernel_size=kernel_size, dilation=step) for step in dilations)
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout2d(dropout)
        self.narrow = Pointwise(width, half)
        self.refine = nn.Sequential(nn.Conv2d(half, half, 3, padding=1), nn.BatchNorm2d(half), nn.GELU())
        self.head = Pointwise(half, out_channels)
        nn.init.constant_(self.head.bias, -1.5)  # foreground is the exception: start from a mostly empty map
        self.deep: nn.Module = nn.Identity()
        if deep_dilations:
            self.deep = DeepStage(width, width=deep_width, dilations=deep_dilations, kernel_size=kernel_size)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (N, out_channels, H, W) for an image (N, in_channels, H, W) of any linear intensity scale.

        H and W are at least 16 pixels; the network was chosen at 96 to 128.
        """
        # After the stem: on a one-channel image the memory format means nothing, so it would be lost.
        fine = self.stem(standardise(image)).contiguous(memory_format=torch.channels_last)
        far = self.narrow(self.dropout(self.norm(self.deep(self.blocks(self.down(fine))))))
        fine = self.refine(_resize(far, fine) + fine)
        return _resize(self.head(fine), image).contiguous()


def standardise(image: Tensor, epsilon: float = _EPSILON) -> Tensor:
    """Give each image and channel (N, C, H, W) mean 0 and standard deviation 1; a constant image becomes 0.

    The deviation counts at least as `epsilon` (an argument, because TorchScript knows no module's constants).
    """
    mean = image.mean(dim=(2, 3), keepdim=True)
    deviation = image.std(dim=(2, 3), keepdim=True, unbiased=False)
    return (image - mean) / deviation.clamp_min(epsilon)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
