"""The faster image encoder against segment_anything's own, with the same weights."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT

from autoweak.promptable import vit


def make_encoder(*, size: int, window: int, relative: bool = True, heads: int = 2) -> ImageEncoderViT:
    """Two blocks, one with windows, one without, and weights that make every term count."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        encoder = ImageEncoderViT(
            depth=2,
            embed_dim=32,
            img_size=size,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=heads,
            use_rel_pos=relative,
            global_attn_indexes=(1,),
            window_size=window,
            out_chans=16,
        )
        for parameter in encoder.parameters():
            parameter.data += torch.randn_like(parameter) * 0.2
    return encoder.eval()


def make_image(size: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(5))


def compare(encoder: ImageEncoderViT, dtype: torch.dtype, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    image = make_image(size)
    with torch.inference_mode():
        return encoder(image), vit.FastImageEncoder(copy.deepcopy(encoder), dtype=dtype)(image)


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize(("size", "window"), [(256, 14), (224, 7), (80, 14), (352, 3)])
def test_float32_gives_the_same(size: int, window: int, relative: bool) -> None:
    wanted, found = compare(make_encoder(size=size, window=window, relative=relative), torch.float32, size)
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_head_by_head_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vit, "_SMALL_TABLE", 0)
    wanted, found = compare(make_encoder(size=256, window=14), torch.float32, 256)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("at_once", [64, 100, 4096])
def test_bias_in_products_gives_the_same(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32 the products are exact enough to compare, however many queries are taken at once."""
    monkeypatch.setattr(vit, "_QUERIES_AT_ONCE", at_once)
    monkeypatch.setattr(vit, "_attend_with_bias", vit._attend_in_products)
    wanted, found = compare(make_encoder(size=256, window=14), torch.float32, 256)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_bfloat16_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, found = compare(make_encoder(size=256, window=14), torch.bfloat16, 256)
    assert found.dtype == torch.float32
    assert float((found - wanted).std() / wanted.std()) < 0.05


def test_tables_of_another_size_are_stretched_as_sam_does() -> None:
    encoder = make_encoder(size=256, window=14)
    block = encoder.blocks[1].attn
    block.rel_pos_h = torch.nn.Parameter(torch.randn(63, 16) * 0.2)
    wanted, found = compare(encoder, torch.float32, 256)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
