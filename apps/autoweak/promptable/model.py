"""A promptable model in use: encode an image once, decode any number of prompts."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from autoweak.errors import PromptError
from autoweak.promptable import contracts
from autoweak.promptable.checkpoints import choose_checkpoint, load_weights
from autoweak.promptable.frozen import FrozenDecoder
from autoweak.promptable.hardware import AUTO, Precision, choose_device, choose_dtype, limit_threads
from autoweak.promptable.registry import PreprocessingContract
from autoweak.promptable.small import build_small
from autoweak.promptable.vit import BlockedMaskDecoder, FastImageEncoder

Points = Sequence[Sequence[tuple[float, float, bool]]]
FloatArray = npt.NDArray[np.float32]
_CHUNK = 32
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Embedding:
    """An encoded image.

    Attributes:
        features: (C, h, w) float32.
        image_size: (H, W) of the image.
        key: 64 hexadecimal digits naming image content, contract and weights.
    """

    features: Tensor
    image_size: tuple[int, int]
    key: str


@dataclass(frozen=True, eq=False)
class DecodeResult:
    """What N prompts of one image gave.

    Attributes:
        logits: (N, H, W) float32 at the image's own size, above 0 on the object.
        masks: (N, H, W) bool.
        predicted_iou: (N,) float32, the model's own guess of each mask's IoU with the truth, 0 to 1 where trained.
        low_res_logits: (N, h, w) float32, to be given as `masks` to a second pass.
    """

    logits: FloatArray
    masks: npt.NDArray[np.bool_]
    predicted_iou: FloatArray
    low_res_logits: FloatArray


class Promptable:
    """A SAM-family network with its preprocessing contract.

    Where a GPU's memory does not suffice, prompts are decoded fewer at a time, and at last the CPU takes over.

    Args:
        network: has `image_encoder` (with `img_size`), `prompt_encoder` and `mask_decoder` as in `segment_anything`;
            it is taken over and not to be used afterwards.
        name: of the model.
        sha256: of its weights.
        contract: what happens before the encoder and after the decoder.
        device: where the network runs: "auto" (the GPU where there is one), or as torch names it.
        precision: of a ViT's matrix products, "auto", "float32" or "bfloat16"; see `hardware.Precision`.

    Attributes:
        precision: what was chosen.

    Raises:
        PromptError: no such device or precision.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        sha256: str,
        contract: PreprocessingContract,
        device: str | torch.device = AUTO,
        precision: str | Precision = Precision.AUTO,
    ) -> None:
        self.name = name
        self.sha256 = sha256
        self.contract = contract
        self.device = choose_device(device)
        dtype = choose_dtype(precision, self.device)
        self.precision = Precision.FLOAT32
        parts: Any = network.eval()
        self._size = int(parts.image_encoder.img_size)
        if isinstance(parts.image_encoder, ImageEncoderViT):
            parts.image_encoder = FastImageEncoder(parts.image_encoder, dtype=dtype)
            parts.mask_decoder = BlockedMaskDecoder(parts.mask_decoder)
            self.precision = Precision.BFLOAT16 if dtype == torch.bfloat16 else Precision.FLOAT32
        self._network = parts.to(self.device)
        self._chunk = _CHUNK
        limit_threads()

    def identity(self) -> list[str]:
        """Name, weights, contract and precision: what its masks depend on beside image and prompts."""
        return [self.name, self.sha256, self.contract.name, self.precision.value]

    def state_dict(self) -> dict[str, Tensor]:
        """The network's weights, in the precision it runs in."""
        return dict(self._network.state_dict())

    def key_of(self, image: npt.NDArray[np.generic]) -> str:
        """Name the embedding that `encode` would make: image content, contract and weights, as SHA-256."""
        return self._key(contracts.to_rgb_uint8(image))

    def encode(self, image: npt.NDArray[np.generic]) -> Embedding:
        """Encode one slice; the slow step.

        Args:
            image: (H, W), (H, W, 1) or (H, W, 3). uint8 is taken as it is; of any other dtype the smallest to the
                largest value of the image become 0 to 255.

        Raises:
            ImageError: another shape, or values that are not finite numbers.
        """
        pixels = contracts.to_rgb_uint8(image)
        with torch.inference_mode():
            prepared = contracts.prepare(pixels, self.contract, size=self._size)
            features = self._spared(lambda: self._network.image_encoder(prepared.to(self.device))[0].float())
        return Embedding(features=features, image_size=(pixels.shape[0], pixels.shape[1]), key=self._key(pixels))

    def decode(
        self,
        embedding: Embedding,
        *,
        boxes: npt.ArrayLike | None = None,
        points: Points | None = None,
        masks: npt.NDArray[np.floating[Any]] | None = None,
    ) -> DecodeResult:
        """Decode N prompts of one image; the quick step.

        What is given for one prompt must be given for all N; numbers of points may differ between prompts.

        Args:
            embedding: from `encode` of this model.
            boxes: (N, 4) XYXY, pixels of the image, corners inclusive, fractions allowed.
            points: N sequences of (x, y, is_positive), pixels of the image.
            masks: (N, h, w), `low_res_logits` of an earlier result.

        Raises:
            PromptError: no prompt at all, numbers of prompts that differ, or a malformed box, point or mask.
        """
        return self._decode(embedding, _Prompts.checked(boxes, points, masks, grid=self._mask_grid()))

    def decode_unprompted(self, embedding: Embedding) -> DecodeResult:
        """The one mask (N = 1) that the model makes of an image by itself, with no prompt at all.

        Args:
            embedding: from `encode` of this model.
        """
        return self._decode(embedding, _Prompts(count=1, boxes=None, points=None, masks=None))

    def _decode(self, embedding: Embedding, prompts: _Prompts) -> DecodeResult:
        low_res = np.empty((prompts.count, *self._mask_grid()), np.float32)
        logits = np.empty((prompts.count, *embedding.image_size), np.float32)
        iou = np.empty(prompts.count, np.float32)
        with torch.inference_mode():
            waiting = prompts.chunks(self._chunk)
            while waiting:
                rows = waiting.pop(0)
                try:
                    low_res[rows], iou[rows], logits[rows] = self._decode_rows(embedding, prompts, rows)
                except torch.OutOfMemoryError:
                    if len(rows) == 1:
                        self._leave_gpu()
                        waiting.insert(0, rows)
                        continue
                    self._chunk = (len(rows) + 1) // 2
                    waiting[:0] = [rows[: self._chunk], rows[self._chunk :]]
        return DecodeResult(logits=logits, masks=logits > 0, predicted_iou=iou, low_res_logits=low_res)

    @property
    def input_size(self) -> int:
        """The encoder's side in pixels."""
        return self._size

    def encoder_state(self) -> dict[str, Tensor]:
        """The weights of the image encoder, as `FastImageEncoder` or the small model's encoder names them."""
        state: dict[str, Tensor] = self._network.image_encoder.state_dict()
        return state

    def frozen_decoder(self) -> FrozenDecoder:
        """The mask decoder, frozen, for prompts that are learned; it shares the weights of this model."""
        parts: Any = self._network
        with torch.no_grad():
            return FrozenDecoder(parts.mask_decoder, parts.prompt_encoder.get_dense_pe())

    def _spared(self, compute: Callable[[], Tensor]) -> Tensor:
        """Compute on the GPU, or on the CPU where its memory does not suffice."""
        try:
            return compute()
        except torch.OutOfMemoryError:
            self._leave_gpu()
            return compute()

    def _leave_gpu(self) -> None:
        """Go on on the CPU.

        Raises:
            PromptError: that is where it was.
        """
        if self.device.type == "cpu":
            msg = f"There is not enough memory for {self.name!r}; close other programs, or choose the model small."
            raise PromptError(msg)
        _LOGGER.warning("The GPU has not enough memory for %s: going on on the CPU.", self.name)
        self.device = torch.device("cpu")
        self._network.to(self.device)
        torch.cuda.empty_cache()

    def _decode_rows(
        self, embedding: Embedding, prompts: _Prompts, rows: list[int]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Low-resolution logits, predicted IoU and logits of the image's size of some prompts."""
        grid, guess = self._decode_chunk(embedding, prompts, rows)
        full = contracts.restore(grid, self.contract, image_size=embedding.image_size, size=self._size)
        return grid.cpu().numpy(), guess.cpu().numpy(), full.cpu().numpy()

    def _decode_chunk(self, embedding: Embedding, prompts: _Prompts, rows: list[int]) -> tuple[Tensor, Tensor]:
        place: dict[str, Any] = {"image_size": embedding.image_size, "size": self._size}
        boxes = coordinates = labels = masks = None
        if prompts.boxes is not None:
            boxes = contracts.scale_boxes(prompts.boxes[rows], self.contract, **place).to(self.device)
        if prompts.points is not None:
            chosen = torch.stack([prompts.points[row] for row in rows])
            coordinates = contracts.scale_points(chosen[..., :2], self.contract, **place).to(self.device)
            labels = chosen[..., 2].to(self.device)
        if prompts.masks is not None:
            masks = prompts.masks[rows][:, None].to(self.device)
        points = None if coordinates is None else (coordinates, labels)
        sparse, dense = self._network.prompt_encoder(points=points, boxes=boxes, masks=masks)
        grid, iou = self._network.mask_decoder(
            image_embeddings=embedding.features[None].to(self.device),
            image_pe=self._network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return grid[:, 0].float(), iou[:, 0].float()

    def _mask_grid(self) -> tuple[int, int]:
        height, width = self._network.prompt_encoder.mask_input_size
        return int(height), int(width)

    def _key(self, pixels: contracts.ByteArray) -> str:
        digest = hashlib.sha256(pixels.tobytes())
        digest.update(f"{pixels.shape} {self.contract.name} {self.sha256}".encode())
        if self.precision is not Precision.FLOAT32:
            digest.update(self.precision.value.encode())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class _Prompts:
    """Checked prompts as tensors: boxes (N, 4), points N × (P, 3) as x, y, label, masks (N, h, w)."""

    count: int
    boxes: Tensor | None
    points: tuple[Tensor, ...] | None
    masks: Tensor | None

    @classmethod
    def checked(
        cls,
        boxes: npt.ArrayLike | None,
        points: Points | None,
        masks: npt.NDArray[np.floating[Any]] | None,
        *,
        grid: tuple[int, int],
    ) -> _Prompts:
        counts = {
            name: len(value)  # type: ignore[arg-type]
            for name, value in (("boxes", boxes), ("points", points), ("masks", masks))
            if value is not None
        }
        if not counts:
            msg = "No prompt was given; pass boxes, points or masks."
            raise PromptError(msg)
        if len(set(counts.values())) > 1:
            msg = f"Boxes, points and masks must be of the same number of prompts; got {counts}."
            raise PromptError(msg)
        return cls(
            count=next(iter(counts.values())),
            boxes=None if boxes is None else _boxes(boxes),
            points=None if points is None else tuple(_points(each) for each in points),
            masks=None if masks is None else _masks(masks, grid),
        )

    def chunks(self, most: int) -> list[list[int]]:
        """Rows that can be decoded at once: as many points each, at most `most`.

        Filling up with "no point" tokens instead would change what the decoder sees.
        """
        groups: dict[int, list[int]] = {}
        for row in range(self.count):
            groups.setdefault(0 if self.points is None else len(self.points[row]), []).append(row)
        return [rows[start : start + most] for rows in groups.values() for start in range(0, len(rows), most)]


def _boxes(boxes: npt.ArrayLike) -> Tensor:
    array = np.asarray(boxes, dtype=np.float32).reshape(-1, 4) if np.size(boxes) == 0 else np.asarray(boxes, np.float32)
    if array.ndim != 2 or array.shape[1] != 4 or not np.isfinite(array).all():
        msg = f"Boxes must be (N, 4) finite numbers x0, y0, x1, y1; got shape {array.shape}."
        raise PromptError(msg)
    if (array[:, 2:] < array[:, :2]).any():
        msg = f"A box must have x0 <= x1 and y0 <= y1; got {array[(array[:, 2:] < array[:, :2]).any(1)][0].tolist()}."
        raise PromptError(msg)
    return torch.from_numpy(array)


def _points(points: Sequence[tuple[float, float, bool]]) -> Tensor:
    rows = [(float(x), float(y), float(bool(positive))) for x, y, positive in points]
    if not rows or not np.isfinite(rows).all():
        msg = f"Each prompt needs one or more points with finite x and y; got {list(points)!r}."
        raise PromptError(msg)
    return torch.tensor(rows, dtype=torch.float32)


def _masks(masks: npt.NDArray[np.floating[Any]], grid: tuple[int, int]) -> Tensor:
    array = np.asarray(masks, dtype=np.float32)
    if array.ndim != 3 or array.shape[1:] != grid:
        msg = f"Masks must be low_res_logits of this model, (N, {grid[0]}, {grid[1]}); got {array.shape}."
        raise PromptError(msg)
    return torch.from_numpy(array)


def load_promptable(
    name: str | None = None,
    *,
    checkpoint: Path | str | None = None,
    device: str | torch.device = AUTO,
    precision: str | Precision = Precision.AUTO,
) -> Promptable:
    """Load a promptable model by name, or from any checkpoint file of the family.

    Args:
        name: "small", which comes with the program, or one of the SAM family, whose weights must have been fetched or
            imported. Without it, the model is recognised from `checkpoint`; without either, it is "small".
        checkpoint: other weights: safetensors or PyTorch, a state dict or a training checkpoint.
        device: where it runs: "auto" (the GPU where there is one), or as torch names it.
        precision: of a ViT's matrix products, "auto", "float32" or "bfloat16"; see `hardware.Precision`.

    Raises:
        PromptError: no such device or precision.
        CheckpointError: no such model, no weights, or weights that are damaged, unsafe, of another architecture, or,
            without a name, of more than one model's.

    Example:
        >>> load_promptable("small").contract.name
        'small'
    """
    chosen = choose_checkpoint(name, None if checkpoint is None else Path(checkpoint))
    name, sha256, contract = chosen.entry.name, chosen.sha256, chosen.entry.contract
    network = build_network(chosen.entry.architecture)
    load_weights(network, chosen.path, entry=chosen.entry)
    return Promptable(network, name=name, sha256=sha256, contract=contract, device=device, precision=precision)


def build_network(architecture: str) -> nn.Module:
    """Build an architecture without weights: on the meta device, which costs no time and no random numbers."""
    with torch.device("meta"):
        if architecture == "small":
            return build_small()
        network: nn.Module = sam_model_registry[architecture](checkpoint=None)
    # Constants of SAM's own preprocessing, which no checkpoint holds; the contract has them.
    del network.pixel_mean, network.pixel_std
    return network
