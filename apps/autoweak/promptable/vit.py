"""SAM's image encoder (ViT) with its published weights, computed faster on a CPU and without changing its results.

Against `segment_anything`'s own forward pass: relative positions enter the attention without a table for every head at
once, places that only fill up a window are not computed, and in bfloat16 the bias is part of the matrix product.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn
from torch.nn import functional

_QUERIES_AT_ONCE = 256  # scores of so many queries stay in the processor's cache
_PROMPTS_AT_ONCE = 2  # likewise, of SAM's decoder


class FastImageEncoder(nn.Module):
    """An `ImageEncoderViT` in another precision and with faster attention.

    Args:
        encoder: with its weights; its parameters are taken over and it is not to be used afterwards.
        dtype: of the matrix products inside the blocks; the sums between them, norms and neck stay float32.
    """

    def __init__(self, encoder: ImageEncoderViT, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.img_size = int(encoder.img_size)
        self.patch_embed = encoder.patch_embed
        self.pos_embed = encoder.pos_embed
        self.blocks = nn.ModuleList(_Block(block, dtype=dtype) for block in encoder.blocks)
        self.neck = encoder.neck

    def forward(self, image: Tensor) -> Tensor:
        """Encode.

        Args:
            image: (B, 3, img_size, img_size) as the model's contract prepares it.

        Returns:
            (B, 256, img_size / 16, img_size / 16) float32.
        """
        rows = self.patch_embed(image)
        if self.pos_embed is not None:
            rows = rows + self.pos_embed
        for block in self.blocks:
            rows = block(rows)
        return cast(Tensor, self.neck(rows.permute(0, 3, 1, 2)))


class BlockedMaskDecoder(nn.Module):
    """SAM's mask decoder, unchanged, that on a CPU goes through its prompts a few at a time.

    All at once their tensors are far larger than the processor's cache, which takes twice as long.

    Args:
        decoder: a `segment_anything` mask decoder with its weights.
    """

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self,
        *,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Decode N prompts of one image, arguments and results as of the decoder inside."""
        count = len(sparse_prompt_embeddings)
        size = _PROMPTS_AT_ONCE if image_embeddings.device.type == "cpu" else count
        parts = [
            self.decoder(
                image_embeddings=image_embeddings,
                image_pe=image_pe,
                sparse_prompt_embeddings=sparse_prompt_embeddings[start : start + size],
                dense_prompt_embeddings=dense_prompt_embeddings[start : start + size],
                multimask_output=multimask_output,
            )
            for start in range(0, count, size)
        ]
        return torch.cat([masks for masks, _ in parts]), torch.cat([iou for _, iou in parts])


class _Block(nn.Module):
    """One transformer block: (B, H, W, C) to the same, in float32 outside, `dtype` inside."""

    def __init__(self, block: Any, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.window = int(block.window_size)
        self.heads = int(block.attn.num_heads)
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.qkv, self.proj = block.attn.qkv.to(dtype), block.attn.proj.to(dtype)
        self.widen, self.narrow, self.activation = block.mlp.lin1.to(dtype), block.mlp.lin2.to(dtype), block.mlp.act
        self.relative: nn.ParameterList | None = None
        if block.attn.use_rel_pos:
            self.relative = nn.ParameterList([block.attn.rel_pos_h, block.attn.rel_pos_w])

    def forward(self, rows: Tensor) -> Tensor:
        qkv = self.qkv(self.norm1(rows).to(self.dtype))
        height, width = qkv.shape[1:3]
        windows = self._partition(qkv) if self.window else qkv
        mixed = self._unpartition(self._attend(windows), height, width) if self.window else self._attend(windows)
        rows = rows + self.proj(mixed)
        return cast(Tensor, rows + self.narrow(self.activation(self.widen(self.norm2(rows).to(self.dtype)))))

    def _partition(self, qkv: Tensor) -> Tensor:
        """(B, H, W, 3 C) to (windows, window, window, 3 C); what fills up is the projection of zeros, its bias."""
        batch, height, width, channels = qkv.shape
        side = self.window
        down, across = -(-height // side), -(-width // side)
        if (height, width) != (down * side, across * side):
            filled = self.qkv.bias.expand(batch, down * side, across * side, channels).clone()
            filled[:, :height, :width] = qkv
            qkv = filled
        split = qkv.reshape(batch, down, side, across, side, channels)
        return split.transpose(2, 3).reshape(-1, side, side, channels)

    def _unpartition(self, windows: Tensor, height: int, width: int) -> Tensor:
        """(windows, window, window, C) to (B, H, W, C)."""
        side = self.window
        down, across = -(-height // side), -(-width // side)
        joined = windows.reshape(-1, down, across, side, side, windows.shape[-1]).transpose(2, 3)
        whole = joined.reshape(-1, down * side, across * side, windows.shape[-1])
        # Of a view with gaps, torch would make the next linear layer a product for every row.
        return whole[:, :height, :width].contiguous()

    def _attend(self, qkv: Tensor) -> Tensor:
        """Self-attention within each item: (B, H, W, 3 C) to (B, H, W, C)."""
        batch, height, width, _ = qkv.shape
        split = qkv.reshape(batch, height * width, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)  # (B, heads, H W, C / heads)
        along = self._along(query, height, width)
        if along is None:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        elif qkv.device.type == "cpu" and self.dtype == torch.bfloat16:
            mixed = _attend_in_products(query, key, value, along=along)
        else:
            mixed = _attend_with_bias(query, key, value, along=along)
        return mixed.transpose(1, 2).reshape(batch, height, width, -1)

    def _along(self, query: Tensor, height: int, width: int) -> tuple[Tensor, Tensor] | None:
        """What each query adds for keys of each row and column: (B, heads, H W, H) and (B, heads, H W, W)."""
        if self.relative is None:
            return None
        down, across = (
            _relative(table, size).to(query.dtype) for table, size in zip(self.relative, (height, width), strict=True)
        )
        placed = query.reshape(*query.shape[:2], height, width, -1)
        rows = torch.einsum("bnhwc,hkc->bnhwk", placed, down).flatten(2, 3)
        columns = torch.einsum("bnhwc,wkc->bnhwk", placed, across).flatten(2, 3)
        return rows, columns


def _relative(table: Tensor, size: int) -> Tensor:
    """Embeddings (size, size, C) of the distance from query to key along one axis, from a table (2 size - 1, C)."""
    if len(table) != 2 * size - 1:
        stretched = functional.interpolate(table.T[None], size=2 * size - 1, mode="linear")
        table = stretched[0].T
    place = torch.arange(size, device=table.device)
    return table[place[:, None] - place[None] + size - 1]


def _attend_with_bias(query: Tensor, key: Tensor, value: Tensor, *, along: tuple[Tensor, Tensor]) -> Tensor:
    """Fused attention with the relative positions as a bias, one head at a time where there are many places."""
    rows, columns = along
    if query.shape[0] * query.shape[2] ** 2 * query.shape[1] <= _SMALL_TABLE:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=_bias(rows, columns))
    heads = [
        functional.scaled_dot_product_attention(
            query[:, head : head + 1],
            key[:, head : head + 1],
            value[:, head : head + 1],
            attn_mask=_bias(rows[:, head : head + 1], columns[:, head : head + 1]),
        )
        for head in range(query.shape[1])
    ]
    return torch.cat(heads, 1)


_SMALL_TABLE = 1 << 24


def _bias(rows: Tensor, columns: Tensor) -> Tensor:
    """(B, heads, Q, H) and (B, heads, Q, W) to (B, heads, Q, H W)."""
    return (rows[..., :, None] + columns[..., None, :]).flatten(-2)


def _attend_in_products(query: Tensor, key: Tensor, value: Tensor, *, along: tuple[Tensor, Tensor]) -> Tensor:
    """Attention with the relative positions folded into the product of queries and keys.

    A query is followed by what it adds for each row and each column, a key by a one at its own row and column. So the
    bias costs no pass over the scores, which matrix units of bfloat16 make the cheaper way.
    """
    batch, heads, count, width = query.shape
    places = torch.arange(count, device=query.device)
    high, wide = along[0].shape[-1], along[1].shape[-1]
    ones = torch.zeros(count, high + wide, dtype=query.dtype, device=query.device)
    ones[places, places // wide] = 1
    ones[places, high + places % wide] = 1
    queries = torch.cat([query * width**-0.5, *along], -1).flatten(0, 1)
    keys = torch.cat([key, ones.expand(batch, heads, -1, -1)], -1).flatten(0, 1)
    values = value.flatten(0, 1)
    if count <= _QUERIES_AT_ONCE:
        mixed = torch.bmm(torch.bmm(queries, keys.transpose(1, 2)).softmax(-1), values)
        return mixed.reshape(value.shape)
    mixed = torch.empty_like(values, memory_format=torch.contiguous_format)
    for head in range(batch * heads):
        turned, valued = keys[head].T, values[head].contiguous()
        for start in range(0, count, _QUERIES_AT_ONCE):
            part = slice(start, start + _QUERIES_AT_ONCE)
            torch.mm((queries[head, part] @ turned).softmax(-1), valued, out=mixed[head, part])
    return mixed.reshape(value.shape)
