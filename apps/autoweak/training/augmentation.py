"""Strong augmentation for a couple of dozen labelled images: MONAI's random transforms, and objects moved about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai import transforms
from monai.data.meta_obj import get_track_meta, set_track_meta
from torch import Tensor

from autoweak.training.objects import add_marks, erase_objects, paste_object

_BOTH = ("image", "target")
_AXES = {"vertical": 0, "horizontal": 1}


class Augmentation:
    """Random variants of one slice; seeded as a whole by `reseed`.

    Args:
        size: side of the square slice, pixels.
        channels: 1 or 3; colour is varied only where there is any.
        mirror: flips that keep the labels true, of "horizontal" (columns) and "vertical" (rows).
        rotation: largest rotation either way, degrees.
        zoom_out: how many times smaller things may become; each axis is drawn apart.
        padding: what is beyond the image's edge: "zeros", "border" or "reflection".
        paste: share of slices that get another image's object pasted in.
        erase: share of slices whose object is painted over with tissue from elsewhere in the slice.
        marks: share of slices that get discs and lines laid over them.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        mirror: Sequence[str],
        rotation: float,
        zoom_out: float = 1.35,
        padding: str = "zeros",
        paste: float = 0.0,
        erase: float = 0.0,
        marks: float = 0.0,
    ) -> None:
        spatial = [transforms.RandFlipd(_BOTH, prob=0.5, spatial_axis=_AXES[way]) for way in mirror]
        spatial.append(_warp(size, rotation, zoom_out=zoom_out, padding=padding))
        self._spatial = transforms.Compose(spatial)
        self._intensity = transforms.Compose(_colour(channels) + _intensity(size))
        self._paste = paste
        self._erase = erase
        self._marks = marks
        self._random = np.random.RandomState(0)

    def reseed(self, seed: int) -> None:
        """Set all random states; from here on the same calls give the same variants."""
        self._random = np.random.RandomState(seed)
        self._spatial.set_random_state(seed=seed)
        self._intensity.set_random_state(seed=seed)

    def __call__(self, image: Tensor, target: Tensor, *, donor: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """One variant.

        Args:
            image: (C, size, size) float32, 0 to 1.
            target: (K, size, size) float32, 0 to 1.
            donor: image and target of another slice, for pasting.

        Returns:
            Image (C, size, size) float32 around 0 to 1, and target (K, size, size) float32 0 to 1.
        """
        tracked = get_track_meta()
        set_track_meta(False)  # plain tensors are several times faster through these transforms
        try:
            image, target = self._moved(image, target)
            image, target = self._exchanged(image, target, donor)
            if self._random.uniform() < self._marks:
                image, target = add_marks(image, target, random=self._random)
            image = self._intensity({"image": image})["image"]
        finally:
            set_track_meta(tracked)
        return torch.as_tensor(image).float(), target

    def _moved(self, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        moved = self._spatial({"image": image, "target": target})
        return torch.as_tensor(moved["image"]).float(), torch.as_tensor(moved["target"]).float().clamp(0, 1)

    def _exchanged(self, image: Tensor, target: Tensor, donor: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        chance = self._random.uniform()
        if chance < self._paste:
            if self._random.uniform() < 0.6:
                image, target = erase_objects(image, target, random=self._random)
            return paste_object(image, target, *self._moved(*donor), random=self._random)
        if chance < self._paste + self._erase:
            return erase_objects(image, target, random=self._random)
        return image, target


class RandColour(transforms.RandomizableTransform, transforms.MapTransform):  # type: ignore[misc]
    """Vary saturation and white balance of RGB images (3, H, W) in 0 to 1."""

    def __init__(self, keys: Sequence[str], *, prob: float) -> None:
        transforms.MapTransform.__init__(self, keys)
        transforms.RandomizableTransform.__init__(self, prob)

    def __call__(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `data` with its images recoloured, or as it was."""
        self.randomize(None)
        if not self._do_transform:
            return data
        saturation = self.R.uniform(0.6, 1.5)
        balance = torch.tensor(self.R.uniform(0.85, 1.15, (3, 1, 1)), dtype=torch.float32)
        changed = dict(data)
        for key in self.key_iterator(data):
            grey = data[key].mean(dim=0, keepdim=True)
            changed[key] = (grey + (data[key] - grey) * saturation) * balance
        return changed


class RandSpeckle(transforms.RandomizableTransform, transforms.MapTransform):  # type: ignore[misc]
    """Multiply by noise around 1, as coherent imaging does; the same for all channels."""

    def __init__(self, keys: Sequence[str], *, prob: float, deviation: tuple[float, float]) -> None:
        transforms.MapTransform.__init__(self, keys)
        transforms.RandomizableTransform.__init__(self, prob)
        self._deviation = deviation

    def __call__(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `data` with its images speckled, or as it was."""
        self.randomize(None)
        if not self._do_transform:
            return data
        deviation = self.R.uniform(*self._deviation)
        changed = dict(data)
        for key in self.key_iterator(data):
            noise = self.R.normal(1.0, deviation, data[key].shape[-2:])
            changed[key] = data[key] * torch.from_numpy(noise.astype(np.float32))
        return changed


def _warp(size: int, rotation: float, *, zoom_out: float, padding: str) -> transforms.Transform:
    reach = size * 0.12
    affine = {
        "prob": 1.0,
        "spatial_size": (size, size),
        "rotate_range": float(np.deg2rad(rotation)),
        "scale_range": ((-0.35, zoom_out - 1), (-0.35, zoom_out - 1)),
        "shear_range": (0.1, 0.1),
        "translate_range": ((-reach, reach), (-reach, reach)),
        "mode": ("bilinear", "bilinear"),
        "padding_mode": padding,
    }
    elastic = transforms.Rand2DElasticd(_BOTH, spacing=(size // 4, size // 4), magnitude_range=(1, size / 32), **affine)
    return transforms.OneOf([elastic, transforms.RandAffined(_BOTH, cache_grid=True, **affine)], weights=[0.3, 0.7])


def _colour(channels: int) -> list[transforms.Transform]:
    return [RandColour(["image"], prob=0.8)] if channels == 3 else []


def _intensity(size: int) -> list[transforms.Transform]:
    image = ["image"]
    return [
        transforms.RandAdjustContrastd(image, prob=0.5, gamma=(0.6, 1.7)),
        transforms.RandScaleIntensityd(image, prob=0.3, factors=0.3),
        transforms.RandBiasFieldd(image, prob=0.25, coeff_range=(0.0, 0.3)),
        transforms.RandHistogramShiftd(image, prob=0.2, num_control_points=(5, 10)),
        transforms.RandGaussianSmoothd(image, prob=0.2, sigma_x=(0.3, 1.2), sigma_y=(0.3, 1.2)),
        transforms.RandGaussianNoised(image, prob=0.2, std=0.06),
        RandSpeckle(image, prob=0.25, deviation=(0.05, 0.25)),
        transforms.RandCoarseDropoutd(
            image,
            prob=0.25,
            holes=1,
            max_holes=3,
            spatial_size=(size // 10, size // 10),
            max_spatial_size=(size // 4, size // 4),
        ),
    ]
