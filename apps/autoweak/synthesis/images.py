"""The pictures a generator is trained on, read as the rest of the program reads images."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import MapTransform
from numpy.typing import NDArray

from autoweak.errors import ImageError, StudiesError
from autoweak.studies import list_images, read_image, to_channels, to_uint8
from autoweak.synthesis.pixels import check_shape, to_tensor
from autoweak.tasks import Intensity

# Of fewer images a diffusion model only learns to repeat them.
FEWEST_IMAGES = 8


def image_list(folder: str | Path) -> list[dict[str, Any]]:
    """The pictures of a folder as MONAI's list of {"image": path}.

    Raises:
        StudiesError: no such folder, or fewer than eight images in it.
    """
    if not str(folder):
        msg = "No folder of training images was given; name one with --dataset_dir FOLDER."
        raise StudiesError(msg)
    found = [{"image": study.path} for study in list_images(Path(folder))]
    check_count(len(found), where=str(folder))
    return found


def check_count(count: int, *, where: str) -> None:
    """Refuse to train on so few images that the model could only repeat them.

    Raises:
        StudiesError: there are fewer than eight.
    """
    if count < FEWEST_IMAGES:
        msg = (
            f"A generator needs at least {FEWEST_IMAGES} images to learn from (hundreds are better), "
            f"got {count} in {where}; add unlabelled images."
        )
        raise StudiesError(msg)


def picture_of(path: Path, *, channels: int) -> NDArray[np.uint8]:
    """The 8-bit view (H, W, C) of a picture: 8-bit values as they are, others by percentiles.

    Raises:
        ImageError: it cannot be read, is a volume, or has colours where one channel is asked for.
    """
    image = read_image(path)
    if image.pixels.shape[0] > 1:
        msg = f"{image.image_id} is a volume of {image.pixels.shape[0]} slices, and a generator draws pictures."
        raise ImageError(msg)
    view = to_uint8(image, Intensity())[0]
    if channels == 1 and view.shape[2] == 3 and not _is_grey(view):
        msg = f"{image.image_id} is in colour and the network has 1 channel: give --image_channels 3."
        raise ImageError(msg)
    return to_channels(view, channels)


class ReadPictured(MapTransform):  # type: ignore[misc]  # MONAI has no types
    """Read what lies under `keys` and bring it to the network's form, (C, rows, columns) float32, -1 to 1.

    Args:
        keys: as MONAI's transforms have them.
        channels: 1 (grey) or 3 (RGB).
        shape: (rows, columns) of the network.

    An item is the path of a picture, or a view (H, W, C) uint8 that was read already.
    """

    def __init__(self, keys: Any, *, channels: int, shape: tuple[int, int] | list[int]) -> None:
        super().__init__(keys)
        if channels not in (1, 3):
            msg = f"Images have 1 or 3 channels, got {channels}; use 1 for grey and 3 for RGB."
            raise ImageError(msg)
        self._channels = channels
        self._shape = check_shape(shape)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with its picture read."""
        item = dict(data)
        for key in self.key_iterator(item):
            given = item[key]
            view = given if isinstance(given, np.ndarray) else picture_of(Path(given), channels=self._channels)
            item[key] = to_tensor(view, self._shape)
        return item


def _is_grey(view: NDArray[np.uint8]) -> bool:
    """Whether an RGB picture (H, W, 3) holds grey alone, up to what JPEG does to it."""
    signed = view.astype(np.int16)
    return bool((signed.max(axis=2) - signed.min(axis=2)).mean() < 2)
