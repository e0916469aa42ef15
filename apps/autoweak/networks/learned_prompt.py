"""Prompts learned from the image embedding, in place of prompts that somebody gives.

Gaillochet, Desrosiers, Lombaert: Automating MedSAM by learning prompts with weak few-shot supervision, MedAGI 2024.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from segment_anything import sam_model_registry
from torch import Tensor, nn
from torch.nn import functional

from autoweak.networks.strict import StrictModule
from autoweak.promptable import contracts
from autoweak.promptable.frozen import FrozenDecoder
from autoweak.promptable.registry import get_entry
from autoweak.promptable.small import build_small
from autoweak.promptable.vit import FastImageEncoder

if TYPE_CHECKING:
    from autoweak.promptable.model import Promptable

# Channels of the embeddings of all models of the family, and of the prompts of each architecture.
EMBEDDING_CHANNELS = 256
_SPARSE_CHANNELS = 64
_SLICES = 8  # at a time, where nothing is learned
MODULE_OPTIONS = ("num_points", "centre_channels", "pool")


class PromptModule(nn.Module):
    """Image embedding to prompt embeddings, for one label.

    A shared 1 x 1 convolution; from there a 3 x 3 convolution to the dense embedding, and a 1 x 1 convolution, max
    pooling and one linear layer to the tokens. 2,433,984 parameters for SAM's embedding of 64 x 64 places.

    Args:
        side: height and width of the embedding.
        width: channels of the prompts.
        num_points: the tokens are one more, as a box has two.
        centre_channels: channels between the convolutions.
        pool: places that are pooled into one, along each axis.
    """

    def __init__(
        self, *, side: int = 64, width: int = 256, num_points: int = 1, centre_channels: int = 128, pool: int = 8
    ) -> None:
        super().__init__()
        self.width = width
        self.tokens = num_points + 1
        self.pool = pool
        self.trunk = nn.Conv2d(EMBEDDING_CHANNELS, centre_channels, 1)
        self.dense = nn.Conv2d(centre_channels, width, 3, padding=1)
        self.sparse = nn.Conv2d(centre_channels, _SPARSE_CHANNELS, 1)
        self.to_tokens = nn.Linear(_SPARSE_CHANNELS * (side // pool) ** 2, self.tokens * width)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Prompt embeddings of N images.

        Args:
            features: (N, 256, side, side) embeddings.

        Returns:
            Tokens (N, num_points + 1, width) and the dense embedding (N, width, side, side).
        """
        shared = functional.relu(self.trunk(features))
        dense = functional.relu(self.dense(shared))
        pooled = functional.max_pool2d(functional.relu(self.sparse(shared)), self.pool)
        tokens = self.to_tokens(pooled.flatten(1)).reshape(-1, self.tokens, self.width)
        return tokens, dense


class LearnedPrompts(nn.Module):
    """A prompt module for each label, used with one frozen decoder.

    Args:
        num_labels: how many labels, K.
        options: of `PromptModule`.

    Attributes:
        options: all of them, to build the same again.
    """

    def __init__(self, *, num_labels: int, **options: int) -> None:
        super().__init__()
        self.options = {"num_labels": num_labels, **options}
        self.modules_of_labels = nn.ModuleList(PromptModule(**options) for _ in range(num_labels))

    def forward(self, features: Tensor, decoder: FrozenDecoder) -> Tensor:
        """Logits (N, K, h, w) at the decoder's size, of embeddings (N, 256, side, side)."""
        return torch.stack([decoder(features, *module(features)) for module in self.modules_of_labels], 1)


class LearnedPromptSegmenter(StrictModule):
    """Image in, logits out: promptable model with its preprocessing, and the learned prompts, as one network.

    Only the prompts are trained; the weights of the promptable model are part of the state dict, so that one file is
    the whole model.

    Args:
        promptable: name of the promptable model, as the registry has it.
        num_labels: how many labels, K.
        num_points: see `PromptModule`; likewise `centre_channels` and `pool`.

    Attributes:
        options: all of these, to build the same again.
    """

    def __init__(
        self, *, promptable: str, num_labels: int, num_points: int = 1, centre_channels: int = 128, pool: int = 8
    ) -> None:
        super().__init__()
        modules = {"num_points": num_points, "centre_channels": centre_channels, "pool": pool}
        self.options = {"promptable": promptable, "num_labels": num_labels, **modules}
        entry = get_entry(promptable)
        self.contract = entry.contract
        parts = _build(entry.architecture)
        self.size = int(parts.image_encoder.img_size)
        self.image_encoder = parts.image_encoder.requires_grad_(False)
        self.decoder = FrozenDecoder(parts.mask_decoder, parts.prompt_encoder.get_dense_pe())
        self.prompts = LearnedPrompts(
            num_labels=num_labels, side=self.decoder.grid[0], width=self.decoder.width, **modules
        )

    @classmethod
    def of(cls, model: Promptable, prompts: LearnedPrompts) -> LearnedPromptSegmenter:
        """The whole network of a promptable model and the prompts that were learned for it; both are copied."""
        options = {name: prompts.options[name] for name in ("num_labels", *MODULE_OPTIONS) if name in prompts.options}
        whole = cls(promptable=model.name, **options)
        whole.image_encoder.load_state_dict(model.encoder_state())
        whole.decoder.load_state_dict(model.frozen_decoder().state_dict())
        whole.prompts.load_state_dict(prompts.state_dict())
        return whole

    def encode(self, image: Tensor) -> Tensor:
        """Embeddings (N, 256, side, side) of images (N, C, H, W), C 1 or 3, values 0 to 1 (8-bit values / 255)."""
        pixels = image.mul(255).round().clamp(0, 255).expand(-1, 3, -1, -1)
        prepared = [contracts.prepare_tensor(one[None], self.contract, size=self.size) for one in pixels]
        with torch.no_grad():
            return cast(Tensor, self.image_encoder(torch.cat(prepared)))

    def forward(self, image: Tensor) -> Tensor:
        """Segment.

        Args:
            image: (N, C, H, W) float32, C 1 or 3, values 0 to 1 (8-bit values divided by 255), any size.

        Returns:
            (N, K, H, W) float32 logits, above 0 on the label.
        """
        if not self.training:
            # All slices of a volume may come at once.
            return torch.cat([self._segment(image[at : at + _SLICES]) for at in range(0, len(image), _SLICES)])
        return self._segment(image)

    def _segment(self, image: Tensor) -> Tensor:
        low_res = self.prompts(self.encode(image), self.decoder)
        height, width = image.shape[-2:]
        full = contracts.restore(low_res.flatten(0, 1), self.contract, image_size=(height, width), size=self.size)
        return full.reshape(*low_res.shape[:2], height, width)

    def train(self, mode: bool = True) -> LearnedPromptSegmenter:
        """As of any module; the frozen parts stay in evaluation mode."""
        super().train(mode)
        self.image_encoder.eval()
        self.decoder.eval()
        return self


def _build(architecture: str) -> Any:
    """The parts of a promptable model with random weights, its encoder as `Promptable` has it in float32."""
    if architecture == "small":
        return build_small().eval()
    parts = sam_model_registry[architecture](checkpoint=None).eval()
    parts.image_encoder = FastImageEncoder(parts.image_encoder, dtype=torch.float32)
    return parts
