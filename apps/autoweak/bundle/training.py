"""Training as the app trains, in the parts that MONAI's engines take."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import MapTransform, RandomizableTransform
from torch import Tensor, nn

from autoweak.bundle.reading import task_of
from autoweak.bundle.transforms import from_slices, to_slices
from autoweak.networks.ensemble import to_square
from autoweak.training.batches import Batch
from autoweak.training.fold import augmentation_of
from autoweak.training.loss import WeightedDiceCELoss
from autoweak.training.recipe import RECIPE

Data = dict[Hashable, Any]


class ToSquared(MapTransform):  # type: ignore[misc]  # MONAI's transforms have no types
    """Bring images and split masks to the square that the network learns on.

    Args:
        keys: of tensors (C, H, W) or (C, H, W, S), 0 to 1.
        task: its `coarse.size` is the side in pixels.
    """

    def __init__(self, keys: Any, *, task: Mapping[str, Any] | str) -> None:
        super().__init__(keys)
        self._task = task_of(task)

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Replace the tensors, as plain ones: (C, size, size) or (C, size, size, S)."""
        result = dict(data)
        for key in self.key_iterator(result):
            stack = to_square(to_slices(torch.as_tensor(result[key])).float(), self._task.coarse.size)
            result[key] = from_slices(stack, self._task)
        return result


class RandSliced(RandomizableTransform, MapTransform):  # type: ignore[misc]
    """Draw one slice of a volume, three times out of four one that shows a label; a picture stays as it is.

    Args:
        keys: of tensors (C, size, size, S).
        label_key: the one among them whose values above 0.5 are labels.
    """

    def __init__(self, keys: Any, *, label_key: str = "label") -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self)
        self._label_key = label_key

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Replace the tensors by (C, size, size)."""
        result = dict(data)
        label = result[self._label_key]
        if label.ndim == 3:
            return result
        shown = torch.nonzero((label > 0.5).flatten(0, 2).any(dim=0)).flatten().tolist()
        choices = shown if shown and self.R.uniform() < RECIPE.foreground_share else range(label.shape[-1])
        index = choices[self.R.randint(len(choices))]
        for key in self.key_iterator(result):
            result[key] = result[key][..., index]
        return result


class RandVariantd(RandomizableTransform):  # type: ignore[misc]
    """A random variant of a slice and its masks, by the app's own augmentation.

    What is pasted in comes from the slice that this transform was given before, which is another one in most cases.

    Args:
        task: flips, rotation and the `coarse` section.
        image_key: (C, size, size); `label_key`: (K, size, size), both 0 to 1.
    """

    def __init__(self, *, task: Mapping[str, Any] | str, image_key: str = "image", label_key: str = "label") -> None:
        super().__init__()
        self._augmentation = augmentation_of(task_of(task), RECIPE)
        self._keys = image_key, label_key
        self._donor: tuple[Tensor, Tensor] | None = None

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Replace image and label."""
        result = dict(data)
        pair = result[self._keys[0]], result[self._keys[1]]
        self._augmentation.reseed(int(self.R.randint(2**31)))
        result[self._keys[0]], result[self._keys[1]] = self._augmentation(*pair, donor=self._donor or pair)
        self._donor = pair
        return result


class SegmentationLoss(WeightedDiceCELoss):
    """Soft Dice plus binary cross-entropy, every slice counting alike."""

    def __init__(self) -> None:
        super().__init__(smoothing=RECIPE.smoothing)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        """One number for logits (N, K, H, W) against masks of that shape, 0 to 1."""
        return super().forward(logits, Batch(image=logits, target=target, weight=torch.ones(len(logits)).to(logits)))


def trainable(network: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
