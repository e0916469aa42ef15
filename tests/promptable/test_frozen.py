"""The frozen decoder gives what SAM's own gives, for many images at once."""

from __future__ import annotations

import pytest
import torch
from segment_anything.modeling import MaskDecoder, Sam, TwoWayTransformer

from autoweak.promptable.frozen import FrozenDecoder
from autoweak.promptable.model import Promptable, load_promptable
from autoweak.promptable.vit import BlockedMaskDecoder


@pytest.mark.parametrize("blocked", [False, True])
@torch.no_grad()
def test_embeddings_of_several_images_are_decoded_as_one_by_one(tiny_sam: Sam, blocked: bool) -> None:
    torch.manual_seed(0)
    features, dense = torch.randn(2, 3, 64, 16, 16)
    sparse = torch.randn(3, 2, 64)
    position = tiny_sam.prompt_encoder.get_dense_pe()
    stock = tiny_sam.mask_decoder
    expected = torch.cat(
        [
            stock(
                image_embeddings=features[i : i + 1],
                image_pe=position,
                sparse_prompt_embeddings=sparse[i : i + 1],
                dense_prompt_embeddings=dense[i : i + 1],
                multimask_output=False,
            )[0][:, 0]
            for i in range(3)
        ]
    )

    found = FrozenDecoder(BlockedMaskDecoder(stock) if blocked else stock, position)(features, sparse, dense)

    assert found.shape == (3, 64, 64)
    assert torch.allclose(found, expected, atol=1e-5)


@torch.no_grad()
def test_the_small_decoder_takes_pairs_as_well() -> None:
    torch.manual_seed(0)
    decoder = load_promptable("small", device="cpu").frozen_decoder()
    features, dense, sparse = torch.randn(3, 256, 32, 32), torch.randn(3, 128, 32, 32), torch.randn(3, 2, 128)

    found = decoder(features, sparse, dense)

    assert (decoder.width, decoder.grid) == (128, (32, 32))
    for i in range(3):
        alone = decoder(features[i : i + 1], sparse[i : i + 1], dense[i : i + 1])
        assert torch.allclose(found[i], alone[0], atol=1e-4)


def test_gradients_pass_through_and_the_weights_stay() -> None:
    decoder = MaskDecoder(
        transformer_dim=256, transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    )
    frozen = FrozenDecoder(decoder, torch.randn(1, 256, 64, 64))
    sparse = torch.randn(1, 2, 256, requires_grad=True)
    dense = torch.randn(1, 256, 64, 64, requires_grad=True)

    frozen(torch.randn(1, 256, 64, 64), sparse, dense).mean().backward()

    assert sparse.grad is not None
    assert dense.grad is not None
    assert bool(sparse.grad.abs().sum() > 0)
    assert bool(dense.grad.abs().sum() > 0)
    assert all(weight.grad is None and not weight.requires_grad for weight in decoder.parameters())


def test_a_model_in_use_decodes_the_same_before_and_after(medsam_model: Promptable, image: object) -> None:
    embedding = medsam_model.encode(image)  # type: ignore[arg-type]
    before = medsam_model.decode(embedding, boxes=[[10, 10, 80, 70]]).low_res_logits

    medsam_model.frozen_decoder()

    assert (medsam_model.decode(embedding, boxes=[[10, 10, 80, 70]]).low_res_logits == before).all()
