"""The small promptable model: SAM's prompt encoder and mask decoder behind a convolutional image encoder."""

from __future__ import annotations

from typing import cast

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional

IMAGE_SIZE = 192
STRIDE = 8
WIDTH = 128
_STEM_WIDTH = 32
_FINE_WIDTH = 64
_COARSE_WIDTH = 192


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W), fast where memory is channels last."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        rows = features.permute(0, 2, 3, 1)
        return functional.layer_norm(rows, rows.shape[-1:], self.weight, self.bias).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """Norm, two 3 × 3 convolutions, and the input added: (B, C, H, W) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, features: Tensor) -> Tensor:
        return features + cast(Tensor, self.second(functional.relu(self.first(self.norm(features)))))


class AttentionBlock(nn.Module):
    """Pre-norm self-attention over all positions and a two-layer perceptron: (B, C, H, W) to the same."""

    def __init__(self, channels: int, *, heads: int, ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)
        self.norm_mlp = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, ratio * channels)
        self.narrow = nn.Linear(ratio * channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        batch, channels, height, width = features.shape
        rows = features.flatten(2).transpose(1, 2)
        qkv = self.qkv(self.norm_attention(rows)).reshape(batch, height * width, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(batch, -1, channels)
        rows = rows + self.project(mixed)
        rows = rows + self.narrow(functional.relu(self.widen(self.norm_mlp(rows))))
        return cast(Tensor, rows.transpose(1, 2).reshape(batch, channels, height, width))


class SmallImageEncoder(nn.Module):
    """Convolutions down to stride 8, attention at stride 16 for the whole view, both joined at stride 8."""

    def __init__(self) -> None:
        super().__init__()
        self.img_size = IMAGE_SIZE
        self.stem = nn.Conv2d(3, _STEM_WIDTH, 5, stride=2, padding=2)
        self.to_fine = nn.Conv2d(_STEM_WIDTH, _FINE_WIDTH, 3, stride=2, padding=1)
        self.fine = ResidualBlock(_FINE_WIDTH)
        self.to_middle = nn.Conv2d(_FINE_WIDTH, WIDTH, 3, stride=2, padding=1)
        self.middle = nn.Sequential(ResidualBlock(WIDTH), ResidualBlock(WIDTH))
        self.to_coarse = nn.Conv2d(WIDTH, _COARSE_WIDTH, 3, stride=2, padding=1)
        side = IMAGE_SIZE // (2 * STRIDE)
        self.position = nn.Parameter(torch.randn(1, _COARSE_WIDTH, side, side) * 0.02)
        self.coarse = nn.Sequential(*(AttentionBlock(_COARSE_WIDTH, heads=6, ratio=3) for _ in range(4)))
        self.from_coarse = nn.Conv2d(_COARSE_WIDTH, WIDTH, 1)
        self.join = ResidualBlock(WIDTH)
        self.neck = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1), ChannelNorm(WIDTH))

    def forward(self, image: Tensor) -> Tensor:
        """Encode.

        Args:
            image: (B, 3, 192, 192), standardised.

        Returns:
            (B, 128, 24, 24).
        """
        fine = self.fine(functional.relu(self.to_fine(functional.relu(self.stem(image)))))
        middle = self.middle(self.to_middle(fine))
        coarse = self.coarse(self.to_coarse(middle) + self.position)
        middle = middle + functional.interpolate(self.from_coarse(coarse), scale_factor=2.0, mode="bilinear")
        return cast(Tensor, self.neck(self.join(middle)))


class SmallPromptable(nn.Module):
    """The three parts under SAM's own names, so that one code path drives every model of the family."""

    def __init__(self) -> None:
        super().__init__()
        side = IMAGE_SIZE // STRIDE
        self.image_encoder = SmallImageEncoder()
        self.prompt_encoder = PromptEncoder(
            embed_dim=WIDTH,
            image_embedding_size=(side, side),
            input_image_size=(IMAGE_SIZE, IMAGE_SIZE),
            mask_in_chans=16,
            activation=nn.ReLU,
        )
        self.mask_decoder = MaskDecoder(
            transformer_dim=WIDTH,
            transformer=TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=512, num_heads=4),
            num_multimask_outputs=3,
            activation=nn.ReLU,
            iou_head_depth=3,
            iou_head_hidden_dim=WIDTH,
        )


def build_small() -> SmallPromptable:
    """Build the small model with random weights."""
    return SmallPromptable()
