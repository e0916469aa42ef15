"""SAM itself, small enough for tests: the same classes with random weights."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from autoweak.promptable.model import Promptable
from autoweak.promptable.registry import MEDSAM_CONTRACT, SAM_CONTRACT, PreprocessingContract


def build_tiny_sam(size: int) -> Sam:
    grid = size // 16
    with torch.random.fork_rng():
        torch.manual_seed(7)
        sam = Sam(
            image_encoder=ImageEncoderViT(
                depth=2,
                embed_dim=32,
                img_size=size,
                norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
                num_heads=2,
                use_rel_pos=True,
                global_attn_indexes=(1,),
                window_size=14,
                out_chans=64,
            ),
            prompt_encoder=PromptEncoder(
                embed_dim=64, image_embedding_size=(grid, grid), input_image_size=(size, size), mask_in_chans=16
            ),
            mask_decoder=MaskDecoder(
                transformer_dim=64, transformer=TwoWayTransformer(depth=2, embedding_dim=64, mlp_dim=64, num_heads=4)
            ),
        )
        for parameter in sam.parameters():
            # Zeros and ones of a fresh network would hide mistakes; larger weights move logits away from 0.
            parameter.data += torch.randn_like(parameter) * 0.05
    return sam.eval()


def plain(sam: Sam, *, name: str, contract: PreprocessingContract) -> Promptable:
    """A promptable model of a copy, in float32 on the CPU, to compare with."""
    return Promptable(
        copy.deepcopy(sam), name=name, sha256="0" * 64, contract=contract, device="cpu", precision="float32"
    )


@pytest.fixture(scope="session")
def tiny_sam() -> Sam:
    return build_tiny_sam(256)


@pytest.fixture(scope="session")
def sam_model(tiny_sam: Sam) -> Promptable:
    return plain(tiny_sam, name="sam-vit-b", contract=SAM_CONTRACT)


@pytest.fixture(scope="session")
def medsam_model(tiny_sam: Sam) -> Promptable:
    return plain(tiny_sam, name="medsam", contract=MEDSAM_CONTRACT)


@pytest.fixture
def image() -> np.ndarray:
    rows, columns = np.mgrid[:90, :131]
    disc = np.hypot(rows - 40, columns - 60) < 25
    noise = np.random.default_rng(1).integers(0, 60, (90, 131))
    return (disc * 120 + noise).astype(np.uint8)
