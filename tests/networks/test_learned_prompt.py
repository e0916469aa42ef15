"""Prompt modules as the paper has them, and the segmenter that is one network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import MaskDecoder, TwoWayTransformer

from autoweak.networks.definition import bundle_definition, network_from
from autoweak.networks.learned_prompt import LearnedPrompts, LearnedPromptSegmenter, PromptModule
from autoweak.promptable import EmbeddingCache, load_promptable
from autoweak.promptable.frozen import FrozenDecoder
from autoweak.promptable.model import Promptable
from autoweak.promptable.registry import MEDSAM_CONTRACT
from autoweak.training.learned_model import probabilities
from autoweak.training.prompt_learner import build_prompts


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_the_module_has_the_papers_parameters() -> None:
    module = PromptModule()

    sparse, dense = module(torch.randn(2, 256, 64, 64))

    assert count(module) == 2_433_984
    assert sparse.shape == (2, 2, 256)
    assert dense.shape == (2, 256, 64, 64)
    assert bool((dense >= 0).all())


def test_it_fits_the_small_model_too() -> None:
    sparse, dense = PromptModule(side=32, width=128, num_points=3)(torch.randn(1, 256, 32, 32))

    assert sparse.shape == (1, 4, 128)
    assert dense.shape == (1, 128, 32, 32)


def test_prompts_of_sams_own_decoder_learn_and_nothing_else_does() -> None:
    torch.manual_seed(0)
    decoder = FrozenDecoder(
        MaskDecoder(
            transformer_dim=256, transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
        ),
        torch.randn(1, 256, 64, 64),
    )
    prompts = LearnedPrompts(num_labels=2, side=64, width=256)

    logits = prompts(torch.randn(1, 256, 64, 64), decoder)
    logits[:, 0].sum().backward()

    assert logits.shape == (1, 2, 256, 256)
    first, second = prompts.modules_of_labels
    assert all(weight.grad is not None for weight in first.parameters())
    assert not any(weight.grad is not None and bool(weight.grad.any()) for weight in second.parameters())


@pytest.mark.parametrize("channels", [1, 3])
def test_the_segmenter_gives_what_model_and_prompts_give(channels: int, tmp_path) -> None:
    torch.manual_seed(0)
    model = load_promptable("small", device="cpu")
    decoder = model.frozen_decoder()
    prompts = build_prompts(decoder, num_labels=2)
    whole = LearnedPromptSegmenter.of(model, prompts).eval()
    view = np.random.default_rng(0).integers(0, 256, (2, 60, 90, channels), dtype=np.uint8)
    image = torch.from_numpy(view).permute(0, 3, 1, 2).float() / 255

    with torch.no_grad():
        found = whole(image).sigmoid().numpy()

    expected = [probabilities(prompts, decoder, model.encode(one), model=model) for one in view]
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-4)
    assert EmbeddingCache(None).get(model, view[0]).image_size == (60, 90)


def test_the_segmenter_is_one_state_dict_and_trains_the_prompts_alone() -> None:
    definition = bundle_definition("medsam_learned_prompt")
    whole, other = network_from(definition), network_from(definition)

    other.load_state_dict(whole.state_dict())
    trained = {name for name, weight in whole.named_parameters() if weight.requires_grad}

    assert trained == {name for name, _ in whole.named_parameters() if name.startswith("prompts.")}
    assert not whole.train().image_encoder.training
    image = torch.rand(1, 1, 40, 50)
    with torch.no_grad():
        assert torch.equal(whole.eval()(image), other.eval()(image))


def test_a_batch_gives_what_its_images_give_alone() -> None:
    torch.manual_seed(0)
    whole = network_from(bundle_definition("medsam_learned_prompt", out_channels=2)).eval()
    images = torch.rand(3, 1, 40, 50)

    with torch.no_grad():
        together, alone = whole(images), torch.cat([whole(one[None]) for one in images])

    assert together.shape == (3, 2, 40, 50)
    assert torch.allclose(together, alone, atol=1e-4)


@pytest.mark.slow
def test_the_segmenter_of_medsams_architecture_gives_what_model_and_prompts_give() -> None:
    torch.manual_seed(0)
    parts = sam_model_registry["vit_b"](checkpoint=None)
    model = Promptable(
        parts, name="medsam", sha256="0" * 64, contract=MEDSAM_CONTRACT, device="cpu", precision="float32"
    )
    decoder = model.frozen_decoder()
    prompts = build_prompts(decoder, num_labels=1)
    view = np.random.default_rng(0).integers(0, 256, (1, 60, 90, 1), dtype=np.uint8)

    with torch.no_grad():
        found = LearnedPromptSegmenter.of(model, prompts).eval()(torch.from_numpy(view).permute(0, 3, 1, 2) / 255.0)

    assert count(prompts) == 2_433_984
    expected = probabilities(prompts, decoder, model.encode(view[0]), model=model)
    np.testing.assert_allclose(found.sigmoid().numpy()[0], expected, atol=1e-4)
