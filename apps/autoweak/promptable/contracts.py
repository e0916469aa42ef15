"""Preprocessing contracts carried out: image to encoder input, coordinates to match, mask back to the image's size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from autoweak.errors import ImageError
from autoweak.promptable.registry import Output, PreprocessingContract, Resize, Scaling

ByteArray = npt.NDArray[np.uint8]
_SAM_MEAN = (123.675, 116.28, 103.53)
_SAM_DEVIATION = (58.395, 57.12, 57.375)
_SMALLEST_RANGE = 1e-8
_SMALLEST_DEVIATION = 1e-3
_LOGIT_MARGIN = 1e-7


def to_rgb_uint8(image: npt.NDArray[np.generic]) -> ByteArray:
    """Return any image as (H, W, 3) uint8, a grey one with its channel repeated.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3). uint8 stays as it is; bool becomes 0 and 255; of any other dtype the
            smallest to the largest value of the whole image become 0 to 255, rounded.

    Raises:
        ImageError: another shape, no pixels, or values that are not finite numbers.
    """
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or array.size == 0:
        msg = f"An image must be (H, W), (H, W, 1) or (H, W, 3); got {np.shape(image)}: pass one slice, without alpha."
        raise ImageError(msg)
    return np.ascontiguousarray(np.broadcast_to(_to_uint8(array), (*array.shape[:2], 3)))


def _to_uint8(array: npt.NDArray[np.generic]) -> ByteArray:
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind not in "iuf" or not np.isfinite(array.astype(np.float64)).all():
        msg = f"An image must hold finite real numbers; got dtype {array.dtype}: replace NaN and infinity first."
        raise ImageError(msg)
    values = array.astype(np.float64)
    low, span = values.min(), np.ptp(values)
    return np.asarray(np.rint((values - low) / max(span, _SMALLEST_RANGE) * 255), dtype=np.uint8)


def prepare(image: ByteArray, contract: PreprocessingContract, *, size: int) -> Tensor:
    """Make the encoder's input.

    Args:
        image: (H, W, 3) uint8.
        contract: of the model.
        size: the encoder's side in pixels.

    Returns:
        (1, 3, size, size) float32.
    """
    if contract.resize is Resize.LONGEST_SIDE:
        height, width = _fitted(image.shape[0], image.shape[1], size)
        small = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        pixels = _SCALING[contract.scaling](_to_tensor(small))
        # After scaling: SAM's padding is 0 in the encoder's input, not black in the image.
        return functional.pad(pixels, (0, size - width, 0, size - height))
    if contract.resize is Resize.SQUARE_CUBIC:
        return _SCALING[contract.scaling](_to_tensor(_square_cubic(image, size)))
    return prepare_tensor(_to_tensor(image), contract, size=size)


def prepare_tensor(pixels: Tensor, contract: PreprocessingContract, *, size: int) -> Tensor:
    """Make the encoder's input of an image that is a tensor already.

    Args:
        pixels: (1, 3, H, W) whole numbers 0 to 255, float32.
        contract: of the model.
        size: the encoder's side in pixels.

    Returns:
        (1, 3, size, size) float32, as of `prepare`, on the device of `pixels`.
    """
    if contract.resize is not Resize.SQUARE_LINEAR:
        image = pixels[0].permute(1, 2, 0).to("cpu", torch.uint8).numpy()
        return prepare(np.ascontiguousarray(image), contract, size=size).to(pixels.device)
    resized = functional.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)
    return _SCALING[contract.scaling](resized)


def scale_boxes(boxes: Tensor, contract: PreprocessingContract, *, image_size: tuple[int, int], size: int) -> Tensor:
    """Bring boxes (N, 4) XYXY from pixels of the image (H, W) to pixels of the encoder's input."""
    factor = _factors(contract, image_size, size).repeat(2)
    if contract.resize is not Resize.SQUARE_LINEAR:
        return boxes * factor
    # The small model was trained with corners that name the first and the last pixel of the object at its own scale,
    # and never outside the image.
    after = torch.tensor([0.0, 0.0, 1.0, 1.0])
    return ((boxes + after) * factor - after).clamp(0, size - 1)


def scale_points(points: Tensor, contract: PreprocessingContract, *, image_size: tuple[int, int], size: int) -> Tensor:
    """Bring points (..., 2) as x, y from pixels of the image (H, W) to pixels of the encoder's input."""
    factor = _factors(contract, image_size, size)
    if contract.resize is not Resize.SQUARE_LINEAR:
        return points * factor
    return (points + 0.5) * factor - 0.5


def restore(low_res: Tensor, contract: PreprocessingContract, *, image_size: tuple[int, int], size: int) -> Tensor:
    """Bring the decoder's logits to the image's own size.

    Args:
        low_res: (N, h, w) logits of the decoder.
        contract: of the model.
        image_size: (H, W) of the image.
        size: the encoder's side in pixels.

    Returns:
        (N, H, W) float32 logits, above 0 where the contract says that the mask is.
    """
    grid = low_res[:, None].float()
    if contract.resize is Resize.LONGEST_SIDE:
        height, width = _fitted(*image_size, size)
        grid = _resized(grid, (size, size))[..., :height, :width]
    if contract.output is Output.LOGITS:
        return _resized(grid, image_size)[:, 0]
    return torch.logit(_resized(grid.sigmoid(), image_size)[:, 0], eps=_LOGIT_MARGIN)


def _resized(grid: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(grid, size=size, mode="bilinear", align_corners=False)


def _fitted(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width with the longest side at `size`, rounded half up."""
    scale = size / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def _factors(contract: PreprocessingContract, image_size: tuple[int, int], size: int) -> Tensor:
    height, width = image_size
    new_height, new_width = _fitted(height, width, size) if contract.resize is Resize.LONGEST_SIDE else (size, size)
    return torch.tensor([new_width / width, new_height / height])


def _square_cubic(image: ByteArray, size: int) -> ByteArray:
    from skimage.transform import resize

    resized = resize(image, (size, size), order=3, preserve_range=True, anti_aliasing=True)
    return np.asarray(resized, dtype=np.float64).astype(np.uint8)


def _to_tensor(image: ByteArray) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()


def _sam(pixels: Tensor) -> Tensor:
    return (pixels - torch.tensor(_SAM_MEAN).view(3, 1, 1)) / torch.tensor(_SAM_DEVIATION).view(3, 1, 1)


def _min_max(pixels: Tensor) -> Tensor:
    low, high = pixels.min(), pixels.max()
    return (pixels - low) / (high - low).clamp_min(_SMALLEST_RANGE)


def _standard(pixels: Tensor) -> Tensor:
    pixels = pixels / 255
    return (pixels - pixels.mean()) / pixels.std().clamp_min(_SMALLEST_DEVIATION)


_SCALING: dict[Scaling, Callable[[Tensor], Tensor]] = {
    Scaling.SAM: _sam,
    Scaling.MIN_MAX: _min_max,
    Scaling.STANDARD: _standard,
}
