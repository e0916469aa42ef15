"""The small promptable model: a convolutional image encoder with attention, and a SAM-like prompt and mask decoder.

Three things differ from SAM, all for sharp outlines from few parameters: boxes and points are also drawn on the grid
of the embedding; features of stride 4 are kept in the embedding and join while the mask is upscaled; and the predicted
IoU is read from how sure the mask is of itself, which holds on images unlike those of the training.
"""

from __future__ import annotations

from typing import cast

import torch
from segment_anything.modeling import PromptEncoder, TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional

IMAGE_SIZE = 256
STRIDE = 8
WIDTH = 128
SKIP_WIDTH = 32
EMBEDDING_WIDTH = WIDTH + 4 * SKIP_WIDTH
_STEM_WIDTH = 32
_FINE_WIDTH = 64
_COARSE_WIDTH = 192
_COARSE_BLOCKS = 6
_UP_WIDTH = 16
_REACHES = (4.0, 16.0)
_POINT_SPREADS = (6.0, 24.0)
_SURENESS_WIDTH = 32
_MARGINS = (1.0, 2.0)


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
        self.coarse = nn.Sequential(*(AttentionBlock(_COARSE_WIDTH, heads=3, ratio=3) for _ in range(_COARSE_BLOCKS)))
        self.from_coarse = nn.Conv2d(_COARSE_WIDTH, WIDTH, 1)
        self.join = ResidualBlock(WIDTH)
        self.neck = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1), ChannelNorm(WIDTH))
        self.skip = nn.Sequential(nn.Conv2d(_FINE_WIDTH, SKIP_WIDTH, 1), ChannelNorm(SKIP_WIDTH))

    def forward(self, image: Tensor) -> Tensor:
        """Encode.

        Args:
            image: (B, 3, 256, 256), standardised.

        Returns:
            (B, 256, 32, 32): 128 channels of stride 8, then 32 channels of stride 4, four places each.
        """
        fine = self.fine(functional.relu(self.to_fine(functional.relu(self.stem(image)))))
        middle = self.middle(self.to_middle(fine))
        coarse = self.coarse(self.to_coarse(middle) + self.position)
        middle = middle + functional.interpolate(self.from_coarse(coarse), scale_factor=2.0, mode="bilinear")
        skip = functional.pixel_unshuffle(self.skip(fine), 2)
        return torch.cat([self.neck(self.join(middle)), skip], 1)


class SmallPromptEncoder(PromptEncoder):  # type: ignore[misc]  # segment_anything has no types
    """SAM's prompt encoder, whose dense embedding also has the box and the points drawn into it."""

    def __init__(self) -> None:
        side = IMAGE_SIZE // STRIDE
        super().__init__(
            embed_dim=WIDTH,
            image_embedding_size=(side, side),
            input_image_size=(IMAGE_SIZE, IMAGE_SIZE),
            mask_in_chans=16,
            activation=nn.ReLU,
        )
        self.draw_box = nn.Sequential(nn.Conv2d(4 * _BOX_MAPS, WIDTH, 1), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 1))
        self.draw_points = nn.Conv2d(2 * len(_POINT_SPREADS), WIDTH, 1)

    def forward(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Embed prompts.

        Args:
            points: (N, P, 2) x, y in pixels of the encoder's input, and (N, P): 1 object, 0 ground, -1 no point.
            boxes: (N, 4) XYXY.
            masks: (N, 1, 128, 128) logits of an earlier pass.

        Returns:
            Tokens (N, T, 128) and the dense embedding (N, 128, 32, 32).
        """
        sparse, dense = super().forward(points, boxes, masks)
        if boxes is not None:
            dense = dense + self.draw_box(functional.pixel_unshuffle(_box_maps(boxes.reshape(-1, 4)), 2))
        if points is not None:
            dense = dense + self.draw_points(_point_maps(*points))
        return sparse, dense


def _box_maps(boxes: Tensor) -> Tensor:
    """Where a place lies in its box: (N, 4) to (N, maps, 64, 64); distances in pixels, positive inside, squashed."""
    side = 2 * IMAGE_SIZE // STRIDE
    place = (torch.arange(side, device=boxes.device) + 0.5) * (IMAGE_SIZE / side) - 0.5
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    half = ((high - low + 1) / 2).clamp_min(0.5)
    offset = place[None, :, None] - (low + high) / 2
    across, down = offset[..., 0][:, None, :], offset[..., 1][:, :, None]
    half_width, half_height = half[..., 0][:, None], half[..., 1][:, None]
    u, v = (across / half_width).expand(-1, side, -1), (down / half_height).expand(-1, -1, side)
    oval = (1 - torch.sqrt(u * u + v * v + 1e-6)) * torch.minimum(half_width, half_height)
    inside = torch.minimum(half_width - across.abs(), half_height - down.abs())
    maps = [torch.tanh(distance / reach) for distance in (oval, inside) for reach in _REACHES]
    return torch.stack([*maps, u.clamp(-2, 2), v.clamp(-2, 2)], 1)


_BOX_MAPS = 2 * len(_REACHES) + 2


def _point_maps(places: Tensor, labels: Tensor) -> Tensor:
    """Bumps at the points of each label and spread: (N, P, 2) and (N, P) to (N, 4, 32, 32)."""
    side = IMAGE_SIZE // STRIDE
    grid = (torch.arange(side, device=places.device) + 0.5) * STRIDE - 0.5
    across = (grid - places[..., 0:1])[:, :, None, :] ** 2
    down = (grid - places[..., 1:2])[:, :, :, None] ** 2
    maps = []
    for label in (1, 0):
        chosen = (labels == label).float()[..., None, None]
        maps += [(torch.exp(-(across + down) / (2 * spread * spread)) * chosen).amax(1) for spread in _POINT_SPREADS]
    return torch.stack(maps, 1)


class SmallMaskDecoder(nn.Module):
    """SAM's two-way transformer with one mask a prompt; features of stride 4 join on the way up."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=512, num_heads=4)
        self.token = nn.Embedding(1, WIDTH)
        self.up_first = nn.ConvTranspose2d(WIDTH, SKIP_WIDTH, 2, stride=2)
        self.norm = ChannelNorm(SKIP_WIDTH)
        self.refine = nn.Conv2d(2 * SKIP_WIDTH, SKIP_WIDTH, 3, padding=1)
        self.up_second = nn.ConvTranspose2d(SKIP_WIDTH, _UP_WIDTH, 2, stride=2)
        self.kernel = nn.Sequential(
            nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, _UP_WIDTH)
        )
        self.iou = nn.Sequential(
            nn.Linear(3 + len(_MARGINS), _SURENESS_WIDTH),
            nn.ReLU(),
            nn.Linear(_SURENESS_WIDTH, _SURENESS_WIDTH),
            nn.ReLU(),
            nn.Linear(_SURENESS_WIDTH, 1),
        )

    def forward(
        self,
        *,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool = False,  # noqa: ARG002 - as SAM's decoder is called
    ) -> tuple[Tensor, Tensor]:
        """Decode N prompts.

        Args:
            image_embeddings: (1 or N, 256, 32, 32), one for all prompts or one each.
            image_pe: (1, 128, 32, 32).
            sparse_prompt_embeddings: (N, T, 128).
            dense_prompt_embeddings: (N, 128, 32, 32).
            multimask_output: there is one mask a prompt whatever it says.

        Returns:
            Logits (N, 1, 128, 128) and predicted IoU (N, 1).
        """
        count = len(sparse_prompt_embeddings)
        features, skip = torch.split(image_embeddings, [WIDTH, 4 * SKIP_WIDTH], 1)
        skip = functional.pixel_shuffle(skip, 2)
        tokens = torch.cat([self.token.weight.expand(count, -1, -1), sparse_prompt_embeddings], 1).to(features.dtype)
        source = features + dense_prompt_embeddings.to(features.dtype)
        out, grid = self.transformer(source, image_pe.expand(count, -1, -1, -1).to(features.dtype), tokens)
        up = self.norm(self.up_first(grid.transpose(1, 2).reshape(source.shape)))
        up = functional.relu(torch.cat([up, skip.expand(count, -1, -1, -1)], 1))
        up = functional.relu(self.up_second(functional.relu(self.refine(up))))
        logits = torch.einsum("nc,nchw->nhw", self.kernel(out[:, 0]), up)[:, None]
        return logits, self.iou(_sureness(logits.detach().float()))


def _sureness(logits: Tensor) -> Tensor:
    """How sure masks are of themselves: (N, 1, h, w) to (N, 5).

    The IoU to be expected of the probabilities, the share of the mask that stays when the threshold moves by each
    margin (SAM's stability), doubt along the outline, and size.
    """
    places = logits.flatten(1)
    probability, found = places.sigmoid(), (places > 0).float()
    expected = (probability * found).sum(1) / ((probability + found - probability * found).sum(1) + 1)
    stable = [(places > margin).sum(1) / ((places > -margin).sum(1) + 1) for margin in _MARGINS]
    area = found.sum(1) + 1
    doubt = ((probability * (1 - probability)).sum(1) / area.sqrt()).log1p()
    return torch.stack([expected, *stable, doubt, area.log() / 10], 1)


class SmallPromptable(nn.Module):
    """The three parts under SAM's own names, so that one code path drives every model of the family."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = SmallImageEncoder()
        self.prompt_encoder = SmallPromptEncoder()
        self.mask_decoder = SmallMaskDecoder()


def build_small() -> SmallPromptable:
    """Build the small model with random weights."""
    return SmallPromptable()
