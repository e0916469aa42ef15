"""MONAI transforms that read and write as the app does: any orientation, depth and format comes out the same.

Between reading and writing a picture is (C, H, W), rows first; a volume of a 3D task is (C, H, W, S), its slices last,
upright, in the plane of the task.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, SaveImaged
from torch import Tensor

from autoweak.bundle.reading import task_of
from autoweak.errors import ImageError
from autoweak.loop.context import view_of
from autoweak.loop.masks import mask_of, prompted_mask
from autoweak.loop.prediction_folder import PredictionFolder
from autoweak.studies import StudyImage, read_image, read_label
from autoweak.tasks import Task
from autoweak.training.resize import to_input

PATH = "filename_or_obj"  # MONAI's own name for it
# What tells one picture of a file or folder from the others there, in a data list and in what was loaded.
IMAGE_ID, FRAME = "image_id", "frame"
Data = dict[Hashable, Any]


class LoadStudyd(MapTransform):  # type: ignore[misc]  # MONAI's transforms have no types
    """Read images and bring them to the 8-bit view of the task.

    Args:
        keys: of paths: PNG, JPEG, BMP, TIFF, NIfTI, NRRD or DICOM files, or folders with a DICOM series.
        task: content, name or path of the task file.

    The path becomes a MetaTensor (C, H, W) or (C, H, W, S), float32, 0 to 1, which remembers path and stored shape. Of
    one picture among several the item says `image_id` and `frame` (from 1; 0 for none), which go where the path goes.
    """

    def __init__(self, keys: Any, *, task: Mapping[str, Any] | str, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self._task = task_of(task)

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Replace the paths."""
        result = dict(data)
        image_id, frame = result.pop(IMAGE_ID, ""), result.pop(FRAME, 0)
        for key in self.key_iterator(result):
            image = read_study(result[key], self._task, image_id=str(image_id), frame=int(frame))
            pixels = from_slices(to_input(view_of(image, self._task)), self._task)
            meta = {
                PATH: str(image.path),
                IMAGE_ID: image.image_id,
                FRAME: image.frame or 0,
                "spatial_shape": np.array(_stored_shape(image), dtype=np.int64),
                "original_affine": np.eye(4) if image.geometry.affine is None else image.geometry.affine,
            }
            result[key] = MetaTensor(pixels, meta=meta)
        return result


class LoadGoldd(MapTransform):  # type: ignore[misc]
    """Read labels in the frame of their images, whatever tool has written them.

    Args:
        keys: of paths of labels.
        image_key: of the image, as `LoadStudyd` leaves it.
        task: names the labels.
        split: one channel for each label (K, ...) float32 0 or 1, in place of one channel of values (1, ...) uint8.
    """

    def __init__(
        self, keys: Any, *, task: Mapping[str, Any] | str, image_key: str = "image", split: bool = False
    ) -> None:
        super().__init__(keys)
        self._task, self._image_key, self._split = task_of(task), image_key, split

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Replace the paths."""
        from autoweak.training.sample import class_masks

        result = dict(data)
        for key in self.key_iterator(result):
            image = read_again(result[self._image_key], self._task)
            mask = read_label(Path(result[key]), image=image, task=self._task).mask
            masks = class_masks(mask, self._task.num_labels).astype(np.float32) if self._split else mask[:, None]
            result[key] = MetaTensor(from_slices(torch.from_numpy(masks), self._task), meta={PATH: str(result[key])})
        return result


class ToMaskd(MapTransform):  # type: ignore[misc]
    """Logits to the mask that the app makes of them.

    Args:
        keys: of logits (K, H, W) or (K, H, W, S).
        task: labels, and how many components of each stay.
        prompted: the logits are those of prompts: the highest above 0 wins. Else they are the coarse model's: a pixel
            gets the likeliest label where it reaches 0.5, and of each label the likeliest components stay.

    The logits become a mask (1, H, W) or (1, H, W, S) uint8 with the task's label values.
    """

    def __init__(self, keys: Any, *, task: Mapping[str, Any] | str, prompted: bool = False) -> None:
        super().__init__(keys)
        self._task, self._prompted = task_of(task), prompted

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Replace the logits."""
        result = dict(data)
        for key in self.key_iterator(result):
            logits = to_slices(torch.as_tensor(result[key]).detach().cpu())
            if self._prompted:
                mask = prompted_mask(logits.numpy(), self._task)
            else:
                mask = mask_of(torch.sigmoid(logits).numpy(), self._task)
            result[key] = from_slices(torch.from_numpy(mask[:, None]), self._task)
        return result


class SaveMaskd(SaveImaged):  # type: ignore[misc]  # a SaveImaged, so that MONAI Label leaves it out
    """Write masks as `autoweak predict` does: `<image id>.png` or `.nii.gz`, in the image's own size and geometry.

    Args:
        keys: of masks as `ToMaskd` leaves them.
        output_dir: the folder; not a studies' label folder. A file there that was not predicted is kept.
        image_key: of the image, as `LoadStudyd` leaves it.
        task: says the plane of the slices.
    """

    def __init__(self, keys: Any, *, output_dir: str, task: Mapping[str, Any] | str, image_key: str = "image") -> None:
        MapTransform.__init__(self, keys)
        self._folder, self._task, self._image_key = Path(output_dir), task_of(task), image_key
        self._masks: PredictionFolder | None = None

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Write, and leave the data as they are."""
        if self._masks is None:
            self._masks = PredictionFolder(self._folder)
        result = dict(data)
        for key in self.key_iterator(result):
            image = read_again(result[self._image_key], self._task)
            mask = to_slices(torch.as_tensor(result[key]))[:, 0].numpy()
            self._masks.write(mask, image=image)
        return result


class ToStoredd(MapTransform):  # type: ignore[misc]
    """The last step: masks in the order of axes that ITK, and with it MONAI Label, stores: columns first.

    Args:
        keys: of masks as `ToMaskd` leaves them; those of a picture become (W, H), those of a volume (I, J, K) with its
            affine.
        image_key: of the image, as `LoadStudyd` leaves it.
        task: says the plane of the slices.
    """

    def __init__(self, keys: Any, *, task: Mapping[str, Any] | str, image_key: str = "image") -> None:
        super().__init__(keys)
        self._task, self._image_key = task_of(task), image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Replace the masks."""
        result = dict(data)
        for key in self.key_iterator(result):
            image = read_again(result[self._image_key], self._task)
            geometry = image.geometry
            stored = geometry.from_slices(to_slices(torch.as_tensor(result[key]))[:, 0].numpy())
            stored = np.ascontiguousarray(stored if geometry.is_volume else stored.T)
            affine = None if geometry.affine is None else torch.from_numpy(geometry.affine)
            result[key] = MetaTensor(torch.from_numpy(stored), affine=affine, meta={PATH: str(image.path)})
        return result


def read_study(path: Any, task: Task, *, image_id: str = "", frame: int = 0) -> StudyImage:
    """Read an image in the plane of the task.

    Args:
        path: of its file or folder.
        task: says the plane.
        image_id: what it is called; "" for the name of its file.
        frame: of a film, from 1; 0 for none.

    Raises:
        ImageError: it cannot be read, or there is no path, as where a viewer has sent the pixels themselves.
    """
    if not isinstance(path, (str, Path)) or not str(path):
        shown = str(path)[:80]
        msg = f"The bundle reads images from files, got {shown!r}; give the path of one, or the id of a known image."
        raise ImageError(msg)
    changed = Path(path).stat().st_mtime_ns if Path(path).exists() else 0
    return _read(Path(path), changed, task.plane.value, image_id, frame)


@lru_cache(maxsize=1)
def _read(path: Path, _changed: int, plane: str, image_id: str, frame: int) -> StudyImage:
    """Loading, saving and the frame of a label want the same image one after the other."""
    return read_image(path, plane=plane, image_id=image_id or None, frame=frame or None)


def read_again(image: Any, task: Task) -> StudyImage:
    """The study image that `LoadStudyd` has made `image` of."""
    meta = image.meta
    return read_study(meta[PATH], task, image_id=str(meta[IMAGE_ID]), frame=int(meta[FRAME]))


def from_slices(stack: Tensor, task: Task) -> Tensor:
    """Slices (S, C, H, W) as MONAI has them: (C, H, W) of a 2D task, (C, H, W, S) of a 3D task."""
    return stack[0].contiguous() if task.dimension == 2 else stack.permute(1, 2, 3, 0).contiguous()


def to_slices(pixels: Tensor) -> Tensor:
    """The way back from `from_slices`: (C, H, W) or (C, H, W, S) to (S, C, H, W)."""
    plain = pixels.as_tensor() if isinstance(pixels, MetaTensor) else pixels
    return plain[None] if plain.ndim == 3 else plain.permute(3, 0, 1, 2).contiguous()


def _stored_shape(image: StudyImage) -> tuple[int, ...]:
    """As ITK counts: columns first for a picture."""
    shape = image.geometry.shape
    return shape if image.geometry.is_volume else shape[::-1]
