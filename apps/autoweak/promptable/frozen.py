"""The mask decoder of a promptable model, frozen, for prompts that are learned and not given."""

from __future__ import annotations

from typing import Any, cast

import torch
from segment_anything.modeling import MaskDecoder
from torch import Tensor, nn

from autoweak.promptable.vit import BlockedMaskDecoder


class FrozenDecoder(nn.Module):
    """Image embeddings and prompt embeddings to one mask each; gradients pass through it, its weights stay.

    Args:
        decoder: of `segment_anything`, `BlockedMaskDecoder` around one, or the small model's; it is frozen.
        position: (1, width, h, w), the fixed encoding of the places of the embedding.
    """

    position: Tensor

    def __init__(self, decoder: nn.Module, position: Tensor) -> None:
        super().__init__()
        self.decoder = (decoder.decoder if isinstance(decoder, BlockedMaskDecoder) else decoder).requires_grad_(False)
        self.register_buffer("position", position.detach().clone())

    @property
    def width(self) -> int:
        """Channels of sparse and dense prompt embeddings."""
        return int(self.position.shape[1])

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the embedding."""
        return int(self.position.shape[2]), int(self.position.shape[3])

    def forward(self, features: Tensor, sparse: Tensor, dense: Tensor) -> Tensor:
        """Decode N embeddings with a prompt each.

        Args:
            features: (N, C, h, w), embeddings of N images (or of one, repeated).
            sparse: (N, T, width) tokens.
            dense: (N, width, h, w).

        Returns:
            (N, 4 h, 4 w) logits of the single mask.
        """
        if isinstance(self.decoder, MaskDecoder):
            return _decode_sam(self.decoder, features, self.position, sparse, dense)
        logits, _ = self.decoder(
            image_embeddings=features,
            image_pe=self.position,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return cast(Tensor, logits)[:, 0]


def _decode_sam(decoder: Any, features: Tensor, position: Tensor, sparse: Tensor, dense: Tensor) -> Tensor:
    """The single mask of SAM's decoder, an embedding for each prompt.

    SAM's own forward pass repeats each embedding for every prompt, as of one image; here they come in pairs. Only the
    first of its four masks is computed, which is the one that `multimask_output=False` gives.
    """
    count = len(sparse)
    fixed = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(count, -1, -1)
    source = features + dense
    tokens, places = decoder.transformer(source, position.expand(count, -1, -1, -1), torch.cat([fixed, sparse], 1))
    fine = decoder.output_upscaling(places.transpose(1, 2).reshape(source.shape))
    kernel = decoder.output_hypernetworks_mlps[0](tokens[:, 1])
    return torch.einsum("nc,nchw->nhw", kernel, fine)
