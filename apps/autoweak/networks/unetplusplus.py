"""UNet++ (Zhou 2018), MONAI's, as one tensor in and one tensor out."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets import BasicUNetPlusPlus
from torch import Tensor, nn

from autoweak.networks.large_kernel_net import standardise


class UNetPlusPlus(nn.Module):
    """Image in, logits out: the nested U-Net that S1 trains, without deep supervision.

    The image is standardised inside, per image and channel, so any linear intensity scale is understood.

    Args:
        in_channels: 1 (grey) or 3 (RGB).
        out_channels: classes; each has a sigmoid channel of its own, classes may overlap.
        features: channels at strides 1, 2, 4, 8 and 16, then of the last layer before the logits.
        norm: name of the norm, as MONAI calls it.
        dropout: share of the features dropped after each convolution in training, 0 to 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        features: Sequence[int] = (32, 64, 128, 256, 512, 32),
        norm: str = "batch",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.nested = BasicUNetPlusPlus(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=out_channels,
            features=features,
            act="relu",
            norm=norm,
            dropout=dropout,
            upsample="nontrainable",
        )
        # Without deep supervision nothing reads the other three outputs: they would be dead weights in every file.
        for name in ("final_conv_0_1", "final_conv_0_2", "final_conv_0_3"):
            setattr(self.nested, name, nn.Identity())
        nn.init.constant_(self.nested.final_conv_0_4.bias, -1.5)  # foreground is the exception

    def forward(self, image: Tensor) -> Tensor:
        """Logits (N, out_channels, H, W) for an image (N, in_channels, H, W), H and W at least 32 pixels."""
        logits: Tensor = self.nested(standardise(image))[0]
        return logits
